"""What other programs write, given to our commands: read right, or refused by what it is."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools import cli
from fidtools.data.jsonl import encodable, write_lines
from fidtools.data.read import read_questions
from fidtools.formats.lookup import detect_format, read_all

PROGRAM = [sys.executable, "-c", "from fidtools.cli import main; main()"]
RANKED = {
    "id": "q1",
    "question": "who?",
    "ctxs": [{"id": "p3", "text": "b", "score": 2}, {"id": "p12", "text": "a", "score": 1}],
}
PASSAGES = [{"id": f"p{n}", "title": "t", "text": f"who wrote hamlet {n}"} for n in range(3)]


def npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.ones((2, 2)))
    return out.getvalue()


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            if name == "mimetype":
                archive.writestr(name, b"application/epub+zip", zipfile.ZIP_STORED)
            else:
                archive.writestr(name, b"content")
    return out.getvalue()


FOREIGN = {
    "an RTF document; `chunk` reads it once it is saved as .docx or .txt": b"{\\rtf1\\ansi hello}",
    "a document of an older Office (.doc, .xls); save it in its newer form": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a PDF document": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "a numpy array": npy(),
    "compressed by gzip": gzip.compress(b'{"id": "1", "question": "x"}\n'),
    "a table whose first row names no column `question` or `text`: Frage;Antwort": b"Frage;Antwort\nwer?;ich\n",
    "a CSV table (or other text)": b"one, two,\nthree\n",
    "a zip archive; unpack it": b"PK\x03\x04\x14\x00",
    "an EPUB book; `chunk` reads it once it is converted to .html": zipped("mimetype", "META-INF/container.xml"),
    "an Excel workbook (.xlsx); save it as CSV in UTF-8": zipped("[Content_Types].xml", "xl/worksheets/sheet1.xml"),
    "a Word document; `chunk` makes passages of it": zipped("[Content_Types].xml", "word/document.xml"),
    "a PyTorch checkpoint": zipped("model/data.pkl", "model/version"),
    "numpy arrays (.npz)": zipped("embeddings.npy"),
    "a Parquet table": b"PAR1\x15\x04",
    "UTF-16 text": '{"question": "x"}'.encode("utf-16"),
    "a page of HTML": b"\n<!doctype html><html>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "looks like question-table": b"question,answers\nwho,me\n",
    "looks like dpr-qa": b"who wrote hamlet\t['Shakespeare']\n",
    "looks like squad": b'{\n "data": [{"title": "a", "paragraphs": [{"context": "c", "qas": [{"id": "1"}]}]}]}',
    "looks like trec-run": b"q1 Q0 d1 1 9.5 tag\n",
    "contains passages": b'{"id": "p1", "title": "T", "text": "text"}\n',
}
READS_QUESTIONS: dict[str, Callable[[str, Path], list[str]]] = {
    "bm25": lambda file, at: ["bm25", file, "-p", f"{at}/p.jsonl"],
    "fuse": lambda file, at: ["fuse", file, file],
    "teacher-report": lambda file, at: ["teacher-report", file],
}


@pytest.mark.parametrize("command", READS_QUESTIONS)
@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_of_another_kind_is_named_for_what_it_is(command, what, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_bytes(FOREIGN[what])
    write_lines(tmp_path / "p.jsonl", PASSAGES)
    assert cli.run([*READS_QUESTIONS[command](str(file), tmp_path), "-q", "-o", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"fidtools: {file}: ")
    assert what in told
    assert "malformed JSON" not in told
    if what.startswith("looks like"):
        assert f"fidtools convert {file} -o questions.jsonl" in told


def test_a_folder_is_named_for_its_format(tmp_path, capsys):
    (tmp_path / "beir").mkdir()
    write_lines(tmp_path / "beir" / "queries.jsonl", [{"_id": "1", "text": "q"}])
    write_lines(tmp_path / "beir" / "corpus.jsonl", [{"_id": "1", "title": "", "text": "q"}])
    assert cli.run(["fuse", f"{tmp_path}/beir", f"{tmp_path}/beir"]) == 1
    assert "looks like beir (" in capsys.readouterr().err


def test_a_beir_folder_without_test_judgements_says_so(tmp_path, capsys):
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    write_lines(tmp_path / "beir" / "queries.jsonl", [{"_id": "1", "text": "q"}])
    write_lines(tmp_path / "beir" / "corpus.jsonl", [{"_id": "1", "title": "", "text": "q"}])
    (tmp_path / "beir" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    assert cli.run(["convert", f"{tmp_path}/beir", "-o", f"{tmp_path}/q.jsonl"]) == 0
    assert "beir: no qrels/test.tsv, so no gold (--qrels takes dev.tsv)" in capsys.readouterr().err


def test_standard_input_of_another_kind(tmp_path):
    write_lines(tmp_path / "p.jsonl", PASSAGES)
    arguments = [*PROGRAM, "bm25", "-p", str(tmp_path / "p.jsonl")]
    done = subprocess.run(arguments, input=FOREIGN["a PDF document"], capture_output=True)
    assert done.returncode == 1
    assert done.stderr.endswith(b"fidtools: <stdin>: not questions as JSON lines: it is a PDF document\n")


def piped(arguments: list[str], *contents: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the program with a pipe `/dev/fd/N` in place of each `PIPE`."""
    readers = []
    for content in contents:
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
        readers.append(reader)
    names = iter(f"/dev/fd/{reader}" for reader in readers)
    filled = [next(names) if argument == "PIPE" else argument for argument in arguments]
    done = subprocess.run([*PROGRAM, *filled], capture_output=True, pass_fds=readers)
    for reader in readers:
        os.close(reader)
    return done


def test_pipes_are_read_wherever_a_file_is(tmp_path):
    ranked = orjson.dumps(RANKED) + b"\n"
    corpus = b"".join(orjson.dumps(passage) + b"\n" for passage in PASSAGES)
    run = piped(["convert", "PIPE", "--to", "trec-run"], ranked)
    assert run.stdout == b"q1 Q0 p3 1 2.0 fidtools\nq1 Q0 p12 2 1.0 fidtools\n"
    assert (
        piped(["eval", "PIPE", "--qrels", "PIPE", "-m", "gold-R@1"], ranked, b"q1 0 p3 1\n").stdout.count(b"100.00")
        == 1
    )
    both = piped(["fuse", "PIPE", "PIPE"], ranked, ranked)
    assert [p["id"] for p in orjson.loads(both.stdout)["ctxs"]] == ["p3", "p12"]
    (tmp_path / "q.jsonl").write_bytes(b'{"question": "hamlet 2"}\n')
    found = piped(["bm25", f"{tmp_path}/q.jsonl", "-p", "PIPE", "--index", f"{tmp_path}/ix", "-k", "1"], corpus)
    assert orjson.loads(found.stdout)["ctxs"][0]["id"] == "p2"
    found = piped(["bm25", f"{tmp_path}/q.jsonl", "-p", "PIPE", "-k", "1"], corpus)
    assert orjson.loads(found.stdout)["ctxs"][0]["id"] == "p2"
    table = piped(["chunk", "PIPE", "--words", "9"], corpus)
    assert len(table.stdout.splitlines()) == 3


GOLD = {
    "object": {"p12": 1},
    "floats": {"p12": 1.0, "p3": 0},
    "nulls": {"p12": 1, "p3": None},
    "id": "p12",
    "list": ["p12"],
    "text of a list": "['p12']",
    "text of an object": "{'p12': 1, 'p3': 0.0}",
}


@pytest.mark.parametrize("shape", GOLD)
def test_every_command_reads_gold_alike(shape, tmp_path, capsys):
    file = tmp_path / "q.jsonl"
    scores = [{"scores": {"attention": float(n)}} for n in (1, 2)]
    ctxs = [passage | more for passage, more in zip(RANKED["ctxs"], scores, strict=True)]
    write_lines(file, [RANKED | {"ctxs": ctxs, "gold": GOLD[shape]}])
    assert cli.run(["convert", str(file), "--to", "tevatron", "-q"]) == 0
    line = orjson.loads(capsys.readouterr().out)
    assert ([p["docid"] for p in line["positive_passages"]], [p["docid"] for p in line["negative_passages"]]) == (
        ["p12"],
        ["p3"],
    )
    assert cli.run(["eval", str(file), "-m", "gold-R@1", "-m", "gold-R@2", "--json"]) == 0
    report = capsys.readouterr().out
    assert cli.run(["convert", str(file), "--to", "trec-qrels", "-q", "-o", f"{tmp_path}/qrels"]) == 0
    assert "q1 0 p12 1\n" in (tmp_path / "qrels").read_text()
    assert (
        cli.run(["eval", str(file), "-m", "gold-R@1", "-m", "gold-R@2", "--qrels", f"{tmp_path}/qrels", "--json"]) == 0
    )
    assert capsys.readouterr().out == report
    assert cli.run(["teacher-report", str(file), "--teacher", "attention"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "AUC against gold passages" in told
    assert "1.00" in told


RUN = "q1 Q0 a 1 1.5 t\nq2 Q0 c 1 9 t\nq1 Q0 b 2 2.5 t\n"


@pytest.mark.parametrize(
    ("content", "name", "ranks"),
    [
        ("q1\td1\t3\nq1\td2\t9\nq1\td3\t5\n", "tevatron-run", {"q1": ["d2", "d3", "d1"]}),
        ("q1\td1\t3\nq1\td2\t1\nq1\td3\t2\nq2\td9\t1\n", "msmarco-run", {"q1": ["d2", "d3", "d1"], "q2": ["d9"]}),
        ("q1 d1 1\nq1 d2 1\n", "tevatron-run", {"q1": ["d2", "d1"]}),
        ("q1 d1 2\nq1 d2 3\n", "tevatron-run", {"q1": ["d2", "d1"]}),
        ("qid\tdocid\tscore\nq1\td1\t1.5\nq1\td2\t2.5\n", "tevatron-run", {"q1": ["d2", "d1"]}),
        ("qid pid rank\nq1 d1 2\nq1 d2 1\n", "msmarco-run", {"q1": ["d2", "d1"]}),
        ("qid pid score\nq1 d1 1\nq1 d2 2\n", "tevatron-run", {"q1": ["d2", "d1"]}),
        ("q1 d1 3\nq1 d2 2\nq1 d3 1\nq2 d4 1\n", "tevatron-run", {"q1": ["d1", "d2", "d3"], "q2": ["d4"]}),
        ("q1\td 1\t0.5\nq1\td 2\t0.75\n", "tevatron-run", {"q1": ["d 2", "d 1"]}),
        ("q1\tQ0\td 1\t1\t0.5\tt\nq1\tQ0\td 2\t2\t0.25\tt u\n", "trec-run", {"q1": ["d 1", "d 2"]}),
        ("0\t7\t1\t20.5\n0\t9\t2\t20.5\n3\t7\t1\t8.25\n", "colbert-run", {"0": ["7", "9"], "3": ["7"]}),
        ("qid\tpid\trank\tscore\n0\t7\t1\t20.0\n0\t9\t2\t-3e-05\n", "colbert-run", {"0": ["7", "9"]}),
        ("qid\tpid\trank\tscore\n0\t7\t1\t20\n1\t7\t1\t9\n", "colbert-run", {"0": ["7"], "1": ["7"]}),
        (RUN, "trec-run", {"q1": ["b", "a"], "q2": ["c"]}),
        (RUN.replace(" t\n", " t more columns\n"), "trec-run", {"q1": ["b", "a"], "q2": ["c"]}),
        ("\ufeff" + RUN, "trec-run", {"q1": ["b", "a"], "q2": ["c"]}),
        ("\ufeffqid Q0 docno rank score tag\n" + RUN, "trec-run", {"q1": ["b", "a"], "q2": ["c"]}),
    ],
)
def test_runs_as_others_write_them(content, name, ranks, tmp_path):
    (tmp_path / "run").write_text(content)
    assert detect_format(tmp_path / "run").name == name
    found = {q.id: [p.id for p in q.ctxs or []] for q in read_all(tmp_path / "run", "questions")}
    assert found == ranks


@pytest.mark.parametrize(
    "content",
    ["0 0 1 1.0\n0 0 2 0.0\n", "0 0 1 1\n0 1 2 0\n", "0 7 4 1.0\n0 9 2 0.0\n", "q1 Q0 d1 2\nq1 Q0 d2 0\n"],
)
def test_judgements_are_no_ranking_of_colbert(content, tmp_path):
    (tmp_path / "qrels").write_text(content)
    assert detect_format(tmp_path / "qrels").name == "trec-qrels"


@pytest.mark.parametrize("line", ["q1 p1 {}", "q1 p1 {} 1.5"])
def test_a_rank_of_thousands_of_digits_is_one_message(line, tmp_path, capsys):
    path = tmp_path / "run.tsv"
    path.write_text(line.format("9" * 5000) + "\n")
    assert cli.run(["eval", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"fidtools: {path}")


def test_ranks_that_are_not_are_refused_where_the_format_is_named(tmp_path, capsys):
    (tmp_path / "run").write_text("q1 d1 3\nq1 d2 3\n")
    assert cli.run(["convert", f"{tmp_path}/run", "--from", "msmarco-run"]) == 1
    assert "run:1: field 'rank': question q1 has this rank twice (got 3)" in capsys.readouterr().err


QRELS = {("q1", "d1", 1), ("q1", "d2", 0)}


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize(
    "lines",
    [
        "q1 0 d1 1\nq1 0 d2 0\n",
        "qid iter docno rel\nq1 0 d1 1\nq1 0 d2 0\n",
        "q1 0 d1 1.0\nq1 0 d2 0.\n",
        "q1 0 d1 1 assessor two\nq1 0 d2 0 assessor\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t1.0\nq1\td2\t0\n",
    ],
)
def test_judgements_as_others_write_them(start, lines, tmp_path):
    (tmp_path / "qrels").write_text(f"{start}{lines}")
    assert {(j.question, j.passage, j.grade) for j in read_all(tmp_path / "qrels", "qrels")} == QRELS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("q1 0 p3 1\nq1 0 p3 2\n", "qrels:2: field 'grade': passage p3 has two grades for question q1 (got 1 and 2)"),
        ("q1 Q0 d1 1 0,5 t\nq1 Q0 d2 2 0,4 t\n", "qrels: format not recognized"),
        ("q1 0 d1 1\rq1 0 d2 0\r", "qrels: format not recognized: it is text whose lines end in carriage returns"),
        ("q1 0 d1 1\nq1 0 d2 1.5\n", "qrels:2: field 'grade': must be an integer (got 1.5)"),
        ("q1 0 d1 1\nq1 0 \xe9 1\n".encode("latin-1"), "qrels: format not recognized: it is text that is not UTF-8"),
    ],
)
def test_judgements_that_cannot_be_used_are_named(content, said, tmp_path, capsys):
    (tmp_path / "qrels").write_bytes(content if isinstance(content, bytes) else content.encode())
    write_lines(tmp_path / "r.jsonl", [RANKED])
    assert cli.run(["eval", f"{tmp_path}/r.jsonl", "--qrels", f"{tmp_path}/qrels"]) == 1
    assert f"fidtools: {tmp_path}/{said}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        "who wrote it\t['Shakespeare', 'Bard']\n",
        "who wrote it\t['Shakespeare' 'Bard']\n",
        'who wrote it\t"[""Shakespeare"", ""Bard""]"\n',
        "question\tanswers\nwho wrote it\t['Shakespeare', 'Bard']\n",
        "\ufeffquestion\tanswers\nwho wrote it\t['Shakespeare' 'Bard']\n",
        "\tid\tquestion\tanswer\n0\t7\twho wrote it\t['Shakespeare', 'Bard']\n",
        "query\tanswer\nwho wrote it\tarray(['Shakespeare', 'Bard'], dtype=object)\n",
        "who wrote it\t('Shakespeare', 'Bard')\n",
        "who wrote it\t[u'Shakespeare', u'Bard']\n",
        "who wrote it\t\"['Shakespeare'\n 'Bard']\"\n",
    ],
)
def test_dpr_questions_as_others_write_them(content, tmp_path):
    (tmp_path / "q.tsv").write_text(content)
    assert detect_format(tmp_path / "q.tsv").name == "dpr-qa"
    (question,) = read_all(tmp_path / "q.tsv", "questions")
    assert (question.id, question.question, question.answers) == ("0", "who wrote it", ["Shakespeare", "Bard"])


@pytest.mark.parametrize("nothing", ["", "nan", "None"])
def test_an_empty_cell_of_answers_is_no_answer(nothing, tmp_path):
    (tmp_path / "q.tsv").write_text(f"who?\t{nothing}\nwhere?\t['x']\n")
    assert [(q.question, q.answers) for q in read_all(tmp_path / "q.tsv", "questions")] == [
        ("who?", None),
        ("where?", ["x"]),
    ]


@pytest.mark.parametrize(
    "row", ["who?\t['a']\tmore", "who?\t['a']\tmore\tand more", "1\tfor whom?\t['a']", "q1\twho?\t['a', 'b']"]
)
def test_a_list_in_a_table_of_another_width_is_no_text(row, tmp_path, capsys):
    (tmp_path / "q.tsv").write_text(f"{row}\n")
    assert cli.run(["convert", f"{tmp_path}/q.tsv"]) == 1
    assert "q.tsv: format not recognized" in capsys.readouterr().err
    assert cli.run(["chunk", f"{tmp_path}/q.tsv"]) == 1
    assert f"fidtools: {tmp_path}/q.tsv" in capsys.readouterr().err


def test_two_grades_of_a_passage_are_not_converted(tmp_path, capsys):
    (tmp_path / "qrels").write_text("q1 0 p3 1\nq1 0 p3 1.0\nq1 0 p3 0\n")
    assert cli.run(["convert", f"{tmp_path}/qrels", "--to", "beir-qrels"]) == 1
    assert "qrels:3: field 'grade': passage p3 has two grades for question q1 (got 1 and 0)" in capsys.readouterr().err


def test_a_header_above_queries(tmp_path):
    (tmp_path / "q.tsv").write_text("qid\tquery\n7\twho?\n")
    assert [(q.id, q.question) for q in read_all(tmp_path / "q.tsv", "questions")] == [("7", "who?")]


@pytest.mark.parametrize("cell", ["['a' 'b', 'c']", "['a' ... 'z']", "['a',, 'b']", "['a'"])
def test_lists_of_answers_that_no_one_can_tell_are_refused(cell, tmp_path, capsys):
    (tmp_path / "q.tsv").write_text(f"who?\t{cell}\n")
    assert cli.run(["convert", f"{tmp_path}/q.tsv"]) == 1
    assert "q.tsv:1: field 'answers': must be a list of strings in Python syntax" in capsys.readouterr().err


@pytest.mark.parametrize("write", [write_lines])
def test_a_column_of_nulls_does_not_hide_another(write, tmp_path):
    lines = [
        {"id": None, "_id": "X9", "question": "who wrote hamlet", "answers": None, "answer": ["a"], "ctxs": None},
    ]
    write(tmp_path / "q.jsonl", lines)
    write(tmp_path / "p.jsonl", PASSAGES)
    assert cli.run(["bm25", f"{tmp_path}/q.jsonl", "-p", f"{tmp_path}/p.jsonl", "-q", "-o", f"{tmp_path}/r.jsonl"]) == 0
    (question,) = read_questions(tmp_path / "r.jsonl")
    assert (question.id, question.answers, len(question.ctxs or [])) == ("X9", ["a"], 3)


def test_contents_are_split_alike_by_convert_and_as_a_corpus(tmp_path):
    contents = ['"T"\ntext', "one line", "T\ttext\nmore", "a\nb\nc"]
    write_lines(tmp_path / "c.jsonl", [{"id": str(n), "contents": text} for n, text in enumerate(contents)])
    assert cli.run(["convert", f"{tmp_path}/c.jsonl", "-q", "-o", f"{tmp_path}/p.jsonl"]) == 0
    expected = [("T", "text"), ("", "one line"), ("T", "text\nmore"), ("a", "b\nc")]
    for name in ("c.jsonl", "p.jsonl"):
        assert [(p.title, p.text) for p in read_all(tmp_path / name, "passages")] == expected


def test_a_file_name_that_is_not_utf_8_is_shown(tmp_path, capsys):
    file = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")
    Path(file).write_bytes(orjson.dumps(RANKED) + b"\n{\n")
    assert cli.run(["convert", "--sniff", file]) == 0
    assert "caf\\xe9.jsonl\tjsonl" in capsys.readouterr().out
    assert cli.run(["fuse", file, file, "-o", os.devnull]) == 1
    assert "caf\\xe9.jsonl:2: malformed JSON" in capsys.readouterr().err


def test_file_names_that_are_not_utf_8_are_read_and_written(tmp_path, capsys):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    names = [
        os.fsdecode(os.fsencode(tmp_path) + b"/" + name) for name in (b"p\xe9.jsonl", b"q\xe9.jsonl", b"r\xe9.jsonl")
    ]
    passages, questions, ranked = names
    write_lines(passages, PASSAGES)
    write_lines(questions, [{"id": str(i), "question": "hamlet 2", "gold": ["p2"]} for i in range(2)])
    assert cli.run(["bm25", questions, "-p", passages, "-o", ranked, "-k", "3"]) == 0
    assert Path(f"{tmp_path}/p\\xe9.jsonl.bm25-tantivy").is_dir()
    assert "building the BM25 index " in (told := capsys.readouterr().err)
    assert "/p\\xe9.jsonl.bm25-tantivy" in told
    assert cli.run(["eval", ranked, "--json", "-m", "gold-R@1"]) == 0
    assert orjson.loads(capsys.readouterr().out)["files"][0]["metrics"]["gold-R@1"]["value"] == 100
    assert cli.run(["compare", ranked, ranked, "--json", "-m", "gold-R@1"]) == 0
    assert orjson.loads(capsys.readouterr().out)["comparisons"][0]["difference"] == 0
    assert cli.run(["report", ranked, "-o", os.path.join(folder, "page.html")]) == 0
    assert cli.run(["bm25", questions, "-p", passages, "--index", folder]) == 2
    assert "/caf\\xe9: the name of an index must be UTF-8" in capsys.readouterr().err
    for name, settings in ((passages, {"train": passages}), (questions, {"dev": {"a": [questions]}})):
        assert orjson.loads(orjson.dumps(encodable(settings))) == encodable(settings)
        assert name not in str(encodable(settings))
