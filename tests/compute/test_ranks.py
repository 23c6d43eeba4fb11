"""Ranks that nobody has launched, and ranks that die: one message, and nobody waits for ever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
TALK = """
import os, signal, sys
from fidtools import cli
from fidtools.compute import ranks
def command():
    ranks.barrier()
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    {talk}
cli.cli.main = cli.cli.make_context = None
class Group:
    def make_context(self, *_):
        import contextlib
        return contextlib.nullcontext()
    def invoke(self, _):
        command()
cli.cli = Group()
sys.exit(cli.run([]))
"""


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("2", "fidtools: WORLD_SIZE is 2, but RANK, MASTER_ADDR, MASTER_PORT not set: no launcher"),
        ("many", "fidtools: WORLD_SIZE must be a positive integer (got many)"),
        ("0", "fidtools: WORLD_SIZE must be a positive integer (got 0)"),
        ("9" * 5000, f"fidtools: WORLD_SIZE must be a positive integer (got {'9' * 79}…)"),
    ],
)
def test_a_world_without_a_launcher_is_a_usage_error(size: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": "1", "text": "a"}\n')
    command = [sys.executable, "-m", "fidtools", "embed", "p.jsonl", "--retriever", "r", "-o", "e.npy"]
    environment = ENVIRONMENT | {"WORLD_SIZE": size}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == said
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.slow  # PyTorch may abort (SIGABRT) before the message
@pytest.mark.parametrize("talk", ["ranks.barrier()", "ranks.gather(1)", "ranks.sum_over_ranks(1.0)"])
def test_a_rank_that_is_killed_ends_the_others_with_one_message(talk: str) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TALK.format(talk=talk)],
            env=ENVIRONMENT | group | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        _, said = processes[0].communicate(timeout=120)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert processes[1].returncode == -9
    assert processes[0].returncode == 1
    assert "fidtools: another rank has ended or does not answer: " in said
    assert "Traceback" not in said
