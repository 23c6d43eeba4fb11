"""PyTerrier's results, saved as a table, are a run: one question of several rows."""

from __future__ import annotations

import pytest

from fidtools import cli
from fidtools.data.records import Passage
from fidtools.formats.lookup import detect_format, read_all

TABLES = {
    "a query": 'qid,query,docno,rank,score\n1,who is it,d2,0,3.5\n1,who is it,d1,1,2.5\n2,"a, b",d1,0,1.5\n',
    "pandas' index, and lines in another order": ",qid,docno,score,rank,query\n"
    '0,1,d1,2.5,1,who is it\n1,2,d1,1.5,0,"a, b"\n2,1,d2,3.5,0,who is it\n',
    "tabs": "qid\tquery\tdocno\trank\tscore\n1\twho is it\td2\t0\t3.5\n1\twho is it\td1\t1\t2.5\n2\ta, b\td1\t0\t1.5\n",
    "no ranks": 'qid,query,docno,score\r\n1,who is it,d1,2.5\r\n1,who is it,d2,3.5\r\n2,"a, b",d1,1.5\r\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_become_the_passages_of_their_question(name, tmp_path):
    (tmp_path / "run.csv").write_bytes(TABLES[name].encode())
    assert detect_format(tmp_path / "run.csv").name == "pyterrier-run"
    found = list(read_all(tmp_path / "run.csv", "questions"))
    assert [(q.id, q.question, [(p.id, p.score) for p in q.ctxs]) for q in found] == [
        ("1", "who is it", [("d2", 3.5), ("d1", 2.5)]),
        ("2", "a, b", [("d1", 1.5)]),
    ]


def test_other_columns_stay_with_the_passage(tmp_path):
    (tmp_path / "run.csv").write_text("qid,docid,docno,rank,score,text\n1,77,d1,0,3.5,some text\n")
    (question,) = read_all(tmp_path / "run.csv", "questions")
    assert question.ctxs == [Passage(id="d1", text="some text", score=3.5, extra={"docid": "77"})]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,a,d1,0,1\n1,b,d2,1,0.5\n", "run.csv:3: field 'query': question 1 has another text further up (got b)"),
        ("1,a,d1,0,1\n1,a,d2,0,0.5\n", "question 1 has this rank twice"),
        ("1,a,,0,1\n", "run.csv:2: field 'docno': must be a non-empty string"),
        ("1,a,d1,0,x\n", "run.csv:2: field 'score': must be a number (got x)"),
        ("1,a,d1,0\n", "run.csv:2: field 'row': expected 5 columns, found 4"),
    ],
)
def test_what_is_wrong_is_said(rows, said, tmp_path, capsys):
    (tmp_path / "run.csv").write_text("qid,query,docno,rank,score\n" + rows)
    arguments = ["convert", str(tmp_path / "run.csv"), "-o", str(tmp_path / "out"), "--from", "pyterrier-run"]
    assert cli.run(arguments) == 1
    assert said in capsys.readouterr().err
