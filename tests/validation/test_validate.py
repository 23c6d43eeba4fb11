"""validate: exact counts and lines on small files, near-duplicates against all pairs, bad lines, exit codes."""

from __future__ import annotations

import gzip
import io
import json
import sys
import unicodedata
from pathlib import Path

import orjson
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fidtools import cli
from fidtools.data.records import Passage, Question
from fidtools.encoders.static_encoder import new_static_encoder
from fidtools.retriever.encoding import Retriever
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower
from fidtools.validation.cuts import TokenizerModel, load_model
from fidtools.validation.lenient import LenientFile
from fidtools.validation.similarity import SimilarTexts, jaccard, normal_form, trigrams
from fidtools.validation.tally import Repeats
from tests.commands.test_bad_input import RETRIEVER

CTX = {"id": "p1", "text": "Ada came from Borvik."}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, *records: object) -> None:
    lines = [record if isinstance(record, bytes) else orjson.dumps(record) for record in records]
    Path(name).write_bytes(b"\n".join(lines) + b"\n")


def question(number: int, text: str | None = None, **fields: object) -> dict[str, object]:
    return {"id": f"q{number}", "question": text or f"question number {number} of {number**5}?", **fields}


def found(capfd, *arguments: str, code: int = 0) -> dict[str, list[int]]:
    """The lines of the examples of each finding that has any."""
    assert cli.run(["validate", *arguments, "--json", "-q"]) == code
    report = json.loads(capfd.readouterr().out)
    return {
        finding["what"]: [example["line"] for example in finding["examples"]]
        for finding in report["findings"]
        if finding["count"]
    }


def test_texts_in_two_spellings_of_unicode_are_one(capfd):
    write("p.jsonl", *({"id": form, "text": unicodedata.normalize(form, "Café")} for form in ("NFC", "NFD")))
    assert found(capfd, "p.jsonl") == {"texts that occur before": [2]}


def test_long_questions_are_the_same_only_if_all_of_them_is(capfd):
    texts = [f"{'A long instruction. ' * 60}Who is number {number}?" for number in (1, 2, 1)]
    write("q.jsonl", *(question(number, text, answers=["a"]) for number, text in enumerate(texts)))
    write("t.jsonl", question(9, texts[1], answers=["a"]))
    assert found(capfd, "q.jsonl", "--against", "t.jsonl") == {
        "questions that occur before, in normal form": [3],
        "questions that occur in the other file, in normal form": [2],
        "questions similar to one in the other file": [1, 3],
    }


def test_passages(capfd):
    write(
        "p.jsonl",
        {"id": "a", "text": "one two"},
        {"id": "b", "text": " "},
        {"id": "a", "text": "three"},
        {"id": "c", "text": "one  two\n"},
        {"id": "d", "text": "one two", "title": "another"},
    )
    assert found(capfd, "p.jsonl") == {
        "empty texts": [2],
        "ids that occur before": [3],
        "texts that occur before": [4, 5],
    }


def test_questions(capfd):
    write(
        "q.jsonl",
        question(1, answers=["Borvik"], ctxs=[CTX], gold=["p1"]),
        question(2, answers=[], ctxs=[CTX]),
        question(3),
        question(4, answers=["!!", " "][1:], ctxs=[]),
        question(5, answers=["Aros"], ctxs=[CTX, CTX | {"text": ""}], gold=["p2"]),
        question(1, "Question number 1 of 1", answers=["x"]),
        question(7, answers=["Borvik"], gold={"p1": "high"}),
        question(8, target="Borvik", ctxs=[CTX], gold={"p9": 0}),
    )
    assert found(capfd, "q.jsonl") == {
        "ids that occur before": [6],
        "questions that occur before, in normal form": [6],
        "questions without an answer": [2, 3],
        "questions with a `target` only: eval judges by `answers`": [8],
        "questions whose answers have no letter, digit or sign": [4],
        "questions without passages": [4],
        "lists with a passage id twice": [5],
        "lists with passages without text": [5],
        "lists in which no passage holds an answer": [5],
        "lists without a passage of `gold`": [5],
        "`gold` that cannot be read": [7],
    }


def test_shares_are_of_the_records_that_were_checked(capfd):
    write("q.jsonl", *[question(i, answers=["x"], ctxs=[CTX]) for i in range(3)], question(9, answers=["Borvik"]))
    assert cli.run(["validate", "q.jsonl", "-q"]) == 0
    shown = capfd.readouterr().out.splitlines()
    assert shown[0] == "q.jsonl: 4 questions"
    (line,) = [line.split() for line in shown if "no passage holds an answer" in line]
    assert line[-6:] == ["3", "100.0%", "line", "1,", "2,", "3"]


def test_ids_that_the_corpus_lacks(capfd):
    write("p.jsonl", CTX, CTX | {"id": "p2"})
    write("q.jsonl", question(1, answers=["a"], gold=["p2", "p3"]), question(2, ctxs=[CTX | {"id": "p4"}], gold=["p1"]))
    lost = found(capfd, "q.jsonl", "-p", "p.jsonl")
    assert lost["`gold` passages that the corpus lacks"] == [1]
    assert lost["lists with passages that the corpus lacks"] == [2]


def test_near_duplicates_of_test_questions(capfd):
    write(
        "test.jsonl",
        question(1, "Who wrote the play Hamlet in 1601?"),
        question(2, "哈姆雷特的作者是谁以及什么时候写的"),
    )
    write(
        "train.jsonl",
        question(1, "who wrote the play “Hamlet” in 1601"),
        question(2, "Who wrote the plays Hamlet in 1601?"),
        question(3, "Where was the author of Macbeth born?"),
        question(4, "哈姆雷特的作者是谁，以及什么时候写的？"),
        question(5, "?!"),
    )
    said = found(capfd, "train.jsonl", "--against", "test.jsonl")
    assert said["questions that occur in the other file, in normal form"] == [1, 4]
    assert said["questions similar to one in the other file"] == [2]
    assert cli.run(["validate", "train.jsonl", "--against", "test.jsonl", "--json", "-q"]) == 0
    (report,) = map(json.loads, capfd.readouterr().out.splitlines())
    (similar,) = [each for each in report["findings"] if each["what"] == "questions similar to one in the other file"]
    assert similar["examples"][0] == {
        "line": 2,
        "id": "q2",
        "other_id": "q1",
        "other": "Who wrote the play Hamlet in 1601?",
        "similarity": 0.861,
    }


texts = st.lists(st.text("abcde ", max_size=14), max_size=8)


@given(texts, st.text("abcde ", max_size=14), st.sampled_from([0.5, 0.6, 2 / 3, 0.8, 1.0]))
def test_the_most_similar_text_is_that_of_all_pairs(others, text, threshold):
    pairs = [jaccard(trigrams(normal_form(text)), trigrams(normal_form(other))) for other in others]
    same = [normal_form(text) == normal_form(other) for other in others]
    found = SimilarTexts(others, threshold).most_similar(text)
    if not normal_form(text):
        assert found is None
    elif True in same:
        assert found is not None
        assert (found.row, found.similarity) == (same.index(True), 1)
    elif pairs and max(pairs) >= threshold:
        assert found is not None
        assert (found.row, found.similarity) == (pairs.index(max(pairs)), max(pairs))
    else:
        assert found is None


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_repeats_are_those_of_a_loop(texts):
    seen: dict[str, int] = {}
    expected = []
    finder = Repeats()
    for line, text in enumerate(texts, 10):
        finder.add(line, text)
        if seen.setdefault(text, line) != line:
            expected.append((line, seen[text]))
    assert list(finder.found()) == expected


def test_texts_that_a_retriever_cuts(capfd):
    write("p.jsonl", CTX, CTX | {"id": "p2", "text": "word " * 500})
    write("q.jsonl", question(1, "where? " * 100), question(2, "where?"))
    what = f"texts longer than {RETRIEVER} reads"
    assert found(capfd, "p.jsonl", "--retriever", RETRIEVER)[what] == [2]
    assert found(capfd, "q.jsonl", "--retriever", RETRIEVER)[what] == [1]


def test_texts_that_a_static_retriever_cuts(tmp_path):
    encoder, tokenizer = new_static_encoder(["river", "sea"], torch.zeros(3, 4))
    settings = RetrieverSettings(pooling="mean", passage_maxlength=6, passage_format="{title} {text}")
    retriever = Retriever(Tower(encoder, tokenizer, settings))
    (tmp_path / "static").mkdir()
    retriever.save(tmp_path / "static")
    model = load_model(str(tmp_path / "static"), None, None)
    assert model is not None
    assert model.tokens_over([Passage("p", "river sea " * 4, "sea"), Passage("p", "river", "sea")]) == [3, 0]


def test_texts_that_are_longer_than_a_tokenizer_allows():
    model = load_model(None, RETRIEVER, 8)
    assert model is not None
    tokens = len(TokenizerModel(RETRIEVER, 8)._tokenizer("T one two")["input_ids"])
    long = Passage("p", "word " * 20, "T")
    over = model.tokens_over([Passage("p", "one two", "T"), long])
    assert over[0] == max(0, tokens - 8)
    assert over[1] > 10
    assert model.tokens_over([Question("q", "one")]) == [0]


def test_bad_lines_are_counted_and_named_and_the_others_checked(capfd):
    write("q.jsonl", b"{", question(2), b"[1]", {"id": "x"}, b"", question(2), b'{"question": "\xff"}', question(7))
    assert cli.run(["validate", "q.jsonl", "--json"]) == 0
    said = capfd.readouterr()
    report = json.loads(said.out)
    assert (report["kind"], report["records"], report["bad_lines"], report["clean"]) == ("questions", 3, 4, False)
    assert [error["line"] for error in report["errors"]] == [1, 3, 4, 7]
    assert said.err.splitlines()[0].startswith("q.jsonl:1: malformed JSON")
    assert "q.jsonl:4: field 'question': missing" in said.err
    assert found(capfd, "q.jsonl", "--strict", code=1)["ids that occur before"] == [6]


@pytest.mark.parametrize(
    ("name", "content", "records", "bad"),
    [
        ("list.json", b'[{"id": "a", "question": "x"}, {"id": "b", "question": "y"}, 7]', 2, 1),
        ("blanks.json", b'\n\n\n\n\n[{"id": "a", "question": "x"}, 7]', 1, 1),
        ("t.tsv", b"id\ttext\ttitle\n1\tone\tT\n2\ttwo\n3\tthree\tT\n", 1, 1),
        ("cut.jsonl.gz", gzip.compress(b'{"id": "a", "text": "x"}\n' * 5000, mtime=0)[:-20], None, 1),
        ("empty.jsonl", b"", 0, 0),
        ("blank.jsonl", b"\n\n  \n", 0, 0),
        ("bom.jsonl", b'\xef\xbb\xbf{"id": "a", "text": "x"}\n', 1, 0),
        ("binary.jsonl", bytes(range(256)) * 10, 0, 10),
        ("scalar.json", b"7", 0, 1),
    ],
)
def test_files_that_are_damaged_or_of_another_shape(name, content, records, bad, capfd):
    Path(name).write_bytes(content)
    file = LenientFile(name)
    count = sum(1 for _ in file.records())
    assert records in (None, count)
    assert file.bad >= bad > -1
    assert bool(file.bad) is bool(bad)
    assert cli.run(["validate", name, "--strict", "-q"]) == (0 if name == "bom.jsonl" else 1)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.4\n%\xe2\xe3\n", "not questions as JSON lines: it is a PDF document"),
        (gzip.compress(b'{"id": "a", "text": "x"}\n', mtime=0), "it is compressed by gzip; its name must end in .gz"),
        (b"who?\t['me']\n", "looks like dpr-qa"),
        (b"q1 0 d1 1\n", "contains qrels (trec-qrels: TREC's qrels), not questions"),
        (b'{"question": 7}\n', "f:1: field 'question': must be a non-empty string"),
    ],
)
def test_a_file_of_another_kind_is_named(content, said, capfd):
    Path("f").write_bytes(content)
    assert cli.run(["validate", "f", "--strict"]) == 1
    told = capfd.readouterr().err
    assert said in told
    assert "malformed JSON" not in told


def test_lines_of_a_table_are_those_of_the_file(capfd):
    Path("t.tsv").write_text('id\ttext\ttitle\n1\t"one\nand more"\tT\n1\ttwo\tT\n2\n')
    assert cli.run(["validate", "t.tsv", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    findings = {finding["what"]: [example["line"] for example in finding["examples"]] for finding in report["findings"]}
    assert findings["ids that occur before"] == [4]
    assert [error["line"] for error in report["errors"]] == [5]


def test_strict_names_the_files_that_are_not_clean(capfd):
    write("good.jsonl", question(1, answers=["x"]))
    write("bad.jsonl", question(1))
    assert cli.run(["validate", "good.jsonl", "--strict", "-q"]) == 0
    assert cli.run(["validate", "good.jsonl", "bad.jsonl", "--strict", "-q"]) == 1
    assert capfd.readouterr().err == "fidtools: not clean: bad.jsonl\n"
    assert cli.run(["validate", "bad.jsonl", "-q"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["missing.jsonl"], 1, "missing.jsonl: no such file or directory"),
        (["q.jsonl", "--retriever", "a", "--tokenizer", "b"], 2, "only one of"),
        (["q.jsonl", "--max-length", "9"], 2, "--max-length needs --tokenizer"),
        (["q.jsonl", "--against", "missing.jsonl"], 1, "missing.jsonl: no such file"),
        (["q.jsonl", "--tokenizer", "./nowhere"], 2, "./nowhere: no such model folder"),
    ],
)
def test_usage(arguments, code, said, capfd):
    write("q.jsonl", question(1))
    assert cli.run(["validate", *arguments]) == code
    assert said in capfd.readouterr().err


def test_standard_input(monkeypatch, capfd):
    data = io.BufferedReader(io.BytesIO(orjson.dumps(question(1)) + b"\n"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    assert cli.run(["validate", "-q"]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "<stdin>: 1 questions"


def test_a_similarity_to_nothing_is_named(tmp_path, capsys):
    (tmp_path / "q.jsonl").write_text('{"id": "1", "question": "who?", "answers": ["me"]}\n')
    given = ["validate", str(tmp_path / "q.jsonl"), "--similarity", "0.9"]
    assert cli.run(given) == 0
    assert "--similarity has no effect without --against" in capsys.readouterr().err
    assert cli.run([*given, "--against", str(tmp_path / "q.jsonl")]) == 0
    assert "no effect" not in capsys.readouterr().err
