"""Texts longer than a model reads: cut to its positions and reported once, and the passage always keeps some room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import load_reader
from fidtools.teachers.teacher_folder import load_teacher
from tests.faults.damaged_models import QUESTION, write_language_model, write_reader, write_retriever, write_teacher
from tests.faults.test_model_folders import COMMANDS, Run, run
from tests.models import bert_folder, tiny_causal_reader, tiny_reader

__all__ = ["run"]

LONG = QUESTION | {
    "ctxs": [{"id": f"p{i}", "title": "w4", "text": "w5 " * 99 + f"w{i}", "score": -i} for i in range(3)]
}
ASKED = QUESTION | {"question": "w1 " * 300}


@pytest.mark.parametrize("command", ["read", "score-attn", "score-likelihood", "question-likelihood", "train-reader"])
@pytest.mark.parametrize("kind", ["bart", "encoder-decoder"])
def test_a_reader_with_positions(command: str, kind: str, run: Run, tmp_path: Path) -> None:
    write_reader(tmp_path / "model", kind)
    (tmp_path / "model" / "fidtools.json").unlink()
    cut = "3 of 3 passages were cut to what the reader reads, by"
    if kind == "bart":
        assert cut in run(command, tmp_path / "model", question=LONG)
    else:
        run(command, tmp_path / "model", question=LONG)
    long = LONG | {"question": "w1 " * 600, "answers": ["w2 " * 600]}
    assert "1 of 1 questions were cut" in run(command, tmp_path / "model", question=long)


@pytest.mark.parametrize("command", ["read", "score-attn", "score-likelihood", "train-reader"])
@pytest.mark.parametrize(("question", "passage"), [("w1", 400), ("w1 " * 60, 200), ("w1 " * 600, 20), ("w1 " * 120, 1)])
def test_a_causal_reader_of_few_positions(command: str, question: str, passage: int, run: Run, tmp_path: Path) -> None:
    """GPT-2's form with 256 positions, for the longest passage, the question behind it and the answer together."""
    (tmp_path / "model").mkdir()
    reader = tiny_causal_reader("gpt2")
    reader.save(tmp_path / "model")
    passages = [{"id": f"p{i}", "title": "w4", "text": f"w{i} " * passage, "score": -i} for i in range(3)]
    long = LONG | {"question": question.strip(), "ctxs": passages}
    said = run(command, tmp_path / "model", question=long)
    assert said.count("3 of 3 passages were cut to what the reader reads") == (passage > 150)
    assert said.count("1 of 1 questions were cut to what the reader reads") == (len(question) > 300)
    (asked,) = read_questions(tmp_path / "questions.jsonl")
    tokens = reader.passages(asked)
    taken = len(reader.fusion.leading) + max(map(len, tokens)) + len(tokens.tail) + reader.settings.answer_maxlength
    assert 200 < taken <= 256 or passage == 1
    assert len({tuple(row) for row in tokens}) == 3


def test_more_than_a_reader_has_positions_for_is_refused(run: Run, tmp_path: Path) -> None:
    write_reader(tmp_path / "model", "bart")
    most = "this model reads at most 64 tokens"
    assert f"answer maxlength 65: {most}" in run("read", tmp_path / "model", "--answer-maxlength", "65", code=2)
    assert f"text maxlength 65: {most}" in run("train-reader", tmp_path / "model", "--text-maxlength", "65", code=2)
    run("read", tmp_path / "model", "--answer-maxlength", "64")


def test_a_long_question_leaves_room_for_its_passages(run: Run, tmp_path: Path) -> None:
    write_reader(tmp_path / "model")
    said = run("score-attn", tmp_path / "model", question=ASKED)
    assert said.startswith("1 of 1 questions were cut to what the reader reads, by ")
    scores = {passage["score"] for passage in orjson.loads((tmp_path / "out.npy").read_bytes())["ctxs"]}
    assert len(scores) == 3
    file = tmp_path / "fitting.jsonl"  # with its passages it fits
    file.write_bytes(orjson.dumps(QUESTION | {"question": ("w1 " * 220).strip()}))
    reader = load_reader(tmp_path / "model")
    assert [len(tokens) for tokens in reader.passages(next(read_questions(file)))] == [1 + 220 + 2 + 1 + 3] * 3
    assert reader.cuts.kinds["questions"].cut == 0


@pytest.mark.parametrize("make", [tiny_reader, tiny_causal_reader])
def test_a_reader_cuts_the_end_of_a_text_whatever_its_folder_says(make: Callable[[], Reader], tmp_path: Path) -> None:
    for name in ("right", "left", "saved"):
        (tmp_path / name).mkdir()
    make().save(tmp_path / "right")
    reader = make()
    reader.tokenizer.truncation_side = reader.tokenizer.init_kwargs["truncation_side"] = "left"
    reader.save(tmp_path / "left")
    passages = [Passage(id="p", text="w2 " * 300)]
    cut = [load_reader(tmp_path / name, text_maxlength=8) for name in ("right", "left")]
    (expected,), (found,) = (reader.passages_of(Question("q", "w1"), passages) for reader in cut)
    assert found == expected
    cut[1].save(tmp_path / "saved")
    assert orjson.loads((tmp_path / "saved/tokenizer_config.json").read_bytes())["truncation_side"] == "left"
    assert cut[1].passages_of(Question("q", "w1"), passages) == [expected]


def test_pairs_of_a_teacher(run: Run, tmp_path: Path) -> None:
    write_teacher(tmp_path / "model")
    assert "3 of 3 passages were cut to what the teacher reads, by" in run(
        "score-cross", tmp_path / "model", question=LONG
    )
    assert "1 of 1 questions were cut to what the teacher reads, by 2" in run(
        "score-cross", tmp_path / "model", question=ASKED
    )
    scores = {passage["score"] for passage in orjson.loads((tmp_path / "out.npy").read_bytes())["ctxs"]}
    assert len(scores) == 3
    bert_folder(tmp_path / "bert")
    assert load_teacher(tmp_path / "bert", new_head=True).settings.maxlength == 64
    refused = run("train-teacher", tmp_path / "bert", "--maxlength", "65", code=2)
    assert "maxlength 65: this model reads at most 64 tokens" in refused


def test_texts_of_a_retriever(run: Run, tmp_path: Path) -> None:
    write_retriever(tmp_path / "model")
    said = run("embed", tmp_path / "model", question=ASKED)
    assert said.startswith(
        "1 of 1 questions were cut to what the retriever reads, by 264 tokens on average, 264 at most"
    )
    assert run("embed", tmp_path / "model", question=QUESTION) == ""


def test_a_long_question_in_the_terminal_is_said_to_be_cut(tmp_path: Path, capsys) -> None:
    model, corpus, vectors = (str(tmp_path / name) for name in ("model", "p.jsonl", "p.npy"))
    bert_folder(tmp_path / "model")
    write_lines(corpus, LONG["ctxs"])
    assert cli.run(["embed", corpus, "--retriever", model, "-o", vectors, "-q"]) == 0
    capsys.readouterr()
    arguments = ["-p", corpus, "--retriever", model, "--embeddings", vectors, "-q"]
    for words, is_cut in ((3, False), (300, True)):
        assert cli.run(["search", "w1 " * words, *arguments]) == 0
        assert ("1 of 1 questions were cut to what the retriever reads" in capsys.readouterr().err) is is_cut


def test_prompts_of_a_language_model(run: Run, tmp_path: Path) -> None:
    write_language_model(tmp_path / "model")
    said = run("question-likelihood", tmp_path / "model", question=LONG)
    assert said.startswith("3 of 3 passages were cut to what the language model reads, by ")


def test_a_long_question_of_a_language_model_leaves_room_for_its_passages(run: Run, tmp_path: Path) -> None:
    write_language_model(tmp_path / "model")
    passages = [{"id": f"p{i}", "title": "w4", "text": f"w{i} " * 100} for i in range(3)]
    said = run("score-likelihood", tmp_path / "model", question=ASKED | {"ctxs": passages})
    assert "1 of 1 questions were cut to what the language model reads" in said
    assert "3 of 3 passages were cut to what the language model reads" in said
    (scored,) = read_questions(tmp_path / "out.npy")
    assert len({passage.score for passage in scored.ctxs or []}) == 3


def test_documents_are_cut_to_tokens(run: Run, tmp_path: Path) -> None:
    bert_folder(tmp_path / "model")
    (tmp_path / "documents.txt").write_text("w1 w2:w3 \n" * 5)
    run("chunk", tmp_path / "model")  # --tokens 9, of which [CLS] and [SEP] are two
    texts = [orjson.loads(line)["text"] for line in (tmp_path / "out.npy").read_bytes().splitlines()]
    assert texts == ["w1 w2:w3 w1", "w2:w3 w1 w2:w3", "w1 w2:w3 w1", "w2:w3"]
    assert cli.run([*COMMANDS["chunk"](tmp_path / "model", tmp_path / "x"), "--words", "3"]) == 2
    run("chunk", tmp_path / "model", "--stride", "4")
    texts = [orjson.loads(line)["text"] for line in (tmp_path / "out.npy").read_bytes().splitlines()]
    assert texts == ["w1 w2:w3 w1", "w1 w2:w3 w1", "w1 w2:w3 w1", "w1 w2:w3 w1", "w1 w2:w3"]
