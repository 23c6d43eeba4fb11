"""Tables on a terminal of any width: every number whole, names short and distinct, nothing compared that is unlike."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import orjson
import pytest
from rich.console import Console
from rich.text import Text

from fidtools.cli import run
from fidtools.data.jsonl import write_lines
from fidtools.evaluation.comparisons import shown_p
from fidtools.evaluation.grid import Grid, fitted
from fidtools.evaluation.significance import p_value
from fidtools.evaluation.system_names import distinct_names
from tests.faults.terminal import on_terminal

METRICS = ["EM", "F1", "R@1", "R@5", "R@20", "R@100", "MRR", "MAP", "gold-R@1", "gold-nDCG@10"]


def printed(grid: Grid, width: int) -> list[str]:
    screen = Console(width=width, file=StringIO(), legacy_windows=False)
    screen.print(*fitted(grid, width))
    return screen.file.getvalue().splitlines()


def grid(rows: int, columns: int, name: str = "runs/some-long-name/{}.answered.jsonl") -> Grid:
    cells = [[Text(f"{10 * row + column:.2f}%") for column in range(columns)] for row in range(rows)]
    return Grid(("file",), [(name.format(row),) for row in range(rows)], METRICS[:columns], cells)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize(("rows", "columns"), [(1, 10), (2, 10), (9, 3), (9, 10)])
def test_no_number_is_cut_at_any_width(width, rows, columns):
    lines = printed(grid(rows, columns), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    numbers = sorted(re.findall(r"\d+\.\d\d%", text))
    assert numbers == sorted(cell.plain for row in grid(rows, columns).cells for cell in row)


def test_a_table_that_is_too_wide_is_transposed():
    short = grid(2, 10, "{}")
    assert len(printed(short, 200)) < len(printed(short, 80))
    head, *_ = [line for line in printed(short, 80) if "0" in line]
    assert re.findall(r"[^┃\s]+", head) == ["0", "1"]


def write(path: Path, count: int, *, start: int = 0, prediction: str = "Oslo") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    passages = [{"id": "1", "title": "", "text": "Oslo is a town", "score": 1.0}]
    with path.open("wb") as out:
        for number in range(start, start + count):
            question = {"id": f"q{number}", "question": f"Where is {number}?", "answers": ["Oslo"], "ctxs": passages}
            out.write(orjson.dumps(question | {"prediction": prediction}) + b"\n")
    return str(path)


@pytest.mark.parametrize("width", [40, 80])
def test_eval_and_compare_show_every_number_on_narrow_terminals(width, tmp_path):
    files = [write(tmp_path / str(number) / "test.answered.jsonl", 30, prediction=str(number)) for number in (0, 1)]
    one = ["eval", "--k", "1"]  # as many passages as there are
    for command in ([*one, *files], [*one, files[0]], ["compare", *files, "--resamples", "100", "-m", "EM"]):
        code, sent = on_terminal(command, tmp_path, width=width)
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sent)
        assert code == 0, sent
        assert max(map(len, plain.splitlines())) <= max(width, max(map(len, files)))
        assert "…" not in plain
    assert "1 against 0" in plain


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["runs/a/dev.jsonl", "runs/b/dev.jsonl"], ["a", "b"]),
        (["runs/a.jsonl", "runs/b.jsonl"], ["a.jsonl", "b.jsonl"]),
        (["0/dev.jsonl", "1/dev.jsonl", "1/test.jsonl"], ["0/dev.jsonl", "1/dev.jsonl", "1/test.jsonl"]),
        (["x/a/1/d.jsonl", "x/b/1/d.jsonl"], ["a", "b"]),
        (["d.jsonl", "b/d.jsonl"], ["d.jsonl", "b/d.jsonl"]),
        (["runs/a/dev.jsonl"], ["dev.jsonl"]),
        (["a.jsonl", "a.jsonl"], ["a.jsonl", "a.jsonl"]),
        (["-", "a.jsonl"], ["-", "a.jsonl"]),
    ],
)
def test_names_are_what_tells_paths_apart(files, names):
    assert distinct_names(files) == names


def test_files_of_other_questions_are_not_compared_as_if_they_were_the_same(tmp_path, capsys):
    a, b = write(tmp_path / "a.jsonl", 30), write(tmp_path / "b.jsonl", 20, start=15)
    assert run(["eval", a, b, "-m", "EM"]) == 0
    expected = "measured on different questions and cannot be compared: a.jsonl has 30, b.jsonl has 20; 15 are in all"
    assert expected in capsys.readouterr().err
    _, sent = on_terminal(["eval", a, b, "-m", "EM"], tmp_path)
    assert "\x1b[1m100.00%" not in sent  # no best


def test_files_of_the_same_questions_in_another_order_are_compared(tmp_path, capsys):
    a = write(tmp_path / "a.jsonl", 10)
    lines = Path(a).read_bytes().splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_bytes(b"".join(reversed(lines)))
    assert run(["eval", a, str(tmp_path / "b.jsonl"), "-m", "EM"]) == 0
    assert "different questions" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        (["7.0"], ["no gold passage is listed for its question: are the ids of one corpus? (gold is 7.0, listed 7)"]),
        (["8.0", "8"], []),
        ({"7.0": 0}, []),
    ],
)
@pytest.mark.parametrize("command", ["eval", "compare"])
def test_gold_of_another_spelling_than_all_passages_is_named_once(command, gold, said, tmp_path, capsys):
    passages = [{"id": "7", "text": "a"}, {"id": "8", "text": "b"}]
    lines = [{"id": str(i), "question": f"q{i}", "answers": ["a"], "ctxs": passages, "gold": gold} for i in range(2)]
    write_lines(tmp_path / "a.jsonl", lines)
    a = str(tmp_path / "a.jsonl")
    names = ["-m", "R@1", "-m", "gold-R@1", "-m", "AP"]
    assert run([command, *([a] if command == "eval" else [a, a]), *names]) == 0
    notes = [line.partition("a.jsonl: ")[2] for line in capsys.readouterr().err.splitlines()]
    times = 1 if command == "eval" else 2  # once for each file
    assert [note for note in notes if note.startswith("no gold passage is listed")] == said * times


@pytest.mark.parametrize("command", ["eval", "compare"])
def test_qrels_that_share_no_question_are_refused(command, tmp_path, capsys):
    a = write(tmp_path / "a.jsonl", 3)
    (tmp_path / "qrels.txt").write_text("17 0 1 1\n")
    assert run([command, *([a] if command == "eval" else [a, a]), "--qrels", str(tmp_path / "qrels.txt")]) == 1
    said = capsys.readouterr().err
    assert f"{a}: shares no question id with the relevance judgements of --qrels" in said
    assert "a judged one is 17, one of the file q0" in said


def test_a_p_value_at_the_floor_may_be_smaller(tmp_path):
    assert shown_p(1 / 10_001, 1 / 10_001) == "≤ 0.0001"
    assert shown_p(2 / 10_001, 1 / 10_001) == "0.0002"
    assert shown_p(1 / 1_000_001, 1 / 1_000_001) == "≤ 1.0e-06"
    assert [p_value(p) for p in (1.0, 0.05, 0.0001, 0.00001)] == ["1.0000", "0.0500", "0.0001", "1.0e-05"]
    a, b = write(tmp_path / "a.jsonl", 40), write(tmp_path / "b.jsonl", 40, prediction="Rome")
    _, sent = on_terminal(["compare", a, b, "-m", "EM", "--resamples", "1000"], tmp_path, width=160)
    assert "≤ 0.0010" in sent
