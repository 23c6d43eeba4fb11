"""Tables with a header, as people export them: every column comes through, and nothing is taken for another."""

from __future__ import annotations

import csv
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from fidtools.formats.lookup import detect_format, read_all

TABLES = {
    "commas": (
        "question-table",
        "question,answers\n\"Who, then?\",me\nWhat?,\"['a, b', 'c']\"\nWhy?,\n",
        [
            {"id": "0", "question": "Who, then?", "answers": ["me"]},
            {"id": "1", "question": "What?", "answers": ["a, b", "c"]},
            {"id": "2", "question": "Why?"},
        ],
    ),
    "semicolons, a byte-order mark and pandas' index": (
        "question-table",
        "\ufeff;ID;Question;Answer;Quelle\r\n0;f7;Wo, bitte?;hier;Buch; 3\r\n".replace("Buch; 3", '"Buch; 3"'),
        [{"id": "f7", "question": "Wo, bitte?", "answers": ["hier"], "Quelle": "Buch; 3"}],
    ),
    "a first line for Excel": (
        "question-table",
        "\ufeffsep=;\r\nquestion;answers\r\nWho, then?;me\r\nWhy?;\r\n",
        [{"id": "0", "question": "Who, then?", "answers": ["me"]}, {"id": "1", "question": "Why?"}],
    ),
    "a first line for Excel in quotes": (
        "passage-table",
        '"sep=\t"\nid\ttext\n7\tSoup, hot\n',
        [{"id": "7", "title": "", "text": "Soup, hot"}],
    ),
    "what pandas writes of missing values": (
        "question-table",
        "question,answers,gold\nWho?,nan,NaN\nWhat?,Nancy,<NA>\n",
        [{"id": "0", "question": "Who?"}, {"id": "1", "question": "What?", "answers": ["Nancy"]}],
    ),
    "tabs, where the first of two columns is the question": (
        "question-table",
        "question\tanswers\nWhere is it?\there\n",
        [{"id": "0", "question": "Where is it?", "answers": ["here"]}],
    ),
    "a context": (
        "question-table",
        "question,context,answer\nWho?,It was me.,me\n",
        [{"id": "0", "question": "Who?", "answers": ["me"], "ctxs": [{"title": "", "text": "It was me."}]}],
    ),
    "passages": (
        "passage-table",
        'id,title,text,category\n7,Cake,"Flour, sugar\nand eggs",baking\n8,,Soup,\n',
        [
            {"id": "7", "title": "Cake", "text": "Flour, sugar\nand eggs", "category": "baking"},
            {"id": "8", "title": "", "text": "Soup"},
        ],
    ),
    "passages without ids": (
        "passage-table",
        "Text;page\nSoup is hot;3\nCake is not;4\n",
        [
            {"id": "0", "title": "", "text": "Soup is hot", "page": "3"},
            {"id": "1", "title": "", "text": "Cake is not", "page": "4"},
        ],
    ),
}
OTHERS = {
    "id\tquestion\n7\tWho?\n": "queries-tsv",
    "qid\tquery\n7\tWho?\n": "queries-tsv",
    "1\tWho?\n2\tWhy?\n": "queries-tsv",
    "id\ttext\ttitle\n1\tSoup\tCooking\n": "psgs",
    "question\tanswers\nWho?\t['me']\n": "dpr-qa",
    "document_id,set,question,answer1,answer2\nd,train,Who?,me,I\n": "narrativeqa",
    "Who?\tme\tyou\nWhy?\tso\tno\n": "triples",
}


@pytest.mark.parametrize("what", TABLES)
def test_a_table_is_read_by_the_names_of_its_columns(what: str, tmp_path: Path) -> None:
    name, content, expected = TABLES[what]
    path = tmp_path / "table"
    path.write_bytes(content.encode())
    assert detect_format(path).name == name
    found = [record.to_json() for record in read_all(path, detect_format(path).kind)]
    assert found == expected
    output = tmp_path / "out.jsonl"
    assert cli.run(["convert", str(path), "-o", str(output), "-q"]) == 0
    assert [orjson.loads(line) for line in output.read_bytes().splitlines()] == found


@pytest.mark.parametrize("content", OTHERS)
def test_formats_of_their_own_keep_their_tables(content: str, tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(content)
    assert detect_format(path).name == OTHERS[content]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question;answers\nWho?;me;you\n", "2: field 'row': expected 2 columns, found 3 (got Who?;me;you)"),
        ("question,answers\n,me\n", "2: field 'question': missing"),
        ('id,text\n1,"Pea\n\nsoup"\n\n2,Stew,hot\n', "6: field 'row': expected 2 columns, found 3 (got 2,Stew,hot)"),
        ("id,text\n1,Soup\n2,\n", "3: field 'text': missing"),
        ("id,text\n", "contains no passages"),
        ("question,answer,Question\nWho?,me,Why?\n", "1: field 'name': two columns have this name (got question)"),
        ('question,answer\n"Who,me\nWhy?,so\n', "3: malformed table: unexpected end of data"),
        ("sep=;\nquestion;answer\nWho?\n", "3: field 'row': expected 2 columns, found 1"),
        ('question,answer\nWhy?,so\n"Heroes" singer?,me\n', "3: malformed table: ',' expected after '\"'"),
        ('question\tid\n"Who?\t1\nWhy?\t2\nI\t"3"\n', "4: malformed table: '\t' expected after '\"'"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(content: str, message: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content)
    assert cli.run(["convert", str(path), "-q"]) == 1
    assert f"{path}:{message}" in capsys.readouterr().err.replace("csv: contains", "csv:contains")
    path.write_text("Frage,Antwort\nWer?,ich\n")
    assert cli.run(["convert", str(path), "--from", "question-table", "-q"]) == 1
    told = "csv:1: the first row names none of the columns question, query, claim, input (got Frage,Antwort)"
    assert told in capsys.readouterr().err


def test_a_question_on_each_line(tmp_path: Path, capsys) -> None:
    path = tmp_path / "asked.txt"
    path.write_bytes(b"Who, then?\r\n\n  Why?\n")
    assert cli.run(["fuse", str(path), str(path)]) == 1
    hint = f"a question on each line? fidtools convert {path} --from question-lines -o questions.jsonl"
    assert hint in capsys.readouterr().err
    assert [q.to_json() for q in read_all(path, "questions", "question-lines")] == [
        {"id": "0", "question": "Who, then?"},
        {"id": "2", "question": "Why?"},
    ]


def test_prose_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Text, question\nDear reader, this is, after all, no table.\n")
    assert detect_format(path).name == "text"


def test_rows_of_empty_cells_end_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("question,answers\nWho?,me\n,\nWhy?,so\n,\n , \n")
    assert [q.id for q in read_all(path, "questions")] == ["0", "2"]


SQUAD_ANSWERS = {
    """{'text': ['me', "I'm (here)"], 'answer_start': [3, 9]}""": ["me", "I'm (here)"],
    """{'text': array(['a, dtype=b)', 'array(c'], dtype=object), 'answer_start': array([1, 2], dtype=int32)}""": [
        "a, dtype=b)",
        "array(c",
    ],
    """{"text": ["caf\\u00e9"], "answer_start": [0]}""": ["café"],
    """{'text': [], 'answer_start': []}""": [],
    "{'other': ['x']}": ["{'other': ['x']}"],
    "{'text': 'x'} [": ["{'text': 'x'} ["],
    "{x} is [a] set of {y}": ["{x} is [a] set of {y}"],
}


@pytest.mark.parametrize("cell", SQUAD_ANSWERS)
def test_squads_answers_in_a_cell(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["question", "answers"], ["Who?", cell]])
    assert [q.answers for q in read_all(path, "questions")] == [SQUAD_ANSWERS[cell]]


def test_columns_and_cells_that_are_no_answers_and_no_ids_are_named(tmp_path: Path, capfd) -> None:
    table, options = tmp_path / "q.csv", tmp_path / "options.csv"
    table.write_text("question,Answer 1,answer_2,gold\nWho?,me,I,13.0\nWhy?,,,\nWhat?,so,,14.0\n")
    assert cli.run(["convert", str(table), "-o", str(tmp_path / "q.jsonl")]) == 0
    said = capfd.readouterr().err
    assert 'not read as answers: Answer 1, answer_2; one column `answers` holds several as ["a", "b"]' in said
    assert "written as floats, such as 13.0, which are no ids of integers: 2; pandas writes integers with" in said

    options.write_text("question,answers,answer_1,answer_2,gold\nWho?,me,me,you,p13.0\n")
    assert cli.run(["convert", str(options), "-o", str(tmp_path / "o.jsonl")]) == 0
    said = capfd.readouterr().err
    assert "not read" not in said
    assert "floats" not in said
