"""The terminal: what the data holds is shown and not obeyed, streams may be closed, messages and bars do not mix."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from tests.commands.test_bad_input import EVERY, GOOD, PASSAGE, RETRIEVER, lines
from tests.faults.terminal import on_terminal, screen

ESCAPE = "\x1b]0;pwned\x07\x1b[31mEVIL"
SHOWN = r"\x1b]0;pwned\x07\x1b[31mEVIL"
QUESTION = {"id": "q", "question": "Where?", "answers": ["Oslo"], "ctxs": GOOD["ctxs"], "prediction": "Oslo"}


@pytest.fixture
def at(tmp_path) -> Path:
    lines(tmp_path / "passages.jsonl", *[PASSAGE | {"id": f"p{i}"} for i in range(5)])
    lines(tmp_path / "good.jsonl", GOOD, GOOD | {"id": "q2"})
    return tmp_path


def shell(command: str, at: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = command.replace("fidtools", f"{sys.executable} -m fidtools")
    env = os.environ | environment
    return subprocess.run(["bash", "-c", code], cwd=at, capture_output=True, check=False, timeout=120, env=env)


# --- markup and escapes of the data


@pytest.mark.parametrize("group", ["[/]", "[/red]", "[red]", "[bold]x", ":smile:", "\\[", ESCAPE])
def test_a_group_is_shown_as_it_is(group, at):
    lines(at / "q.jsonl", QUESTION | {"kind": group}, QUESTION | {"kind": "plain"})
    code, sent = on_terminal(["eval", "q.jsonl", "--by", "kind", "-m", "EM"], at, width=200)
    assert code == 0, sent
    assert (SHOWN if group == ESCAPE else group) in sent
    assert "\x1b]0;" not in sent


@pytest.mark.parametrize("command", [["eval", "-m", "EM"], ["compare", "-m", "EM", "--resamples", "100"]])
def test_a_file_is_named_as_it_is(command, at):
    names = ["[red]name.jsonl", "[bold]\x1b]0;x\x07.jsonl"]
    for name in names:
        lines(at / name, QUESTION, QUESTION | {"id": "q2", "prediction": name})
    code, sent = on_terminal([*command, *names], at, width=200)
    assert code == 0, sent
    assert "[red]name" in sent
    assert r"[bold]\x1b]0;x\x07" in sent
    assert "\x1b]0;" not in sent


MESSAGES: dict[str, Callable[[Path], list[str]]] = {
    "a missing file": lambda at: ["eval", f"{ESCAPE}-none"],
    "an output": lambda at: ["eval", "good.jsonl", "-o", f"{ESCAPE}/none"],
    "a command": lambda at: [ESCAPE],
    "a subcommand": lambda at: ["convert", ESCAPE],
    "an option": lambda at: ["eval", f"--{ESCAPE}"],
    "a number": lambda at: ["bm25", "good.jsonl", "-p", "passages.jsonl", "-k", ESCAPE],
    "a choice": lambda at: ["fetch", ESCAPE],
    "a metric": lambda at: ["eval", "good.jsonl", "-m", ESCAPE],
    "a format": lambda at: ["convert", "good.jsonl", "--to", ESCAPE],
    "a score's name": lambda at: ["convert", "good.jsonl", "--score", ESCAPE],
    "a teacher": lambda at: ["teacher-report", "good.jsonl", "--teacher", ESCAPE],
    "a model": lambda at: ["read", "good.jsonl", "--reader", f"./{ESCAPE}"],
}


@pytest.mark.parametrize("what", MESSAGES)
def test_messages_quote_the_command_line_without_its_escapes(what, at, monkeypatch, capfd):
    monkeypatch.chdir(at)
    assert cli.run(MESSAGES[what](at)) != 0
    said = capfd.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "EVIL" in said


@pytest.mark.parametrize(
    "record",
    [
        QUESTION | {"question": None, ESCAPE: 1},
        QUESTION | {"question": None, "id": ESCAPE},
        QUESTION | {"ctxs": [GOOD["ctxs"][0] | {"scores": {ESCAPE: "abc"}}]},
        QUESTION | {"ctxs": [{"id": ESCAPE, "title": "t"}]},
        QUESTION | {"answers": [{ESCAPE: 1}]},
        {ESCAPE: 1},
    ],
)
@pytest.mark.parametrize("command", ["bm25", "read", "fuse", "compare", "eval", "teacher-report"])
def test_messages_quote_the_data_without_its_escapes(record, command, at, monkeypatch, capfd):
    monkeypatch.chdir(at)
    lines(at / f"{ESCAPE}.jsonl".replace("/", ""), record, record)
    cli.run([*EVERY[command](f"{ESCAPE}.jsonl", at), "-o", str(at / "out")])
    said = capfd.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said


def test_logged_messages_show_escapes_of_the_data(at, monkeypatch, capfd):
    monkeypatch.chdir(at)
    lines(at / f"{ESCAPE}.jsonl", QUESTION)
    assert cli.run(["convert", f"{ESCAPE}.jsonl", "-o", "out.jsonl"]) == 0
    said = capfd.readouterr().err
    assert SHOWN in said
    assert "\x1b" not in said


# --- streams


def test_a_closed_stream_that_is_not_needed_does_not_matter(at):
    command = "fidtools bm25 good.jsonl -p passages.jsonl -q -o"
    assert shell(f"{command} right.jsonl", at).returncode == 0
    right = (at / "right.jsonl").read_bytes()
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"]:
        done = shell(f"{command} out.jsonl {closed}", at)
        assert (done.returncode, done.stderr) == (0, b""), closed
        assert (at / "out.jsonl").read_bytes() == right
        (at / "out.jsonl").unlink()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fidtools bm25 good.jsonl -p passages.jsonl >&-", "standard output is closed"),
        ("fidtools bm25 - -p passages.jsonl <&-", "standard input is closed"),
        ("fidtools eval <&-", "standard input is closed"),
        ("fidtools chunk <&-", "standard input is closed"),
        ("fidtools convert data --from jsonl <&-", "standard input is closed"),
    ],
)
def test_a_closed_stream_that_is_needed_is_one_message(command, said, at):
    done = shell(command, at)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"fidtools: {said}\n")
    assert done.stderr.count(b"\n") <= 2


@pytest.mark.parametrize(
    "command", ["eval good.jsonl", "bm25 good.jsonl -p passages.jsonl", "convert --list", "--help"]
)
def test_an_output_that_is_full_is_one_message(command, at):
    done = shell(f"fidtools {command} -q >/dev/full" if command != "--help" else "fidtools --help >/dev/full", at)
    assert done.returncode == 1
    assert re.match(r"fidtools: (<stdout>: )?no space left on device\n", done.stderr.decode())
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize(("to", "shown"), [(">/dev/full", "<stdout>"), ("-o /dev/full", "/dev/full")])
def test_lines_that_went_to_a_full_disk_are_said_to_be_incomplete(to, shown, at):
    """The message was that of a file, which is removed: "no incomplete output was left"."""
    done = shell(f"fidtools convert good.jsonl -q {to}", at)
    assert done.returncode == 1
    problem, hint = done.stderr.decode().splitlines()
    assert problem == f"fidtools: {shown}: no space left on device"
    assert hint == "  what was written there is incomplete: free some space and run it again"


@pytest.mark.parametrize("command", ["--help", "--version", "convert --list", "convert data --sniff good.jsonl"])
def test_what_is_printed_to_a_full_disk_is_said_to_be_incomplete(command, at):
    done = shell(f"unset PYTHONUNBUFFERED; fidtools {command} >/dev/full", at)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "fidtools: <stdout>: no space left on device",
        "  what was written there is incomplete: free some space and run it again",
    ]


WRITES_LINES = ["bm25", "eval", "compare", "fuse", "convert", "chunk", "teacher-report"]


@pytest.mark.parametrize("command", WRITES_LINES)
def test_a_reader_that_has_gone_ends_a_command_silently(command, at):
    arguments = " ".join(EVERY[command]("passages.jsonl" if command == "chunk" else "good.jsonl", at))
    done = shell(f"fidtools {arguments} -qq | true; echo ${{PIPESTATUS[0]}}", at)
    assert done.stdout.split()[-1] in (b"0", b"141")
    assert done.stderr == b""


def test_nobody_reads_the_messages(at):
    done = shell(
        "fidtools bm25 good.jsonl -p passages.jsonl -o out.jsonl 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}", at
    )
    assert done.returncode in (0, 141)
    assert shell("fidtools eval none.jsonl 2>&1 | true; exit ${PIPESTATUS[0]}", at).returncode in (1, 141)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_characters_that_an_encoding_lacks_are_replaced(encoding, at):
    lines(at / "日本.jsonl", QUESTION | {"kind": "日本"}, QUESTION | {"kind": "β"})
    for command in [
        "--help",
        "eval --help",
        "eval 日本.jsonl --by kind",
        "convert 日本.jsonl",
        "convert --sniff 日本.jsonl",
    ]:
        done = shell(f"fidtools {command}", at, PYTHONIOENCODING=encoding)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), (command, done.stderr)
    missing = shell("fidtools eval 日本-none.jsonl", at, PYTHONIOENCODING=encoding)
    assert missing.returncode == 1
    assert rb"\u65e5\u672c-none.jsonl: no such file" in missing.stderr


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}]
)
def test_tables_on_poor_terminals(environment, at):
    lines(at / "a.jsonl", QUESTION, QUESTION | {"id": "q2"})
    code, sent = on_terminal(["eval", "a.jsonl", "-m", "EM"], at, **environment)
    assert code == 0, sent
    assert "100.00%" in sent
    assert "Traceback" not in sent
    if environment.get("PYTHONIOENCODING"):
        assert "+---" in sent
        assert "━" not in sent
    if environment.get("TERM") == "dumb":
        assert "\x1b" not in sent


# --- messages and bars

BARS = """
import sys, time
from fidtools import logs
logs.set_verbosity(0)
for number in logs.track(range(3), {label!r}, 3000, size=lambda item: 1000):
    for inner in logs.track(range(2), "inner", 2):
        time.sleep(0.15)
    logs.log.info("message %d of [red]", number)
"""


def test_messages_stand_whole_above_the_bars(at):
    (at / "bars.py").write_text(BARS.format(label="[bold]texts" + ESCAPE))
    code, sent = on_terminal([sys.executable, "bars.py"], at, width=160)
    assert code == 0, sent
    assert [line for line in screen(sent) if line] == [f"message {number} of [red]" for number in range(3)]
    assert "\x1b]0;" not in sent
    assert "[bold]texts" in sent
    assert re.search(r"2,000/3,000", sent)
    assert re.search(r"[\d,.]+/s", sent)


def test_no_bar_where_it_cannot_be_drawn(at):
    (at / "bars.py").write_text(BARS.format(label="texts"))
    for environment in ({"TERM": "dumb"}, {"TERM": ""}):
        _, sent = on_terminal([sys.executable, "bars.py"], at, **environment)
        assert sent.split("\n")[:3] == [f"message {number} of [red]" for number in range(3)]


def test_the_cursor_is_shown_again_after_an_error(at):
    lines(at / "bad.jsonl", *[QUESTION] * 3, {"id": 3})
    code, sent = on_terminal(["eval", "bad.jsonl"], at)
    assert code == 1
    assert sent.count("\x1b[?25l") == sent.count("\x1b[?25h") > 0
    assert any(line.startswith("fidtools: bad.jsonl:4:") for line in screen(sent))


def test_lines_on_the_terminal_are_not_torn_by_a_bar(at):
    lines(at / "many.jsonl", *[QUESTION | {"id": str(number), "prediction": None} for number in range(50)])
    code, sent = on_terminal(["fuse", "many.jsonl", "many.jsonl"], at, width=4000)
    assert code == 0
    assert [orjson.loads(line)["id"] for line in sent.strip().split("\n")] == [str(number) for number in range(50)]


def test_embedding_counts_texts(at):
    lines(at / "texts.jsonl", *[PASSAGE | {"id": str(number)} for number in range(300)])
    code, sent = on_terminal(["embed", "texts.jsonl", "--retriever", RETRIEVER, "-o", "p.npy"], at, width=160)
    assert code == 0, sent
    assert "0/300" in sent
    assert "texts embedded" in sent


def test_a_command_that_waits_for_the_keyboard_says_so(at):
    code, sent = typed(at)
    assert "reading standard input from the keyboard" in sent
    assert code == 1


def typed(at: Path) -> tuple[int, str]:
    """`fidtools eval` on a terminal where Ctrl-D is typed once it waits."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fidtools", "eval"], cwd=at, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(slave)
    assert process.stderr is not None
    said = process.stderr.readline()
    os.write(master, b"\x04")
    rest = process.communicate(timeout=60)[1]
    os.close(master)
    return process.returncode, (said + rest).decode()


# --- suggestions


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["evla"], "eval"),
        (["trian-retriever"], "train-retriever"),
        (["convert", "retreiver", "x"], "retriever"),
        (["eval", "--profil", "x"], "--profile"),
        (["bm25", "--passage", "x"], "--passages"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(typed, meant, capsys):
    assert cli.run(typed) == 2
    said = capsys.readouterr().err
    assert "Did you mean" in said
    assert meant in said.split("Did you mean")[1]
