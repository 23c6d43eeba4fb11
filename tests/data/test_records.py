"""The data contract: every spelling that is read, the one that is written, and the words for what is refused."""

from __future__ import annotations

import orjson
import pytest

from fidtools.data.corpus import open_passages
from fidtools.data.dpr_tsv import read_numbered_table
from fidtools.data.grades import gold_grades, gold_ids
from fidtools.data.read import read_passages, read_questions
from fidtools.data.record_parsing import parse_passage, parse_question
from fidtools.data.records import Location
from fidtools.errors import DataError

HERE = Location("q.jsonl", 7)


def test_a_question_is_written_as_it_was_read_with_unknown_fields_at_the_end():
    record = {
        "id": "q17", "question": "who?", "answers": ["x"], "target": "x", "doc_id": "s3",
        "ctxs": [{"id": "p9", "title": "t", "text": "b", "score": 1.5, "scores": {"bm25": 1.5}, "hasanswer": True}],
        "prediction": "y", "source": {"a": [1]}, "note": None,
    }  # fmt: skip
    assert orjson.dumps(parse_question(record, HERE).to_json()) == orjson.dumps(record)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ({"question": "q", "answer": ["a"]}, {"id": "6", "question": "q", "answers": ["a"]}),
        ({"id": 3, "query": "q", "golden_answers": ["a"]}, {"id": "3", "question": "q", "answers": ["a"]}),
        ({"_id": "x", "claim": "q", "answers": "a"}, {"id": "x", "question": "q", "answers": ["a"]}),
        (
            {"id": "x", "question": "q", "contexts": [{"docid": 5, "text": "t", "score": "-1.25"}]},
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "title": "", "text": "t", "score": -1.25}]},
        ),
        (
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "contents": "T\nbody"}]},
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "title": "T", "text": "body"}]},
        ),
        ({"id": None, "_id": "x", "question": None, "query": "q"}, {"id": "x", "question": "q"}),
        (
            {"id": "x", "question": "q", "answers": None, "answer": ["a"], "ctxs": None, "target": None},
            {"id": "x", "question": "q", "answers": ["a"]},
        ),
        (
            {"id": "x", "question": "q", "ctxs": [{"id": None, "docid": 5, "text": "t", "title": None, "score": None}]},
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "title": "", "text": "t"}]},
        ),
        (
            {"id": "x", "question": "q", "ctxs": [{"id": "", "text": "t", "doc_id": ""}]},
            {"id": "x", "question": "q", "ctxs": [{"title": "", "text": "t"}]},
        ),
        (
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "text": "t", "scores": {"bm25": None, "dense": 1}}]},
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "title": "", "text": "t", "scores": {"dense": 1.0}}]},
        ),
        (
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "contents": "T\nbody\nmore"}]},
            {"id": "x", "question": "q", "ctxs": [{"id": "5", "title": "T", "text": "body\nmore"}]},
        ),
    ],
)
def test_foreign_spellings_become_ours(foreign, ours):
    assert parse_question(foreign, HERE).to_json() == ours


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "x"}, r"q.jsonl:7: field 'question': missing"),
        ({"question": "  "}, r"field 'question': must be a non-empty string"),
        ({"question": ["q"]}, r"field 'question': must be a non-empty string"),
        ({"question": "q", "answers": [1]}, r"field 'answers': must be a list of strings \(got \[1\]\)"),
        ({"question": "q", "ctxs": {}}, r"field 'ctxs': must be a list of passages"),
        ({"question": "q", "ctxs": [{"id": "1"}]}, r"field 'ctxs\[0\].text': missing"),
        ({"question": "q", "ctxs": [{"text": "t", "score": "high"}]}, r"field 'ctxs\[0\].score': must be a number"),
        ({"question": "q", "ctxs": [{"text": "t", "score": "nan"}]}, r"must be a number \(got nan\)"),
        ({"question": "q", "ctxs": [{"text": "t", "scores": {"bm25": True}}]}, r"field 'ctxs\[0\].scores.bm25'"),
        ({"question": "q", "id": 1.5}, r"field 'id': must be a string or an integer"),
        ({"question": "q", "ctxs": [{"text": "t", "score": "inf"}]}, r"must be a number \(got inf\)"),
        ({"question": "q", "ctxs": [{"text": "t", "score": 10**400}]}, r"must be a number"),
    ],
)
def test_what_is_refused_says_file_line_and_field(record, message):
    with pytest.raises(DataError, match=message):
        parse_question(record, HERE)


def test_a_score_is_never_invented():
    question = parse_question({"question": "q", "ctxs": [{"id": "1", "text": "t"}]}, HERE)
    assert question.ctxs is not None
    assert question.ctxs[0].score is None
    assert "score" not in question.ctxs[0].to_json()


def test_sorting_keeps_the_order_of_ties():
    ctxs = [{"id": str(i), "text": "t", "score": score} for i, score in enumerate([1, 3, 1, 3])]
    question = parse_question({"question": "q", "ctxs": ctxs}, HERE)
    question.sort_ctxs()
    assert [p.id for p in question.ctxs or []] == ["1", "3", "0", "2"]


@pytest.mark.parametrize("read", [read_questions, read_passages])
def test_an_empty_file_is_an_error(tmp_path, read):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(DataError, match="the file is empty"):
        list(read(tmp_path / "a.jsonl"))


def test_a_passage_of_a_corpus_needs_an_id(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"id": "1", "text": "a"}\n{"text": "b"}\n')
    with pytest.raises(DataError, match=r"p.jsonl:2: field 'id': missing"):
        list(read_passages(tmp_path / "p.jsonl"))


def test_dpr_tables_are_read_with_quotes_and_line_breaks(tmp_path):
    (tmp_path / "w.tsv").write_text('id\ttext\ttitle\n1\t"a ""b""\tc"\t"T ""x"""\n2\tplain\tU\n')
    read = [(p.id, p.text, p.title) for p in read_passages(tmp_path / "w.tsv")]
    assert read == [("1", 'a "b"\tc', 'T "x"'), ("2", "plain", "U")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id\ttext\ttitle\n1\tonly\n", r"w.tsv:2: expected 3 columns, found 2"),
        ('1\t"a\nb"\tT\n\n2\tonly\n', r"w.tsv:4: expected 3 columns, found 2"),
        ("1\ta\tT\n2\tb\tU\tmore\n", r"w.tsv:2: expected 3 columns, found 4"),
        ("q1\tp1\t1\nq2\tp2\t1\n", r"w.tsv:1: not a passage of DPR's table \(got q1"),
        ("who wrote it\tgood\tbad text\n", r"w.tsv:1: not a passage of DPR's table"),
        ("query-id\tcorpus-id\tscore\nq1\tp1\t1\n", r"w.tsv:1: not a passage of DPR's table"),
        ('1\t"open\tT\n2\tx\tU\n', r"w.tsv: malformed table"),
        ("id\ttext\ttitle\n", r"w.tsv: no passages: the file is empty"),
    ],
)
def test_malformed_tables_say_where(tmp_path, table, message):
    (tmp_path / "w.tsv").write_text(table)
    with pytest.raises(DataError, match=message):
        list(read_passages(tmp_path / "w.tsv"))


def test_passages_of_a_corpus_keep_unknown_fields():
    record = {"id": "p1", "title": "", "text": "x", "doc_id": "d", "page": 4}
    assert parse_passage(record, HERE).to_json() == record


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("['Shakespeare', 'Bard']", ["Shakespeare", "Bard"]),
        ("['Shakespeare' 'Bard']", ["Shakespeare", "Bard"]),
        ("['Shakespeare'\n 'the \"Bard\"']", ["Shakespeare", 'the "Bard"']),
        ("array(['a', \"b's\"], dtype=object)", ["a", "b's"]),
        ('["a", "b"]', ["a", "b"]),
        ("[]", []),
        ("[laughs]", ["[laughs]"]),
        ("('a', 'b')", ["a", "b"]),
        ("('a',)", ["a"]),
        ("('a, b')", ["('a, b')"]),
        ("{'a', \"b's\"}", ["a", "b's"]),
        ("{}", ["{}"]),
        ("(see 'a', 'b')", ["(see 'a', 'b')"]),
        ("[u'a']", ["a"]),
        ("[1, 2]", ["[1, 2]"]),
    ],
)
def test_answers_that_are_the_text_of_a_list(text, answers):
    assert parse_question({"question": "q", "answers": text}, HERE).answers == answers
    assert parse_question({"question": "q", "answers": [text]}, HERE).answers == (answers or [text])


@pytest.mark.parametrize(
    "answers", [{"text": ["a", "b"], "answer_start": [1, 2]}, {"value": "a", "aliases": ["a", "b"], "matched": None}]
)
def test_columns_as_datasets_has_them(answers):
    ctxs = {"id": ["1", "2"], "text": ["x", "y"], "title": ["", None], "score": [2, 1], "empty": None}
    question = parse_question({"question": "q", "answers": answers, "ctxs": ctxs}, HERE)
    assert question.answers == ["a", "b"]
    assert [(p.id, p.text, p.title, p.score) for p in question.ctxs or []] == [("1", "x", "", 2), ("2", "y", "", 1)]
    with pytest.raises(DataError, match=r"q.jsonl:7: field 'ctxs': must be a list of passages"):
        parse_question({"question": "q", "ctxs": {"id": ["1", "2"], "text": ["x"]}}, HERE)
    with pytest.raises(DataError, match=r"q.jsonl:7: field 'answers': must be a list of strings"):
        parse_question({"question": "q", "answers": {"value": "a"}}, HERE)


@pytest.mark.parametrize(
    ("value", "grades"),
    [
        (None, None),
        ("p12", {"p12": 1}),
        (12, {"12": 1}),
        (["p12", 3], {"p12": 1, "3": 1}),
        ([], {}),
        ({"p12": 1.0, "p3": 0, "p4": 2, "p5": 0.5}, {"p12": 1, "p3": 0, "p4": 2, "p5": 0.5}),
        ({"p12": 1, "p3": None}, {"p12": 1}),
        ("['p12' 'p3']", {"p12": 1, "p3": 1}),
        ("[12, 3]", {"12": 1, "3": 1}),
        ("{'p12': 2, 3: 0.0}", {"p12": 2, "3": 0}),
        ("{p12}", {"{p12}": 1}),
        ("", None),
        (" ", None),
        ("[]", {}),
        ("{}", {}),
    ],
)
def test_gold_in_all_its_shapes(value, grades):
    question = parse_question({"question": "q", "gold": value}, HERE)
    assert gold_grades(question) == grades
    assert gold_ids(question) == (None if grades is None else {name for name, grade in grades.items() if grade > 0})


@pytest.mark.parametrize("value", [True, 1.5, [["p"]], [{"id": "p"}], [None], {"p": "1"}, {"p": True}, "{'p': '1'}"])
def test_other_shapes_of_gold_are_refused_by_name(value):
    with pytest.raises(DataError, match=r"q.jsonl:7: field 'gold"):
        gold_grades(parse_question({"question": "q", "gold": value}, HERE))


def test_blank_lines_and_capitals_in_a_table(tmp_path):
    (tmp_path / "w.tsv").write_text('\nID\tText\tTitle\tpage\n1\t"a\nb"\tT\t7\n\n2\tc\tU\t8\n\n')
    expected = [("1", "a\nb", "T"), ("2", "c", "U")]
    assert [(p.id, p.text, p.title) for p in read_passages(tmp_path / "w.tsv")] == expected
    assert [(p.id, p.text, p.title) for p in open_passages(tmp_path / "w.tsv")] == expected
    assert [line for line, _ in read_numbered_table(tmp_path / "w.tsv")] == [3, 6]


@pytest.mark.parametrize("header", ["", "id\ttext\ttitle\n"])
def test_a_table_with_a_byte_order_mark(tmp_path, header):
    (tmp_path / "w.tsv").write_bytes(b"\xef\xbb\xbf" + header.encode() + b"1\ta\tT\n2\tb\tU\n")
    assert [(p.id, p.text, p.title) for p in read_passages(tmp_path / "w.tsv")] == [("1", "a", "T"), ("2", "b", "U")]
    corpus = open_passages(tmp_path / "w.tsv")
    assert [(p.id, p.text, p.title) for p in corpus] == [("1", "a", "T"), ("2", "b", "U")]


@pytest.mark.parametrize("text", ["['a', None]", "['a' 'b', 'c']", "['a' 'b' ... 'z']", '["a", nan]', "['it's']"])
def test_texts_of_lists_that_are_none_are_no_answers_and_no_ids(text):
    with pytest.raises(
        DataError, match=r"q.jsonl:7: field 'answers': begins and ends as a list of strings, but is none"
    ):
        parse_question({"question": "q", "answers": text}, HERE)
    with pytest.raises(DataError, match=r"q.jsonl:7: field 'gold': begins and ends as a list of ids, but is none"):
        gold_grades(parse_question({"question": "q", "gold": text}, HERE))


def test_numbers_in_the_text_of_a_list_are_ids_but_no_answers():
    assert gold_grades(parse_question({"question": "q", "gold": "['a', 7]"}, HERE)) == {"a": 1, "7": 1}
    with pytest.raises(DataError, match="is none"):
        parse_question({"question": "q", "answer": "['a', 7]"}, HERE)


@pytest.mark.parametrize("text", ["[0, 1]", "[sic]", "'a', 'b'", "['Til Tuesday", "a ['b']", "['a'] or b"])
def test_other_texts_with_brackets_and_quotes_are_one_answer(text):
    assert parse_question({"question": "q", "answer": text}, HERE).answers == [text]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [("p.jsonl", '{"id": "", "text": "t"}\n', 1), ("p.tsv", "id\ttext\ttitle\n1\tt\tT\n\tt\tT\n", 3)],
)
@pytest.mark.parametrize("read", [lambda path: list(read_passages(path)), open_passages])
def test_a_passage_of_a_corpus_with_an_empty_id_is_refused(name, text, line, read, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert (caught.value.line, caught.value.field, caught.value.problem) == (line, "id", "missing")
