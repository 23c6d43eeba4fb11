"""A small run written by hand: what became of every question is known."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from fidtools.data.jsonl import write_json, write_lines

HOSTILE = '<script>document.title = "hacked"</script><img src=x onerror="document.title=1">'
ANSWER = "Paris"
QUESTIONS = {
    # id: (rank of the answer before, prediction before; rank after, prediction after), of three passages, two read
    "both": (1, "Paris", 1, "the Paris"),
    "lost-passages": (2, "Paris", 3, "Rome"),
    "lost-reader": (1, "Paris", 2, "Rome"),
    "lost-guess": (None, "Paris", None, "Rome"),
    "won-passages": (None, "Rome", 1, "Paris"),
    "neither": (None, "Rome", None, "Oslo"),
}


def question(identifier: str, rank: int | None, prediction: str) -> dict:
    passages = [
        {
            "id": f"{identifier}-{place}",
            "title": f"Title {place} {HOSTILE}",
            "text": f"It is {ANSWER if place == rank else 'nowhere'}. {HOSTILE} مرحبا 🙂",
            "score": 10.0 - place,
            "scores": {"bm25": 10.0 - place},
        }
        for place in (1, 2, 3)
    ]
    return {
        "id": identifier,
        "question": f"Question {identifier}? {HOSTILE}",
        "answers": [ANSWER],
        "ctxs": passages,
        "prediction": prediction,
        "log_probability": -0.5,
    }


def scored(line: dict) -> dict:
    """The question as a teacher that prefers the passages with an answer scores it."""
    for place, passage in enumerate(line["ctxs"]):
        passage["scores"]["attention"] = passage["score"] = (5.0 if ANSWER in passage["text"] else 0.0) - 0.1 * place
    line["ctxs"].sort(key=lambda passage: -passage["score"])
    return line


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """Iterations 0 and 1, a teacher, a retriever's log, stages, settings."""
    run = tmp_path / "myrun"
    for iteration in (0, 1):
        folder = run / str(iteration)
        (folder / "reader").mkdir(parents=True)
        write_json(folder / "reader" / "fidtools.json", {"reader": {"n_context": 2}})
        lines = [question(name, *case[2 * iteration : 2 * iteration + 2]) for name, case in QUESTIONS.items()]
        write_lines(folder / "test.answered.jsonl", lines)
    write_lines(run / "0" / "dev.scored.jsonl", [scored(question(f"d{n}", 1 + n % 3, "x")) for n in range(12)])
    trained = {"lr": 0.1, "teacher_temperature": 2.0, "start": {"weights": "abc"}, "result": {"steps": 20}}
    (run / "1" / "retriever").mkdir()
    write_json(run / "1" / "retriever" / "training.json", trained)
    log = [{"step": n, "loss": 1 / n, "lr": 0.1, "examples_per_second": 10.0 * n} for n in (1, 10, 20)]
    write_lines(run / "1" / "retriever" / "log.jsonl", [*log, {"step": 20, "loss": 0.2}])
    stage = {"stage": "0/reader", "command": HOSTILE, "seconds": 75.0, "started": "2026-01-01T00:00:00", "status": 0}
    (run / "stages.jsonl").write_bytes(orjson.dumps(stage) + b'\n{"stage": "1/ret')  # a run killed while writing
    (run / "settings.txt").write_text(f"START=bm25\nTRAIN={HOSTILE}\nEVAL_OPTIONS=--profile triviaqa\n")
    return run
