"""bin/iterate.sh: what it would run, what it refuses, that it teaches, and that killing it changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from fidtools.datasets import toy

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "bin" / "iterate.sh"
HARDLY_ANY = {
    "K": "10", "N_CONTEXT": "3", "RETRIEVER_PASSAGES": "5",
    "READER_STEPS": "6", "READER_BATCH": "4", "READER_EVAL_EVERY": "3",
    "RETRIEVER_STEPS": "6", "RETRIEVER_BATCH": "4", "RETRIEVER_EVAL_EVERY": "3",
}  # fmt: skip


def world(folder: Path, train: int, dev: int, test: int) -> Path:
    """A toy world, with the first so many questions of each kind."""
    toy.write(folder, seed=7)
    for split, kept in {"train": train, "dev": dev, "test": test}.items():
        path = folder / f"{split}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    return folder


def environment(data: Path, run: Path, **settings: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "DATA": str(data), "RUN": str(run), "CUDA_VISIBLE_DEVICES": ""} | settings


def iterate(data: Path, run: Path, iterations: int, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), "toy", str(iterations)]
    return subprocess.run(command, env=environment(data, run, **settings), capture_output=True, text=True, check=False)


def test_wrong_usage_names_the_datasets(tmp_path):
    done = subprocess.run([str(SCRIPT), "moon", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "toy" in done.stderr
    assert done.stdout == ""


def test_dry_run_prints_the_loop_and_writes_nothing(tmp_path):
    done = iterate(tmp_path / "data", tmp_path / "run", 1, DRY_RUN="1", START="bert")
    stages = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("fidtools ")]
    read = ["train-reader", "read", "eval", "read", "eval"]
    find = ["embed", "retrieve", "retrieve", "retrieve"]
    assert stages == [*find, *read, "score-attn", "score-attn", "train-retriever", *find, *read, "eval", "eval"]
    assert list(tmp_path.iterdir()) == []


def test_another_runs_passages_are_a_start_and_its_evaluations_are_not(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("train.jsonl", "dev.jsonl", "dev.json", "test.json.gz"):
        (old / name).touch()
    done = iterate(tmp_path / "data", tmp_path / "run", 0, DRY_RUN="1", START=str(old))
    starts = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("fidtools convert")]
    assert starts == [str(old / name) for name in ("train.jsonl", "dev.jsonl", "test.json.gz")]
    (old / "train.jsonl").unlink()
    done = iterate(tmp_path / "data", tmp_path / "run", 0, DRY_RUN="1", START=str(old))
    assert done.returncode == 1
    assert "nor a folder with train.jsonl or train.json" in done.stderr


def test_a_run_goes_on_without_the_folder_it_began_with(tmp_path):
    data, old = world(tmp_path / "data", 4, 2, 2), tmp_path / "old"
    old.mkdir()
    for name in ("train", "dev", "test"):
        (old / f"{name}.jsonl").write_bytes((data / f"{name}.jsonl").read_bytes())
    begun = iterate(data, tmp_path / "run", 0, **HARDLY_ANY, START=str(old), READER="/nowhere")
    assert "fidtools convert" in begun.stderr
    shutil.rmtree(old)
    again = iterate(data, tmp_path / "run", 0, **HARDLY_ANY, START=str(old), READER="/nowhere")
    assert again.stderr.splitlines()[:3] == [f"have 0/{name}.jsonl" for name in ("train", "dev", "test")]


def test_bm25_is_a_word_also_where_a_folder_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "bm25").mkdir()
    monkeypatch.chdir(tmp_path)
    done = iterate(tmp_path / "data", tmp_path / "a run", 0, DRY_RUN="1", START="bm25")
    assert done.stdout.startswith(f"mkdir -p {tmp_path}/a\\ run && cd {tmp_path}/a\\ run\nfidtools bm25 ")


def test_a_run_is_not_continued_with_other_settings(tmp_path):
    data = world(tmp_path / "data", 4, 2, 2)
    run = tmp_path / "run"
    run.mkdir()
    iterate(data, run, 0, **HARDLY_ANY, READER="/nowhere")
    again = iterate(data, run, 0, **HARDLY_ANY | {"K": "11"}, READER="/nowhere")
    assert again.returncode == 2
    assert "> K=11" in again.stderr
    assert "was begun with other settings" in again.stderr


def test_two_iterations_teach_the_retriever(tmp_path):
    """A small run. The untouched retriever finds 5 % at rank 1: the bar is far away without a working distillation."""
    data, run = world(tmp_path / "data", 600, 40, 200), tmp_path / "run"
    steps = {"READER_STEPS": "50", "READER_EVAL_EVERY": "50", "RETRIEVER_STEPS": "60", "RETRIEVER_EVAL_EVERY": "60"}
    done = iterate(data, run, 2, **steps)
    assert done.returncode == 0, done.stderr[-3000:]
    table = orjson.loads((run / "table.test.json").read_bytes())
    recall = [file["metrics"]["R@1"]["value"] for file in table["files"]]
    assert recall[2] >= recall[0] + 10


def rankings(run: Path) -> dict[str, bytes]:
    names = [
        "table.dev.json",
        "table.test.json",
        *[f"{i}/{s}.jsonl" for i in range(3) for s in ("train", "dev", "test")],
    ]
    return {name: (run / name).read_bytes() for name in names}


def run_killing_every_stage(data: Path, run: Path, **settings: str) -> int:
    """Start the script again and again; kill each stage once, somewhere in its middle. Returns how often."""
    killed: set[str] = set()
    while True:
        process = subprocess.Popen(
            [str(SCRIPT), "toy", "2"], env=environment(data, run, **settings), start_new_session=True,
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("$ ") and line not in killed:
                killed.add(line)
                time.sleep(1 + len(killed) % 5)
                os.killpg(process.pid, signal.SIGKILL)
                break
        process.stderr.close()
        if process.wait() == 0:
            return len(killed)


@pytest.mark.slow
def test_killed_in_every_stage_the_end_is_the_same(tmp_path):
    data = world(tmp_path / "data", 24, 8, 8)
    undisturbed = iterate(data, tmp_path / "whole", 2, **HARDLY_ANY)
    assert undisturbed.returncode == 0, undisturbed.stderr[-3000:]
    stages = run_killing_every_stage(data, tmp_path / "killed", **HARDLY_ANY)
    assert stages > 25
    assert rankings(tmp_path / "killed") == rankings(tmp_path / "whole")
