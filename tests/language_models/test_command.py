"""score-likelihood by a causal language model: scores, order, names, records and refusals, through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fidtools.cli import run
from tests.models import tiny_causal_model

from .test_likelihood import slow_log_likelihood

QUESTIONS = [
    {
        "id": "q1",
        "question": "who wrote the first program?",
        "answers": ["Ada Lovelace", "Ada"],
        "ctxs": [
            {
                "id": "a",
                "title": "Paris",
                "text": "Paris is the capital of France.",
                "score": 2.0,
                "scores": {"bm25": 2.0},
            },
            {"id": "b", "title": "Ada", "text": "Ada wrote the first program.", "score": 1.0, "scores": {"bm25": 1.0}},
            {"id": "c", "title": "", "text": "what", "score": 0.5, "scores": {"bm25": 0.5}},
        ],
    },
    {"id": "q2", "question": "what is it?", "answers": ["Paris"], "ctxs": []},
]


@pytest.fixture(scope="module")
def model(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm") / "model"
    tiny_causal_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, QUESTIONS)))
    return path


def scored(data: Path, model: Path, *options: str) -> list[dict[str, Any]]:
    out = data.with_name("scored.jsonl")
    assert run(["score-likelihood", str(data), "--reader", str(model), "-o", str(out), "-q", *options]) == 0
    return [orjson.loads(line) for line in out.read_bytes().splitlines()]


def expected(model: Path, prompt: str, target: str) -> float:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from fidtools.language_models.prompts import Encoded

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    before, whole = (tokenizer(text)["input_ids"] for text in (prompt, prompt + target))
    assert whole[: len(before)] == before
    return slow_log_likelihood(network, Encoded(whole, len(before)))


def test_answers_are_scored_behind_passage_and_question(data: Path, model: Path) -> None:
    first, second = scored(data, model, "--precision", "float32")
    prompt = "Title: Ada\nAda wrote the first program.\n\nQuestion: who wrote the first program?\nAnswer:"
    found = {passage["id"]: passage["scores"]["likelihood"] for passage in first["ctxs"]}
    assert found["b"] == pytest.approx(expected(model, prompt, " Ada Lovelace"), abs=1e-4)
    assert [p["id"] for p in first["ctxs"]] == sorted(found, key=lambda name: -found[name])
    assert all(p["score"] == p["scores"]["likelihood"] and "bm25" in p["scores"] for p in first["ctxs"])
    assert second["ctxs"] == []


def test_questions_are_scored_without_answers(data: Path, model: Path) -> None:
    without = [{key: value for key, value in question.items() if key != "answers"} for question in QUESTIONS]
    data.write_bytes(b"\n".join(map(orjson.dumps, without)))
    first, _ = scored(data, model, "--of", "question", "--per-token", "--n-context", "2", "--precision", "float32")
    prompt = "Passage: Ada Ada wrote the first program.\nPlease write a question based on this passage.\nQuestion:"
    target = " who wrote the first program?"
    total = expected(model, prompt, target)
    from transformers import AutoTokenizer

    tokens = len(AutoTokenizer.from_pretrained(model)(target)["input_ids"])
    found = {p["id"]: p["scores"].get("question-likelihood-per-token") for p in first["ctxs"]}
    assert found["b"] == pytest.approx(total / tokens, abs=1e-4)
    assert (first["ctxs"][2]["id"], found["c"]) == ("c", None)
    assert first["scored_by"]["question-likelihood-per-token"] == {
        "model": str(model),
        "of": "question",
        "prompt": "Passage: {title} {text}\nPlease write a question based on this passage.\nQuestion:",
        "chat": False,
        "text_maxlength": 250,
        "per_token": True,
    }


def test_the_token_budget_changes_no_score(data: Path, model: Path) -> None:
    small, large = (scored(data, model, "--token-budget", budget) for budget in ("1", "10000"))
    values = [[p["scores"]["likelihood"] for p in lines[0]["ctxs"]] for lines in (small, large)]
    assert values[0] == pytest.approx(values[1], abs=1e-2)  # bf16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "{text} {query}"], "unknown field {query}"),
        (["--leave-one-out"], "need a Fusion-in-Decoder reader"),
        (["--target", "generated"], "need a Fusion-in-Decoder reader"),
        (["--of", "question", "--leave-one-out"], "about answers"),
        (["--chat"], "no chat template"),
    ],
)
def test_what_does_not_go_together_is_refused(
    data: Path, model: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score-likelihood", str(data), "--reader", str(model), *options]) == 2
    assert message in capsys.readouterr().err
