"""The documentation is executed: every `sh` block of every page runs, in a folder with a small world in it."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fidtools import cli
from tests.toy_models import MODELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/how-to/*.md"), *ROOT.glob("examples/*/README.md")]
)
BLOCK = re.compile(r"(<!-- (?:toy|tests) -->\n)?^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The page's shell blocks; the README's two set-up blocks are what CI and the slow test run."""
    return [block for marker, block in BLOCK.findall(page.read_text(encoding="utf-8")) if not marker]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with what the pages speak of: documents, questions, passages, a trained reader and a retriever."""
    from fidtools.datasets import toy

    folder = tmp_path_factory.mktemp("world")
    toy.write(folder, seed=5)
    for split, kept in {"train": 60, "dev": 20, "test": 20}.items():
        lines = (folder / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (folder / f"{split}.jsonl").write_text("".join(lines[:kept]))
    shutil.copy(folder / "test.jsonl", folder / "questions.jsonl")
    for name in ("reader", "retriever"):
        shutil.copytree(MODELS / name, folder / name)
    (folder / "my-documents").mkdir()
    (folder / "my-documents" / "lighthouse.txt").write_text("The lighthouse was built in 1901. " * 40)
    return folder


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_commands_of_the_page_run(page, world, tmp_path):
    folder = tmp_path / "world"
    shutil.copytree(world, folder)
    script = "\n".join(line for line in "\n".join(blocks(page)).splitlines() if "venv/bin/activate" not in line)
    done = subprocess.run(
        ["bash", "-xeuo", "pipefail", "-c", script], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_page_of_commands_is_what_a_fresh_process_prints():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^## (fidtools[^\n]*)\n\n```text\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL))
    command_lines = runpy.run_path(str(ROOT / "docs" / "make_commands.py"))["command_lines"]
    assert list(shown) == [" ".join(["fidtools", *names]) for names in command_lines(cli.cli)]
    fresh = environment() | {"COLUMNS": "100"}
    for name, text in shown.items():
        command = [sys.executable, "-m", *name.split(), "--help"]
        done = subprocess.run(command, env=fresh, capture_output=True, text=True, check=True)
        assert text == done.stdout.rstrip(), f"{name} is out of date: run python docs/make_commands.py"


@pytest.mark.parametrize("name", ["eval.md", "exports.md", "formats.md", "retriever.md"])
def test_generated_tables_are_current(name):
    made = runpy.run_path(str(ROOT / "docs" / "make_tables.py"))["page"](name)
    assert "<!-- generated: " in made
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made, "run: python docs/make_tables.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


NOT_RUN = re.compile(r"^```(?:bash|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def command_lines(page: Path) -> list[tuple[str, list[str]]]:
    """The name and the words after it of every `fidtools …` in the blocks that are not run."""
    found = []
    for block in NOT_RUN.findall(page.read_text(encoding="utf-8")):
        for part in re.split(r"[|;\n]|&&|\bdo\b", block.replace("\\\n", " ")):
            if match := re.search(r"\bfidtools ([a-z][a-z0-9-]+) ([^#]*)", part):
                found.append((match[1], match[2].split()))
    return found


def test_commands_on_pages_that_are_not_run_have_the_options_of_their_help():
    context, seen = click.Context(cli.cli), 0
    for page in [*PAGES, *ROOT.glob("benchmarks/*.md")]:
        for name, words in command_lines(page):
            command = cli.cli.get_command(context, name)
            assert command is not None, f"{page.name}: fidtools {name}"
            if isinstance(command, click.Group):
                chosen = words[0] if words and words[0] in command.list_commands(context) else "data"
                command = command.get_command(click.Context(command), chosen)
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            given = {word.split("=")[0].strip("`[]") for word in words if re.match(r"\[?--[a-z]", word)}
            assert given <= known | {"--help"}, f"{page.name}: fidtools {name} {sorted(given - known)}"
            seen += 1
    assert seen > 100
