"""Random command lines of every command: they work or are refused with a message, and touch nothing but their outputs.

Each is a command line that works (of test_options) with one to three of the command's own options and one
of its words changed. `FUZZ_EXAMPLES=2000` tries so many of each command.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fidtools import cli
from fidtools.commands import _path_types as path_types
from tests.faults.damaged_models import write_language_model
from tests.faults.test_options import COMMANDS, EVERY, NONSENSE, USAGE, prepared

__all__ = ["prepared"]  # the fixture

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILES = ["passages.jsonl", "good.jsonl", "p.npy", "p.json", "p.ids"]
NAMES = ["out.jsonl", "out.npy", "out.gz", "ö 🙂", "a\x1b[31mb", "a\nb", "\udcff", "[/]", "%s", "x" * 300, "a,b", "x/y"]
PATHS = [*FILES, *NAMES, "folder", "folder/note.txt", "folder/new", "", ".", "..", "-", "missing/x.npy", "/dev/null"]
PATHS += ["./good.jsonl", "folder/../good.jsonl", "link.jsonl", "nan", "-1"]
TEXTS = ["", " ", ",", "=", "@", "{}", "{0}", "{question}", "{text.x}", "{", "\x1b[31m", "[/]", "ö", "\udcff", "a=b"]
TEXTS += [
    "nan",
    "-1",
    "1e400",
    "9" * 5000,
    "x" * 5000,
    "text",
    "score",
    "attention",
    "R@1",
    "EM<1",
    "beir",
    "csv",
    "trec-run",
]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # what a command line can hold
NUMBERS = [*NONSENSE, "0", "1", "2", "3", "0.5", "inf", "-0.0", "1_0", "٣", "0x10", " 1", "9" * 5000]
LASTING = {
    "--steps",
    "--batch",
    "--resamples",
    "--jobs",
    "--hidden",
    "--word-dim",
    "--projection",
    "--lora",
    "--words",
    "--per-passage",
}
"""Options that may ask for hours or for all memory."""

LONG, SECONDS = {"convert onnx", "doctor"}, pytest.mark.slow
"""Commands of which every trial takes seconds."""
MODEL = "lm"  # a causal language model
BASES = COMMANDS | {"generate-questions": ["passages.jsonl", "--model", MODEL, "--max-tokens", "2"]}
JAVA = "lucene"  # which keeps to the folder that it was started in
CACHES = ["rows", "bm25-tantivy", "bm25-lucene"]
"""What commands keep beside a corpus."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / MODEL
    write_language_model(folder)
    return folder


@pytest.fixture
def work(prepared: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Makes a folder with small files anew, in a folder of its own, and goes into it."""
    monkeypatch.setattr("fidtools.serving.server.serve", lambda *_: None)  # which does not end
    monkeypatch.setattr("fidtools.planning.rate", lambda *_: 1e6)  # which takes seconds

    def begin() -> Path:
        home = tmp_path / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(prepared, home / "work")
        shutil.copytree(model, home / "work" / MODEL)
        (home / "note.txt").write_text("ours")
        (home / "work" / "folder" / "note.txt").write_text("ours")
        (home / "work" / "link.jsonl").symlink_to("good.jsonl")
        monkeypatch.chdir(home / "work")
        given: io.RawIOBase = io.BytesIO(Path("good.jsonl").read_bytes())  # type: ignore[assignment]
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(given)))
        return home

    return begin


def values(command: str, option: click.Parameter) -> st.SearchStrategy[str]:
    """What an option may be given: what suits it, what another kind of option takes, and nonsense."""
    kind = option.type
    if isinstance(kind, click.Choice):
        return st.sampled_from([*(name for name in kind.choices if name != JAVA), "", "one"])
    if isinstance(kind, click.IntRange | click.FloatRange):
        limits = [
            str(limit) for limit in (getattr(kind, "max", None), getattr(kind, "most", None)) if limit is not None
        ]
        lasting = command.startswith("train-") or not LASTING.isdisjoint(option.opts)
        return st.sampled_from(NUMBERS if lasting else NUMBERS + limits)
    if isinstance(kind, path_types.Named | click.Path):
        return st.sampled_from([*PATHS, MODEL])
    return st.sampled_from(TEXTS) | st.sampled_from(PATHS) | st.text(CHARACTERS, max_size=8)


@st.composite
def command_lines(draw: st.DrawFn, command: str) -> list[str]:
    """A command line of the command, without its name."""
    words = list(BASES[command])
    if words and draw(st.integers(0, 3)) == 0:
        changed = draw(st.sampled_from([at for at, word in enumerate(words) if not word.startswith("-")]))
        if words[changed - 1] not in LASTING and command != "fetch":
            words[changed] = draw(st.sampled_from(PATHS))
    chosen = [option for option in EVERY[command].params if isinstance(option, click.Option)]
    for option in draw(st.lists(st.sampled_from(chosen), min_size=1, max_size=3)):
        words.append(draw(st.sampled_from([*option.opts, *option.secondary_opts])))
        if not (option.is_flag or option.count):
            words += [draw(values(command, option)) for _ in range(option.nargs)]
    return words


def contents(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def paths(command: str, words: list[str], *, written: bool) -> Iterator[Path]:
    """The files and folders that a command line writes or reads, as click understands it."""
    context = EVERY[command].make_context(command, list(words), resilient_parsing=True)
    for parameter in EVERY[command].params:
        writes = isinstance(parameter.type, path_types.Named) and parameter.type.writes is not None
        value = context.params.get(str(parameter.name))
        for each in value if isinstance(value, tuple) else (value,):
            if writes == written and isinstance(each, str | Path) and str(each) not in ("", "-"):
                yield Path(os.path.realpath(each))


@pytest.mark.parametrize("command", [pytest.param(name, marks=SECONDS if name in LONG else ()) for name in EVERY])
@FUZZ
@given(data=st.data())
def test_any_command_line_works_or_is_refused(
    command: str, work: Callable[[], Path], capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    words = data.draw(command_lines(command), "words")
    try_out(command, words, work(), capfd)


def try_out(command: str, words: list[str], home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Run a command line in `home`/work, and check how it ends and which files it has changed."""
    before = contents(home)
    code = cli.run([*command.split(), *words])
    said = capfd.readouterr().err
    assert code in (0, 1, USAGE), said
    assert "Traceback" not in said or not {"-v", "--verbose"}.isdisjoint(words)
    assert "panicked" not in said
    after = contents(home)
    changed = {Path(home, name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if changed:
        read = set(paths(command, words, written=False))
        written = [] if code == USAGE else [*paths(command, words, written=True), home / "work" / "toy"]
        caches = [path.with_name(f"{path.name}.{what}") for path in read for what in CACHES]
        assert not changed & read & {Path(home, name) for name in before}  # a field's name may be that of a new file
        assert not {path for path in changed if not any(is_of(path, place) for place in [*written, *caches])}, said


def is_of(path: Path, output: Path) -> bool:
    """Whether a file is an output, lies in it or beside it under its name: X.ids, .X.lock and X.partial of X.npy."""
    inside = path == output or output in path.parents
    beside = output.parent in path.parents and path.relative_to(output.parent).parts[0].lstrip(".").startswith(
        output.stem
    )
    return inside or beside
