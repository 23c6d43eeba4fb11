"""bin/iterate.sh mydocs: documents and questions as people have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "toy" / "models"
TEXTS = ["The ferry leaves at noon.", "The mill is red.", "Ada was born in Kiel.", "The bakery sells rye bread."]
QUESTIONS = ["when does the ferry leave", "what colour is the mill", "where was Ada born", "what does the bakery sell"]
UNMEASURED = "iterate.sh: nothing is measured on the {} questions: none has `answers` or `gold`\n"


def mydocs(folder: Path, iterations: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the loop on the documents and questions in the folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"PATH": path, "RUN": str(folder / "run"), "CUDA_VISIBLE_DEVICES": "", "PROFILE": "laptop"}
    given |= {"DOCUMENTS": str(folder / "documents"), "QUESTIONS": str(folder / "questions.jsonl")}
    given |= {"RETRIEVER": str(MODELS / "retriever"), "TEACHER_MODEL": str(MODELS / "reader")}
    command = [str(ROOT / "bin" / "iterate.sh"), "mydocs", iterations]
    return subprocess.run(command, env=os.environ | given | settings, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents, and five questions without answers."""
    (tmp_path / "documents").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / "documents" / f"{number}.txt").write_text(text)
    lines = [json.dumps({"question": question}) + "\n" for question in [*QUESTIONS, "who is Ada"]]
    (tmp_path / "questions.jsonl").write_text("".join(lines))
    return tmp_path


def test_questions_without_answers_are_ranked_and_not_measured(folder: Path) -> None:
    for _ in range(2):
        done = mydocs(folder, "0", FUSE="0")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.endswith(UNMEASURED.format("dev") + UNMEASURED.format("test"))
    assert sorted(path.name for path in (folder / "run" / "0").iterdir()) == ["dev.jsonl", "test.jsonl", "train.jsonl"]


def test_passages_in_the_place_of_questions_are_named(folder: Path) -> None:
    asked = folder / "asked.txt"
    asked.write_text("\n".join(QUESTIONS))
    done = mydocs(folder, "0", QUESTIONS=str(asked))
    assert done.returncode == 2
    assert done.stderr.endswith(
        f"fidtools: {asked}: contains passages (text) and cannot be written as jsonl\n"
        f"  a question on each line? fidtools convert {asked} --from question-lines -o questions.jsonl\n"
    )
    table = folder / "table.csv"
    table.write_text("text\n" + "\n".join([*QUESTIONS, "who is Ada"]))
    done = mydocs(folder, "0", QUESTIONS=str(table), RUN=str(folder / "other"))
    assert done.returncode == 2
    assert f"fidtools: {table}: contains passages (passage-table) and cannot be written as jsonl\n" in done.stderr
    assert not (folder / "other" / "0").exists()


@pytest.mark.slow
def test_questions_without_answers_are_fused_with_equal_weights(folder: Path) -> None:
    done = mydocs(folder, "0")
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "run" / "start" / "test.fused.jsonl").exists()
    assert not (folder / "run" / "start" / "fusion.json").exists()
