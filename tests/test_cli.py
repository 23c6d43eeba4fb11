"""How the command behaves as a Unix tool: start-up, help, exit codes, signals, pipes."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fidtools import cli, commands
from fidtools.commands import SECTIONS, SUMMARIES

HEAVY = ["torch", "transformers", "faiss", "jnius", "tantivy", "numpy", "rich", "accelerate"]
MODULES = sorted(path.stem for path in Path(commands.__path__[0]).glob("*.py") if path.stem[0] != "_")
NAMES = list(SUMMARIES)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_lists_every_command_and_loads_nothing_heavy():
    loaded = f"print([m for m in sys.modules if m in {HEAVY} or m.startswith('fidtools.commands.') and '._' not in m])"
    done = python(f"import sys; from fidtools import cli; cli.run(['--help']); {loaded}")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[]"
    listed = [line.split()[0] for line in done.stdout.split("Data:")[1].splitlines() if line.startswith("  ")]
    assert listed == NAMES


def test_each_command_is_in_exactly_one_section():
    listed = [name.replace("-", "_") for section in SECTIONS.values() for name in section]
    assert sorted(listed) == MODULES


@pytest.mark.parametrize("name", NAMES)
def test_each_summary_is_whole_at_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["--help"]) == 0
    assert re.search(rf"^  {name} +{re.escape(SUMMARIES[name])}$", capsys.readouterr().out, re.MULTILINE)
    assert len(SUMMARIES[name]) <= 45
    assert not SUMMARIES[name].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example_and_the_common_options(name, capsys):
    assert cli.run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"fidtools {name} " in shown.split("Options:")[0].replace(f"Usage: fidtools {name}", "")
    for option in ("-v, --verbose", "-q, --quiet"):
        assert option in shown


@pytest.mark.parametrize("module", MODULES)
def test_every_command_module_imports_alone_and_lightly(module):
    done = python(f"import sys, fidtools.commands.{module}; print([m for m in {HEAVY} if m in sys.modules])")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_an_unknown_command_is_a_usage_error(capsys):
    assert cli.run(["trian-reader"]) == 2
    assert "No such command 'trian-reader'" in capsys.readouterr().err


@pytest.fixture
def failing_command(monkeypatch):
    """Register a command that raises `error`; returns the exit code of running it."""

    def run(error: BaseException) -> int:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr(cli.cli, "get_command", lambda ctx, name: command)
        return cli.run(["anything"])

    return run


def test_a_full_disk_is_one_line(failing_command, capsys):
    assert failing_command(OSError(28, "No space left on device", "out.jsonl")) == 1
    assert capsys.readouterr().err.startswith("fidtools: out.jsonl: no space left on device\n")


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_a_full_disk_is_one_line_when_a_native_library_met_it(failing_command, capsys, kind):
    assert failing_command(kind("write error in .i.partial/v: 6 != 9 (No space left on device)")) == 1
    assert capsys.readouterr().err.splitlines()[0] == "fidtools: no space left on device"


def test_out_of_gpu_memory_names_the_token_budget(failing_command, capsys):
    import torch

    error = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which"
    assert failing_command(torch.OutOfMemoryError(error)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "fidtools: out of GPU memory: 20.00 GiB could not be allocated"
    assert second.startswith("  try a smaller --token-budget")


def test_memory_that_a_native_library_lacks_is_no_bug(failing_command, capsys):
    assert failing_command(ValueError("mmap failed: Cannot allocate memory (os error 12)")) == 1
    assert capsys.readouterr().err.startswith("fidtools: out of memory\n")


def test_an_unforeseen_failure_is_one_line_that_names_the_place_to_look(failing_command, capsys):
    assert failing_command(RuntimeError("odd\x1b]0;x\x07")) == 70
    assert capsys.readouterr().err == (
        "fidtools: unexpected error: RuntimeError: odd\\x1b]0;x\\x07\n"
        "  run it again with -v for the traceback, and please report it\n"
    )


def test_verbose_shows_the_traceback_of_an_unforeseen_failure(failing_command, capsys, monkeypatch):
    monkeypatch.setattr(cli.log, "level", logging.DEBUG)
    monkeypatch.setattr(cli.log, "_cache", {})
    assert failing_command(RuntimeError("odd")) == 70
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert rest[-3:-1] == ["RuntimeError: odd", "fidtools: unexpected error: RuntimeError: odd"]


def test_a_panic_of_a_library_in_rust_is_one_line_too(failing_command, capsys):
    class PanicException(BaseException):
        """As pyo3 raises it."""

    assert failing_command(PanicException("index out of bounds")) == 70
    assert "unexpected error: PanicException: index out of bounds" in capsys.readouterr().err


def test_a_removed_current_folder_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert cli.run(["doctor"]) == 1
    assert capsys.readouterr().err == "fidtools: the current folder no longer exists\n  change to one that does\n"


def test_ctrl_c_says_so_and_exits_130(failing_command, capsys):
    assert failing_command(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "fidtools: interrupted"


def test_head_ends_a_stream_silently(tmp_path):
    (tmp_path / "document.txt").write_text("word " * 2_000_000)
    command = f"{sys.executable} -m fidtools chunk {tmp_path} | head -1 | wc -l; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["1", str(cli.BROKEN_PIPE)], "")
