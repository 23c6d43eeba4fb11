"""What a format keeps under its id alone: other texts under one id are refused, repeats of one text are not."""

from __future__ import annotations

import json

import pytest

from fidtools.cli import run
from fidtools.data.distinct_ids import distinct_questions
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Location, Question
from fidtools.errors import DataError

HINT = "  this format has one passage of each id: give each an id of its own, such as that in the corpus"
FIRST = {"id": "0", "title": "A", "text": "alpha", "score": 2.0}
SECOND = {"id": "1", "text": "beta", "score": 1.0}


@pytest.fixture
def convert(tmp_path, capsys, monkeypatch):
    """Convert questions with these passages and return exit code and messages; nothing may be left after an error."""
    monkeypatch.chdir(tmp_path)

    def converted(name, *lists, ids=("q1", "q2"), texts=("Who?", "What?"), gold=("0",), more=()):
        questions = zip(ids, texts, lists, strict=False)
        write_lines("in.jsonl", ({"id": i, "question": t, "ctxs": c, "gold": gold} for i, t, c in questions))
        code = run(["convert", "in.jsonl", "--to", name, "-o", "out", *more])
        assert (tmp_path / "out").exists() == (code == 0)
        return code, capsys.readouterr().err

    return converted


@pytest.mark.parametrize("name", ["beir", "pylate"])
@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"text": "gamma"}, "text': passage 0 of question q2 has another text"),
        ({"title": "G"}, "title': passage 0 of question q2 has another title"),
        ({"text": "gamma", "title": "G"}, "text': passage 0 of question q2 has another title and text"),
    ],
)
def test_ids_that_are_numbered_anew_for_every_question_are_refused(name, other, problem, convert):
    hint = HINT + ("; if it is that already: --passages CORPUS" if name == "beir" else "")
    said = (
        f"in.jsonl:2: field 'ctxs.{problem} than for question q1 (line 1) (got {next(iter(other.values()))})\n{hint}\n"
    )
    assert convert(name, [FIRST, SECOND], [SECOND, FIRST | other]) == (1, f"fidtools: {said}")


@pytest.mark.parametrize(("name", "file"), [("beir", "corpus.jsonl"), ("pylate", "documents.jsonl")])
def test_a_passage_of_several_questions_is_written_once(name, file, convert, tmp_path):
    assert convert(name, [FIRST, SECOND], [FIRST | {"score": 0.5}, FIRST])[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / file).open()]
    assert [line.get("_id", line.get("document_id")) for line in lines] == ["0", "1"]


@pytest.mark.parametrize("name", ["beir", "beir-queries", "pylate", "trec-qrels", "beir-qrels"])
@pytest.mark.parametrize(("text", "asked"), [("Who?", "the same"), ("What?", "another question than 'What?'")])
def test_two_questions_of_one_id_are_refused(name, text, asked, convert):
    code, said = convert(name, [FIRST], [FIRST], ids=("q", "q"), texts=("Who?", text))
    hint = "this format has one question of each id: give each an id of its own, or remove the repetition"
    where = "in.jsonl:2: field 'id': also the id of line 1, which asks"
    assert (code, said) == (1, f"fidtools: {where} {asked} (got q)\n  {hint}\n")


@pytest.mark.parametrize("name", ["tevatron", "flagembedding"])
def test_gold_that_names_two_texts_is_refused(name, convert):
    problem = "field 'ctxs.text': passage 0 of question q1 has another title and text than earlier in its list"
    code, said = convert(name, [FIRST, SECOND | {"id": "0"}, SECOND])
    assert (code, said) == (1, f"fidtools: in.jsonl:1: {problem} (got beta)\n{HINT}\n")
    assert convert(name, [FIRST, FIRST, SECOND], [SECOND, FIRST | {"text": "gamma"}])[0] == 0


def test_a_corpus_with_two_passages_of_one_id_is_refused(convert, tmp_path):
    write_lines(tmp_path / "p.jsonl", [FIRST, SECOND, SECOND])
    code, said = convert("beir", [FIRST], more=["-p", "p.jsonl"])
    problem = "p.jsonl: field 'id': two passages have this id (got 1)\n  every passage of a corpus needs its own id\n"
    assert (code, said) == (1, f"fidtools: {problem}")


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (Location("x.json", 1), Location("x.json", 2), "x.json:2: field 'id': also the id of line 1, which"),
        (Location("x.zip/a", 3), Location("x.zip/b", 1), "x.zip/b:1: field 'id': also the id of x.zip/a:3, which"),
        (None, None, "field 'id': also the id of an earlier question, which"),
    ],
)
def test_where_the_first_question_of_an_id_is(first, second, problem):
    questions = [Question("q", "Who?", location=first), Question("q", "Who?", location=second)]
    with pytest.raises(DataError) as caught:
        list(distinct_questions(questions))
    assert caught.value.message == f"{problem} asks the same (got q)"
