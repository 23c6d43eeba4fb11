"""What is written is read again the same, and what a format cannot hold is said."""

from __future__ import annotations

import json
from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fidtools.cli import run
from fidtools.data.corpus import open_passages
from fidtools.data.jsonl import write_lines
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError
from fidtools.formats import beir, distillation, fid
from fidtools.formats.lookup import detect_format, format_named, read_all
from fidtools.formats.qrels import Judgement

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLAT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8)
WORD = st.text("abé東1:_-", min_size=1, max_size=6)
SCORE = st.floats(-1e6, 1e6)


def passages(text=TEXT):
    scores = st.dictionaries(WORD, SCORE, max_size=2)
    return st.builds(Passage, WORD, text, text, st.none() | WORD, SCORE, scores)


QUESTIONS = st.builds(
    Question,
    WORD,
    TEXT.filter(str.strip),
    st.none() | st.lists(TEXT, max_size=3),
    st.none() | TEXT,
    st.none() | WORD,
    st.none() | st.lists(passages(), max_size=3),
    st.none() | TEXT,
    st.dictionaries(WORD.map("x".__add__), TEXT | st.integers(-9, 9) | st.lists(TEXT, max_size=2), max_size=2),
)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def back(name: str, records: list, path):
    known = format_named(name)
    known.write(iter(records), path)
    return list(read_all(path, known.kind, name))


@MANY
@given(st.lists(QUESTIONS, min_size=1, max_size=3))
@pytest.mark.parametrize("name", ["jsonl", "fid"])
def test_our_lines_and_fid_s_list_lose_nothing(name, tmp_path, questions):
    assert back(name, questions, tmp_path / "file.json") == questions


@MANY
@given(QUESTIONS)
def test_dpr_results_keep_all_but_add_flags(tmp_path, question):
    (found,) = back("dpr", [question], tmp_path / "file.json")
    for passage in found.ctxs:
        assert isinstance(passage.extra.pop("has_answer"), bool)
    question.answers, question.ctxs = question.answers or [], question.ctxs or []
    assert found == question


def test_dpr_results_have_no_id_for_a_passage_without_one(tmp_path):
    given = Question("q", "Who?", ["me"], ctxs=[Passage(None, "It was me.", "", score=1.5)])
    back("dpr", [given], tmp_path / "file.json")
    (written,) = json.loads((tmp_path / "file.json").read_text())
    assert written["ctxs"] == [{"title": "", "text": "It was me.", "score": "1.5", "has_answer": True}]


def test_dpr_results_keep_the_flags_of_passages_without_text(tmp_path):
    given = [Passage("1", "", extra={"hasanswer": "True"}), Passage("2", "me", extra={"has_answer": False})]
    back("dpr", [Question("q", "Who?", ["me"], ctxs=given)], tmp_path / "file.json")
    (written,) = json.loads((tmp_path / "file.json").read_text())
    assert [ctx["has_answer"] for ctx in written["ctxs"]] == [True, True]


@MANY
@given(st.lists(passages(), min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["passages", "psgs", "beir-corpus"])
def test_corpora_keep_ids_titles_and_texts(name, tmp_path, passages):
    for passage in passages:
        passage.score, passage.scores = None, {}
        passage.doc_id = None if name == "psgs" else passage.doc_id
    assert back(name, passages, tmp_path / "corpus.x") == passages


@pytest.mark.parametrize(
    ("name", "lost", "kept"),
    [
        ("contents", "contents (1)", {"docid": "b", "_id": "c"}),
        ("beir-corpus", "_id (1), docid (1)", {"contents": "t"}),
    ],
)
def test_fields_that_would_be_read_as_id_or_text_are_left_out_and_counted(name, lost, kept, tmp_path, capsys):
    given = Passage("a", "text", "title", extra={"docid": "b", "_id": "c", "contents": "t", "k": 1})
    write_lines(tmp_path / "in.jsonl", [given.to_json()])
    assert (
        run(["convert", str(tmp_path / "in.jsonl"), "--from", "passages", "--to", name, "-o", f"{tmp_path}/out"]) == 0
    )
    assert f"fields that {name} does not keep, with the number of passages: {lost}\n" in capsys.readouterr().err
    assert list(read_all(tmp_path / "out", "passages", name)) == [replace(given, extra=kept | {"k": 1})]


def test_carriage_returns_in_dpr_s_table_are_quoted(tmp_path):
    given = [Passage("a", "x\r\ny", "t\ru"), Passage("b", "\r", "\n"), Passage("c", 'say "x"', "\t")]
    assert back("psgs", given, tmp_path / "corpus.tsv") == given
    said = b'id\ttext\ttitle\na\t"x\r\ny"\t"t\ru"\nb\t"\r"\t"\n"\nc\t"say ""x"""\t"\t"\n'
    assert (tmp_path / "corpus.tsv").read_bytes() == said
    assert list(open_passages(tmp_path / "corpus.tsv")) == given


TITLE = st.text('ab" \r', max_size=5) | FLAT


@MANY
@given(st.lists(st.builds(Passage, WORD, TEXT, TITLE, st.none() | WORD), min_size=1, max_size=3))
def test_contents_part_where_they_were_joined(tmp_path, passages):
    assert back("contents", passages, tmp_path / "corpus.jsonl") == passages


def test_titles_that_contents_cannot_hold_are_written_with_spaces_and_counted(tmp_path, caplog):
    titles = ["a\tb", "a\nb", "a\r\nb", "a\n\tb", '"A\tb"', '"A" or "B"', "plain"]
    given = [Passage(str(row), "x\ty\nz", title, f"d{row}", extra={"k": 1}) for row, title in enumerate(titles)]
    found = back("contents", given, tmp_path / "corpus.jsonl")
    assert [p.title for p in found] == ["a b", "a b", "a b", "a  b", '"A b"', '"A" or "B"', "plain"]
    assert found == [replace(p, title=f.title) for p, f in zip(given, found, strict=True)]
    said = "titles with a tab or line break, which would end them, written with a space instead: 5"
    assert caplog.messages == [said]


@pytest.mark.parametrize(
    ("written", "title"),
    [('"A"', "A"), ('"A "B""', 'A "B"'), ('"A" or B', '"A" or B'), ('"', '"'), ('""', ""), ("A", "A")],
)
def test_titles_in_the_quotes_of_published_corpora(written, title, tmp_path):
    write_lines(tmp_path / "corpus.jsonl", [{"id": "0", "contents": f"{written}\ntext"}])
    (found,) = read_all(tmp_path / "corpus.jsonl", "passages")
    assert (found.title, found.text) == (title, "text")


def test_a_run_written_again_is_the_same_file(tmp_path):
    (tmp_path / "in").write_text("1 Q0 b 1 2.5 mine\n1 Q0 a 2 1.5 mine\n2 Q0 a 1 0.25 mine\n")
    assert run(["convert", str(tmp_path / "in"), "--to", "trec-run", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text() == (tmp_path / "in").read_text()


@pytest.mark.parametrize("name", ["trec-qrels", "beir-qrels"])
def test_judgements(name, tmp_path):
    judgements = [Judgement("1", "a", 2), Judgement("1", "b", 0), Judgement("x", "c:1", 1)]
    assert back(name, judgements, tmp_path / "qrels") == judgements
    assert detect_format(tmp_path / "qrels").name == name


def test_answers_of_fid_s_output_file(tmp_path):
    questions = [Question("0", "", prediction="a\tb"), Question("x", "", prediction="")]
    assert back("fid-output", questions, tmp_path / "final_output.txt") == questions
    with pytest.raises(DataError, match="line break"):
        fid.write_fid_output([Question("0", "", prediction="a\nb")], tmp_path / "other.txt")
    with pytest.raises(DataError, match=r"field 'id': must not contain a tab in this format \(got .*a.*b\)"):
        fid.write_fid_output([Question("a\tb", "", prediction="c")], tmp_path / "other.txt")
    assert not (tmp_path / "other.txt").exists()


def scored(*scores: float) -> Question:
    ctxs = [Passage(f"p{i}", f"text {i}", f"Title {i}", score=score) for i, score in enumerate(scores)]
    return Question("q", "Who?", ["A"], ctxs=ctxs, extra={"gold": ["p0"]})


def test_tevatron_lines_come_back_with_their_gold(tmp_path):
    (found,) = back("tevatron", [scored(1.0, 2.0)], tmp_path / "train.jsonl")
    assert found == scored(1.0, 2.0)
    (line,) = (tmp_path / "train.jsonl").read_text().splitlines()
    assert [p["docid"] for p in json.loads(line)["positive_passages"]] == ["p0"]


def test_tevatron_s_positive_is_the_best_scored_one_without_gold(tmp_path):
    question = scored(1.0, 2.0)
    del question.extra["gold"]
    (found,) = back("tevatron", [question], tmp_path / "train.jsonl")
    assert found.extra["gold"] == ["p1"]


def test_a_line_for_sentence_transformers_by_hand(tmp_path):
    distillation.write_sentence_transformers([scored(1.0, 3.0, 2.0)], tmp_path / "distil.jsonl")
    assert orjson.loads((tmp_path / "distil.jsonl").read_bytes()) == {
        "query": "Who?",
        "positive": "Title 1 text 1",
        "negative_1": "Title 2 text 2",
        "negative_2": "Title 0 text 0",
        "label": [3.0, 2.0, 1.0],
    }


def test_columns_for_sentence_transformers_must_be_as_many_on_every_line(tmp_path):
    with pytest.raises(DataError, match="1 passages, 2 in the questions before"):
        distillation.write_sentence_transformers([scored(1.0, 2.0), scored(1.0)], tmp_path / "distil.jsonl")


def test_a_folder_for_pylate(tmp_path):
    other = replace(scored(2.0), id="r")
    distillation.write_pylate([scored(1.0, 3.0), other], tmp_path / "pylate")
    read = {p.name: [json.loads(line) for line in p.open()] for p in (tmp_path / "pylate").iterdir()}
    assert read["train.jsonl"][0] == {"query_id": "q", "document_ids": ["p1", "p0"], "scores": [3.0, 1.0]}
    assert [d["document_id"] for d in read["documents.jsonl"]] == ["p1", "p0"]
    assert read["queries.jsonl"][1] == {"query_id": "r", "text": "Who?"}


def test_a_beir_folder_comes_back_with_its_judgements(tmp_path):
    format_named("beir").write([scored(1.0, 2.0)], tmp_path / "beir")
    assert detect_format(tmp_path / "beir").name == "beir"
    (found,) = read_all(tmp_path / "beir", "questions")
    assert (found.id, found.question, found.extra) == ("q", "Who?", {"gold": {"p0": 1}})
    assert [p.id for p in read_all(tmp_path / "beir" / "corpus.jsonl", "passages")] == ["p0", "p1"]


def test_queries_of_a_beir_folder_without_judgement_or_text_are_counted(tmp_path, capsys):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    for name, lines in (("queries", "abc"), ("corpus", "p")):
        write_lines(folder / f"{name}.jsonl", ({"_id": i, "title": "", "text": i} for i in lines))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\tp\t1\nx\tp\t1\n")
    assert run(["convert", str(folder)]) == 0
    said = capsys.readouterr()
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == ["a"]
    assert said.err.splitlines()[:2] == [
        f"{folder}: queries that qrels/test.tsv does not judge, left out: 2",
        f"{folder}: queries that qrels/test.tsv judges and queries.jsonl lacks: 1",
    ]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    assert run(["convert", str(folder)]) == 0
    said = capsys.readouterr()
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == ["a", "b", "c"]
    assert said.err == f"{folder}: beir → jsonl\n"


def test_what_a_run_cannot_hold_is_said(tmp_path, capsys):
    fid.write_jsonl([scored(2.0, 1.0)], tmp_path / "in.jsonl")
    assert run(["convert", str(tmp_path / "in.jsonl"), "--to", "trec-run", "-o", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    lost = "answers (1), ctxs.text (1), ctxs.title (1), gold (1), question (1)"
    assert f"fields that trec-run does not keep, with the number of questions: {lost}" in said
    assert "ctxs.score" not in said
    assert (tmp_path / "run").read_text() == "q Q0 p0 1 2.0 fidtools\nq Q0 p1 2 1.0 fidtools\n"


def test_the_named_score_is_the_one_exported_and_few_passages_are_said(tmp_path, capsys):
    question = scored(1.0, 2.0, 3.0)
    for value, passage in zip((9.0, 8.0, 7.0), question.ctxs, strict=True):
        passage.scores = {"attention": value}
    fid.write_jsonl([question, scored(1.0)], tmp_path / "in.jsonl")
    arguments = ["convert", str(tmp_path / "in.jsonl"), "--to", "sentence-transformers", "--top", "2"]
    assert run([*arguments, "--score", "attention"]) == 1  # the second question has no such score
    fid.write_jsonl([question], tmp_path / "in.jsonl")
    capsys.readouterr()
    assert run([*arguments, "--score", "attention"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == [9.0, 8.0]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "nonsense"], 2, "unknown format 'nonsense'\n"),
        (["--to", "bier"], 2, "unknown format 'bier'. Did you mean beir?"),
        (["--to", "BEIR"], 2, "unknown format 'BEIR'. Did you mean beir?"),
        (["--to", "pgvektor"], 2, "unknown format 'pgvektor'. Did you mean pgvector?"),
        (["--to", "psgs"], 2, "formats for questions: "),
        (["--to", "triviaqa"], 2, "cannot be written as triviaqa"),
        (["--from", "pylate"], 2, "can only be written"),
        (["--from", "squad"], 1, "contains no questions"),
    ],
)
def test_impossible_conversions_are_said(tmp_path, capsys, arguments, code, said):
    fid.write_jsonl([scored(1.0)], tmp_path / "in.jsonl")
    assert run(["convert", str(tmp_path / "in.jsonl"), *arguments, "-o", str(tmp_path / "out")]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_beir_folder_of_questions_without_gold_is_written_in_silence(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text(
        '{"id": "a", "question": "Who?", "gold": ["p"]}\n{"id": "b", "question": "Who?"}\n'
    )
    assert run(["convert", str(tmp_path / "in.jsonl"), "--to", "beir", "-o", str(tmp_path / "out")]) == 0
    assert "no judgement" not in capsys.readouterr().err
    assert (tmp_path / "out" / "qrels" / "test.tsv").read_text() == "query-id\tcorpus-id\tscore\na\tp\t1\n"


def test_questions_without_gold_judge_nothing_and_that_is_said(tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text('{"question": "Who?", "answers": ["Ada"]}\n')
    assert run(["convert", str(tmp_path / "in.jsonl"), "--to", "trec-qrels", "-o", str(tmp_path / "out")]) == 0
    assert "no question has `gold`: there is no judgement to write\n" in capsys.readouterr().err
    assert (tmp_path / "out").read_bytes() == b""


def test_formats_are_named_and_listed(tmp_path, capsys):
    fid.write_jsonl([scored(1.0)], tmp_path / "in.jsonl")
    assert run(["convert", "--sniff", str(tmp_path / "in.jsonl")]) == 0
    assert capsys.readouterr().out.split("\t")[1:3] == ["jsonl", "questions"]
    assert run(["convert", "--list"]) == 0
    listed = dict(line.split("\t")[:2] for line in capsys.readouterr().out.splitlines())
    assert listed["trec-run"] == "questions"


def test_tevatron_s_lines_all_have_a_positive_and_those_without_are_said(tmp_path, caplog):
    other = scored(1.0, 2.0)
    other.extra["gold"] = ["elsewhere"]
    path = tmp_path / "train.jsonl"
    assert back("tevatron", [other, scored(1.0, 2.0)], path) == [scored(1.0, 2.0)]
    assert "skipped 1 questions without a gold passage among their passages" in caplog.text


def test_tevatron_s_lines_without_a_positive_are_told_and_read(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(
        '{"query_id": "1", "query": "Who?", "positive_passages": [],'
        ' "negative_passages": [{"docid": "a", "title": "T", "text": "x"}]}\n'
    )
    assert detect_format(path).name == "tevatron"
    (found,) = read_all(path, "questions")
    assert ([p.id for p in found.ctxs], found.extra["gold"]) == (["a"], [])


def test_every_file_is_named_even_after_one_of_no_format(tmp_path, capsys):
    fid.write_jsonl([scored(1.0)], tmp_path / "in.jsonl")
    (tmp_path / "odd").write_text("a b c d e f g\n")
    names = [str(tmp_path / name) for name in ("odd", "in.jsonl")]
    assert run(["convert", "--sniff", *names]) == 1
    said = capsys.readouterr()
    assert said.out.split("\t")[:2] == [names[1], "jsonl"]
    assert f"{names[0]}: format not recognized" in said.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--to", "trec-run"], "field 'ctxs.score': missing in a passage of question q"),
        (["--to", "tevatron"], "field 'ctxs.id': missing in a passage of question q"),
        (["--to", "sentence-transformers"], "field 'ctxs.score': missing in a passage of question q"),
        (["--to", "fid-output"], "field 'prediction': missing in question q"),
        (["--to", "jsonl", "--score", "bm25"], "field 'scores.bm25': a passage of question q has no such score"),
    ],
)
def test_what_cannot_be_written_is_reported_with_file_and_line(tmp_path, capsys, arguments, problem):
    source = tmp_path / "in.jsonl"
    lines = [scored(1.0), Question("q", "Who?", ctxs=[Passage(None, "text")])]
    lines[0].id, lines[0].prediction, lines[0].ctxs[0].scores = "r", "A", {"bm25": 1.0}
    fid.write_jsonl(lines, source)
    assert run(["convert", str(source), *arguments, "-o", str(tmp_path / "out")]) == 1
    assert f"{source}:2: {problem}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


JUDGED = [
    {"id": "q1", "question": "x", "gold": {"p2": 2, "p3": 0}, "ctxs": [{"id": "p1", "text": "a", "score": 2.0}]},
    {
        "id": "q2",
        "question": "y",
        "gold": "p1",
        "ctxs": [{"id": "p3", "text": "c", "score": 3.0}, {"id": "p1", "text": "a"}],
    },
]
CORPUS = [{"id": f"p{n}", "title": "", "text": text} for n, text in enumerate("abc", 1)]


@pytest.fixture
def judged(tmp_path):
    write_lines(tmp_path / "q.jsonl", JUDGED)
    write_lines(tmp_path / "p.jsonl", CORPUS)
    return tmp_path


def test_a_beir_folder_with_the_whole_corpus_and_true_grades(judged):
    made = judged / "beir"
    assert run(["convert", f"{judged}/q.jsonl", "--to", "beir", "-p", f"{judged}/p.jsonl", "-o", str(made), "-q"]) == 0
    assert (made / "qrels" / "test.tsv").read_text() == "query-id\tcorpus-id\tscore\nq1\tp2\t2\nq1\tp3\t0\nq2\tp1\t1\n"
    assert [json.loads(line)["_id"] for line in (made / "corpus.jsonl").open()] == ["p1", "p2", "p3"]
    assert [q.extra["gold"] for q in beir.read_beir_folder(made)] == [{"p2": 2, "p3": 0}, {"p1": 1}]
    assert run(["convert", f"{judged}/q.jsonl", "--to", "trec-run", "-p", f"{judged}/p.jsonl"]) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trec-qrels", "q1 0 p2 2\nq1 0 p3 0\nq2 0 p1 1\n"),
        ("beir-qrels", "query-id\tcorpus-id\tscore\nq1\tp2\t2\nq1\tp3\t0\nq2\tp1\t1\n"),
    ],
)
def test_judgements_from_gold(name, expected, judged, capsys):
    assert run(["convert", f"{judged}/q.jsonl", "--to", name, "-o", f"{judged}/out"]) == 0
    assert (judged / "out").read_text() == expected
    assert "ctxs.id (2), ctxs.score (2), ctxs.text (2), question (2)" in capsys.readouterr().err
    write_lines(judged / "half.jsonl", [{"id": "q1", "question": "x", "gold": {"p2": 0.5}}])
    assert run(["convert", f"{judged}/half.jsonl", "--to", name, "-o", f"{judged}/out"]) == 1
    assert "half.jsonl:1: field 'gold.p2': qrels hold integer grades (got 0.5)" in capsys.readouterr().err


def test_training_lines_for_flagembedding(judged, capsys):
    assert run(["convert", f"{judged}/q.jsonl", "--to", "flagembedding", "-o", f"{judged}/out"]) == 0
    lines = [json.loads(line) for line in (judged / "out").open()]
    assert lines == [{"query": "y", "pos": ["a"], "neg": ["c"]}]
    assert "skipped 1 questions without positive or without negative passages" in capsys.readouterr().err
    without_gold = scored(1.0, 3.0, 2.0)
    del without_gold.extra["gold"]
    distillation.write_flag_embedding([scored(1.0, 3.0, 2.0), without_gold], judged / "scored")
    lines = [json.loads(line) for line in (judged / "scored").open()]
    assert [(line["pos_scores"], line["neg_scores"]) for line in lines] == [([1.0], [3.0, 2.0]), ([3.0], [2.0, 1.0])]


@pytest.mark.parametrize(
    ("name", "positive", "negative"),
    [("tevatron", "positive_passages", "negative_passages"), ("flagembedding", "pos", "neg")],
)
def test_grades_choose_the_sides_and_what_is_lost_of_them_is_counted(name, positive, negative, tmp_path, caplog):
    graded, listed, plain = scored(3.0, 2.0, 1.0), scored(3.0, 2.0), scored(3.0, 2.0)
    graded.extra["gold"] = {"p0": 0, "p1": 2, "x": 1, "y": 0}
    listed.extra["gold"] = ["p0", "x", "y"]
    format_named(name).write(iter([graded, listed, plain]), tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out").open()]
    ids = [
        [[p["docid"][1] if name == "tevatron" else p[6] for p in line[side]] for side in (positive, negative)]
        for line in lines
    ]
    assert ids == [[["1"], ["0", "2"]], [["0"], ["1"]], [["0"], ["1"]]]
    assert caplog.messages == [
        "gold passages that are not among the passages of their question, left out: 3",
        "questions whose grades are written as positive (above 0) or negative: 1",
    ]
