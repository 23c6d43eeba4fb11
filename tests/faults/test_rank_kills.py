"""One rank of two is killed, in every command that shares its work among ranks: the other ends with one message."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.killing import contents, difference
from tests.faults.test_kills import COMMANDS, prepared

__all__ = ["prepared"]  # the fixture

ROOT = Path(__file__).resolve().parents[2]

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
ENVIRONMENT |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WORLD_SIZE": "2"}
RANK = """
import os, signal, sys
from fidtools import cli
from fidtools.compute import ranks
plain, times = ranks.together, 0
def together():
    global times
    times += 1
    if times == int(os.environ["KILL_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain()
ranks.together = together
cli.main(sys.argv[1:])
"""
"""A rank of a command, killed when it is about to talk to the others for the KILL_AT-th time; never with 0."""
SHARED = [name for name, words in COMMANDS.items() if words[0] in ("embed", "retrieve", "read")]
SHARED += [name for name in COMMANDS if name.startswith(("score-", "train-"))]


@pytest.mark.slow  # PyTorch may abort (SIGABRT) before the message
@pytest.mark.parametrize("command", SHARED)
def test_the_other_rank_ends_with_one_message(command: str, prepared: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        group = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
    work = tmp_path / "work"
    subprocess.run(["cp", "-r", str(prepared), str(work)], check=True)
    before = {path.name for path in work.iterdir()}
    ranks = []
    for rank in ("0", "1"):
        given = {"RANK": rank, "LOCAL_RANK": rank, "KILL_AT": "2" if rank == "1" else "0"}
        words = [sys.executable, "-c", RANK, *COMMANDS[command]]
        ranks.append(
            subprocess.Popen(words, env=ENVIRONMENT | group | given, cwd=work, stderr=subprocess.PIPE, text=True)
        )
    try:
        said = ranks[0].communicate(timeout=300)[1]
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    assert ranks[1].returncode == -9
    assert ranks[0].returncode == 1, said
    assert "fidtools: another rank has ended or does not answer: " in said
    assert "Traceback" not in said
    left = {path.name for path in work.iterdir() if not path.name.startswith(".")} - before
    assert left <= {"out.partial", "p.jsonl.rows"}


LAUNCHED = [("train-retriever", 2), ("train-retriever", 5), ("score-attn", 2)]
"""Commands, and the time of talking to the other rank at which one is killed."""


def launched(command: str, work: Path, kill_at: int) -> tuple[int, str]:
    """The exit code and the messages of a command that `torchrun` starts on two ranks, of which one may be killed."""
    script = work / "rank.py"
    script.write_text(RANK.replace("if times ==", 'if os.environ["RANK"] == "1" and times =='))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "WORLD_SIZE"}
    environment |= {"KILL_AT": str(kill_at), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*torchrun, str(script), *COMMANDS[command]],
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    script.unlink()
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("command", "kill_at"), LAUNCHED)
def test_a_launched_command_that_lost_a_rank_ends_the_same(
    command: str, kill_at: int, prepared: Path, tmp_path: Path
) -> None:
    for name in ("undisturbed", "killed"):
        subprocess.run(["cp", "-r", str(prepared), str(tmp_path / name)], check=True)
    code, said = launched(command, tmp_path / "undisturbed", 0)
    assert code == 0, said
    code, said = launched(command, tmp_path / "killed", kill_at)
    assert code != 0
    assert "Signal 9 (SIGKILL)" in said or "another rank has ended" in said
    code, said = launched(command, tmp_path / "killed", 0)
    assert code == 0, said
    assert difference(contents(tmp_path / "undisturbed"), contents(tmp_path / "killed")) == ""
