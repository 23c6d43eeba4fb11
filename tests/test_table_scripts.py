"""The scripts of examples/tables: what they refuse, and that they reach their table."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_iterate import HARDLY_ANY, world
from tests.toy_models import READER, RETRIEVER

TABLES = Path(__file__).resolve().parents[1] / "examples" / "tables"


def run(script: str, tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = os.environ | {"PATH": path, "RUNS": str(tmp_path / "runs"), "CUDA_VISIBLE_DEVICES": ""} | settings
    return subprocess.run([str(TABLES / script)], env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", ["table5.sh", "table6.sh"])
def test_retrievers_of_other_settings_or_scores_are_not_shown(tmp_path: Path, script: str) -> None:
    for name in ("train", "dev", "passages"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    given = {
        "SCORED": str(tmp_path),
        "PASSAGES": str(tmp_path / "passages.jsonl"),
        "DEV": str(tmp_path / "dev.jsonl"),
        "RETRIEVER": "/nowhere",
    }
    assert "/retriever failed after" in run(script, tmp_path, **given).stderr
    other = run(script, tmp_path, **given, RETRIEVER_STEPS="7")
    assert other.returncode == 2
    assert "> RETRIEVER_STEPS=7\n" in other.stderr
    (tmp_path / "train.jsonl").write_text("{ }\n")
    edited = run(script, tmp_path, **given)
    assert edited.returncode == 2
    assert f"train: {tmp_path}/train.jsonl has changed" in edited.stderr
    assert f"{script}: {tmp_path}/runs/seed-0/nq-{script[:-3]} was made from other contents" in edited.stderr


@pytest.mark.parametrize(
    ("script", "folder"),
    [("table5.sh", "seed-0/nq-table5"), ("table6.sh", "seed-0/nq-table6"), ("table8.sh", "seed-0")],
)
def test_a_second_script_waits_for_the_first(tmp_path: Path, script: str, folder: str) -> None:
    for name in ("train", "dev", "passages"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    (tmp_path / "dpr" / "nq").mkdir(parents=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"PATH": path, "RUNS": str(tmp_path / "runs"), "SCORED": str(tmp_path), "DEV": str(tmp_path / "dev.jsonl")}
    given |= {"PASSAGES": str(tmp_path / "passages.jsonl"), "RETRIEVER": "/nowhere", "READER": "/nowhere"}
    given |= {"DPR": str(tmp_path / "dpr"), "DATASETS": "nq"}
    lock = tmp_path / "runs" / folder / ".lock"
    lock.parent.mkdir(parents=True)
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen([str(TABLES / script)], env=os.environ | given, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said == f"{script}: another process works in {lock.parent}: waiting until it ends\n"
        assert [path.name for path in lock.parent.iterdir()] == [".lock"]
    assert process.stderr.read() != ""  # it goes on, and finds its data wanting
    assert process.wait() != 0


def test_labels_are_an_objective_beside_the_teacher(tmp_path: Path) -> None:
    """Table 5's last row: its dev loss selects, for it has no teacher whose ranking could be compared."""
    data = world(tmp_path / "data", 12, 4, 4)
    for split in ("train", "dev"):
        command = ["bm25", f"{data}/{split}.jsonl", "-p", f"{data}/passages.jsonl", "--index", f"{tmp_path}/index"]
        command += ["-k", "5", "-q", "-o", f"{tmp_path}/{split}.jsonl"]
        subprocess.run([sys.executable, "-m", "fidtools", *command], check=True)
    files = {"PASSAGES": f"{data}/passages.jsonl", "DEV": f"{data}/dev.jsonl", "SCORED": str(tmp_path)}
    given = HARDLY_ANY | files | {"TEACHER": "bm25", "RETRIEVER": RETRIEVER, "DATASET": "toy", "EVAL_K": "1,5"}
    done = run("table5.sh", tmp_path, OBJECTIVES="infonce", **given)
    assert done.returncode == 0, done.stderr[-3000:]
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| infonce"))
    assert row.split("|")[2].strip() != "–"


def test_students_of_other_settings_or_data_are_not_shown(tmp_path: Path) -> None:
    """With a stand-in for the commands, which only makes their outputs."""
    for name in ("fidtools", "python"):
        stub = tmp_path / "path" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text('#!/bin/sh\nfor last; do :; done\n[ -d "$last" ] || : >"$last"\n')
        stub.chmod(0o755)
    for name in ("bin", "examples/fever"):
        shutil.copytree(TABLES.parents[1] / name, tmp_path / name)
    for name in ("train", "dev", "passages"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    given = {"PATH": f"{tmp_path}/path:{os.environ['PATH']}", "DATA": str(tmp_path), "RUN": f"{tmp_path}/run"}

    def students(**settings: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "examples" / "fever" / "students.sh")]
        environment = os.environ | given | {"SEEDS": "0", "WORD_VECTORS": f"{tmp_path}/dev.jsonl"} | settings
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert students().returncode == 0
    assert "have seed-0/static-soft\n" in students(SEEDS="0 1").stderr
    other = students(STEPS="7")
    assert other.returncode == 2
    assert "< STEPS=400\n---\n> STEPS=7\n" in other.stderr
    (tmp_path / "train.jsonl").write_text("{ }\n")
    edited = students()
    assert edited.returncode == 2
    assert edited.stderr.splitlines() == [
        f"train: {tmp_path}/train.jsonl has changed",
        f"students.sh: {tmp_path}/run was made from other contents of these: choose another RUN=…, or remove it",
    ]


@pytest.mark.parametrize(
    ("script", "last"),
    [
        ("tables/table1.sh", "show.py 1"),
        ("tables/table2.sh", "show.py 3"),
        ("tables/table4.sh", "show.py 4"),
        ("tables/table5.sh", "variants.py 5"),
        ("tables/table6.sh", "variants.py 6"),
        ("tables/table8.sh", "show.py 8"),
        ("tables/section32.sh", "show.py 3.2"),
        ("tables/teachers.sh", "teachers.py ."),
        ("fever/students.sh", "rank.py dev.bm25.jsonl"),
    ],
)
def test_a_dry_run_prints_commands_installs_nothing_and_writes_nothing(tmp_path: Path, script: str, last: str) -> None:
    """In a checkout without an environment, whose bin/setup would leave a file."""
    copy, scored = tmp_path / "copy", tmp_path / "scored"
    for name in ("bin", "examples"):
        shutil.copytree(TABLES.parents[1] / name, copy / name, ignore=shutil.ignore_patterns("models", "__pycache__"))
    (copy / "bin" / "setup").write_text("#!/bin/sh\ntouch installed\n")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "python3").symlink_to(sys.executable)
    for folder in ("dpr/nq", "scored"):
        (tmp_path / folder).mkdir(parents=True)
        for split in ("train", "dev", "test"):
            (tmp_path / folder / f"{split}.jsonl").write_text("{}\n")
    before = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
    given = {"PATH": f"{tmp_path}/path:/usr/bin:/bin", "DRY_RUN": "1", "RUNS": "runs", "RUN": "run", "DATASETS": "nq"}
    if script in ("tables/table6.sh", "tables/teachers.sh"):
        given |= {"SCORED": str(scored), "PASSAGES": "p.jsonl", "DEV": f"{scored}/dev.jsonl", "RETRIEVER": "minilm"}
    given |= {"DATA": str(scored)} if script.startswith("fever") else {"DPR": f"{tmp_path}/dpr"}
    command = [str(copy / "examples" / script)]
    done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"fidtools", "python", "mkdir", "cp"}
    assert last in lines[-1]
    assert {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts} == before


def test_a_dry_run_is_0_or_1(tmp_path: Path) -> None:
    done = run("teachers.sh", tmp_path, DRY_RUN="true", SCORED=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "setting DRY_RUN: true is not valid: it must be 0 or 1\n")


@pytest.mark.slow
def test_a_reader_that_continues_training_reaches_its_table(tmp_path: Path) -> None:
    """Table 8: twice, and the second time nothing is done again."""
    data = world(tmp_path / "data", 12, 4, 4)
    (tmp_path / "dpr" / "toy").mkdir(parents=True)
    passages = [json.loads(line) for line in (data / "passages.jsonl").read_text().splitlines()[:10]]
    for split in ("train", "dev", "test"):
        questions = [json.loads(line) for line in (data / f"{split}.jsonl").read_text().splitlines()]
        lines = (json.dumps(question | {"ctxs": passages}) + "\n" for question in questions)
        (tmp_path / "dpr" / "toy" / f"{split}.jsonl").write_text("".join(lines))
    given = HARDLY_ANY | {"DATA": str(data), "DPR": str(tmp_path / "dpr"), "READER": READER}
    done = run("table8.sh", tmp_path, DATASETS="toy", ITERATIONS="1", **given)
    assert done.returncode == 0, done.stderr[-3000:]
    again = run("table8.sh", tmp_path, DATASETS="toy", ITERATIONS="1", **given)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "have 1/reader" in again.stderr
