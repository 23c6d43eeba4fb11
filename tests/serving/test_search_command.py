"""`fidtools search`: what it prints, and what it never lets a terminal obey."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import orjson
import pytest
from rich.console import Console

from fidtools import cli
from fidtools.data.records import Passage, Question
from fidtools.serving.readings import Attention, Reading, TokenShare
from fidtools.serving.terminal import drawn, one_line
from fidtools.serving.worker import Found
from tests.serving.conftest import ESCAPES, READER

FLOAT32 = ("--precision", "float32")


def searched(capsys, *arguments: str) -> str:
    assert cli.run(["search", *arguments, "-q"]) == 0
    return capsys.readouterr().out


def test_json_is_the_line_of_the_commands(world, capsys):
    question = world.folder / "one.jsonl"
    question.write_text('{"question": "Where does the zebra live?"}\n')
    expected = world.run("retrieve", str(question), *world.dense, *FLOAT32, "-k", "4")
    arguments = ["Where does the zebra live?", *world.dense, *FLOAT32, "-k", "4", "--json"]
    assert [orjson.loads(searched(capsys, *arguments))] == expected
    (read,) = world.run("read", str(world.folder / "out-retrieve.jsonl"), "--reader", READER, *FLOAT32)
    line = orjson.loads(searched(capsys, *arguments, "--read", "--reader", READER))
    assert (line["prediction"], line["log_probability"]) == (read["prediction"], read["log_probability"])
    assert sum(passage["attention_share"] for passage in line["ctxs"]) == pytest.approx(1, abs=1e-3)
    assert {type(passage["has_answer"]) for passage in line["ctxs"]} == {bool}


def test_passages_in_plain_text(world, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    out = searched(capsys, "what did the quagga do?", "--bm25", "-p", world.passages, "-k", "1")
    shown = "\\x1b[2J\\x1b]0;owned\\x07 \\x9b31m \\u202egnorw"
    (score,) = re.findall(r"bm25 ([\d.]+)", out)
    assert out == f"  1 Quagga {shown}  escapes\n    bm25 {score}\n    The quagga {shown} ate hay. And slept.\n\n"


def test_nothing_found(world, capsys):
    assert searched(capsys, "xylophone", "--bm25", "-p", world.passages) == "No passage was found.\n"


FOUND = Found(
    Question(
        "0", "Where was Ada born?", ctxs=[Passage("p1", "Ada came from Borvik.", "Ada", score=2, scores={"x": 2})]
    ),
    Reading(
        "Borvik",
        -0.5,
        Attention([1.0], [[TokenShare(0, 3, 0.04), TokenShare(14, 20, 0.8), TokenShare(9, 13, 0.2)]]),
    ),
)


def on(found: Found, **options) -> str:
    return drawn(found, console=Console(file=io.StringIO(), width=80, highlight=False, **options))


def test_the_answer_and_the_attention_without_colour():
    assert on(FOUND) == (
        "Answer: Borvik  (probability 0.61)\n\n"
        "  1 Ada  p1\n    x 2 · has the answer · 100% of the attention\n    Ada came from Borvik.\n\n"
    )


def test_attention_is_a_shade_where_there_is_colour():
    out = on(FOUND, force_terminal=True, color_system="truecolor")
    shades = {text: (int(r), int(g), int(b)) for r, g, b, text in re.findall(r"48;2;(\d+);(\d+);(\d+)m([^\x1b]+)", out)}
    assert list(shades) == ["Ada", "from", "Borvik"]  # "came" has no attention
    assert shades["Ada"][0] < shades["from"][0] < shades["Borvik"][0]
    unread = Found(FOUND.question, Reading("Borvik", -0.5, None))
    assert "\x1b[1;7mBorvik" in on(unread, force_terminal=True, color_system="truecolor")


def test_long_passages_are_cut_to_the_lines_with_the_words():
    text = "nothing here. " * 60 + "Ada was born in Borvik. " + "nothing more. " * 60
    found = Found(Question("0", "Where was Ada born?", ctxs=[Passage("p1", text)]))
    lines = on(found).splitlines()[2:-1]
    assert len(lines) == 4
    assert lines[0].startswith("    … ")
    assert lines[-1].endswith(" …")
    assert "Ada was born in Borvik." in " ".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ESCAPES, "\\x1b[2J\\x1b]0;owned\\x07 \\x9b31m \\u202egnorw"),
        ("a\nb\tc\r\nd\u2028e\x85f", "a b c  d e f"),
        ("نص 👩\u200d🚀 é", "نص 👩\u200d🚀 é"),
        ("[bold]x[/bold] \\[", "[bold]x[/bold] \\["),
        ("\x00\x7f\u200b\ufeff", "\\x00\\x7f\\u200b\\ufeff"),
    ],
)
def test_nothing_unprintable_is_printed(text, expected):
    assert one_line(text) == expected


def test_markup_in_data_is_text():
    found = Found(Question("0", "x", ctxs=[Passage("p", "[red]x[/red] :smile:", "[link=http://a]t[/link]")]))
    out = on(found)
    assert "[link=http://a]t[/link]" in out
    assert "[red]x[/red] :smile:" in out


@pytest.mark.parametrize("name", ["search", "serve"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to search with"),
        (["--embeddings", "p.npy"], "--embeddings needs the --retriever"),
        (["--index", "x"], "--index needs the --retriever"),
        (["--retriever", "r"], "exactly one of --embeddings"),
        (["--retriever", "r", "--embeddings", "p.npy", "--index", "x"], "exactly one of --embeddings"),
    ],
)
def test_options_that_contradict_each_other(name, arguments, message, world, capsys):
    question = ["?"] if name == "search" else []
    assert cli.run([name, *question, "-p", world.passages, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_reader_is_needed_to_read_and_a_question_to_search(world, capsys):
    assert cli.run(["search", "a", "--bm25", "-p", world.passages, "--read"]) == 2
    assert "--read needs --reader" in capsys.readouterr().err
    assert cli.run(["search", " ", "--bm25", "-p", world.passages]) == 2
    assert "the question is empty" in capsys.readouterr().err


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_an_output_that_nobody_reads_or_that_is_closed(json, world):
    command = f"{sys.executable} -m fidtools search quagga --bm25 -p {world.passages} -q {' '.join(json)}"
    closed = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, text=True)
    assert closed.returncode == 1
    assert closed.stderr.startswith("fidtools: standard output is closed\n")
    full = subprocess.run(["bash", "-c", f"{command} >/dev/full"], capture_output=True, text=True)
    assert full.returncode == 1
    assert full.stderr.replace("<stdout>: ", "").startswith("fidtools: no space left on device\n")
