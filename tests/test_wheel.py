"""The wheel alone: every file that the code opens is inside, and the commands work away from the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from fidtools.commands import SUMMARIES

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("fidtools", "pyproject.toml", "README.md", "LICENSE")
CHECK_HELP = """
import contextlib, io, sys, fidtools
from fidtools import cli
from fidtools.commands import SUMMARIES
for name in SUMMARIES:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert cli.run([name, "--help"]) == 0 and shown.getvalue(), name
print(fidtools.__file__)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that the wheel of the present source unpacks to."""
    if find_spec("setuptools") is None:
        pytest.skip("building a wheel without a network needs setuptools in the environment")
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:  # a copy: what an earlier build left in the repository would be built again
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / "source" / name)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "-w", str(folder), str(folder / "source")], check=True, capture_output=True)
    (wheel,) = folder.glob("fidtools-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, *arguments: str, at: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, *arguments], cwd=at, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_file_of_the_package_is_in_the_wheel(installed):
    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder).as_posix() for path in (folder / "fidtools").rglob("*") if path.is_file())
        return {name for name in found if "__pycache__" not in name}

    assert files(installed) == files(ROOT)
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {"fidtools"}


def test_every_command_shows_its_help_away_from_the_repository(installed, tmp_path):
    assert len(SUMMARIES) > 20
    assert Path(run(installed, "-c", CHECK_HELP, at=tmp_path).strip()).is_relative_to(installed)


def test_a_small_chain_runs_away_from_the_repository(installed, tmp_path):
    def fidtools(*arguments: str) -> str:
        return run(installed, "-m", "fidtools", *arguments, "-q", at=tmp_path)

    fidtools("fetch", "toy", "-o", "toy")
    lines = (tmp_path / "toy" / "test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "questions.jsonl").write_text("".join(lines[:20]))
    fidtools("bm25", "questions.jsonl", "-p", "toy/passages.jsonl", "-o", "ranked.jsonl")
    fidtools("report", "ranked.jsonl", "-o", "report.html")
    assert (tmp_path / "report.html").stat().st_size > 100_000  # with its scripts, which are data files
    metrics = json.loads(fidtools("eval", "ranked.jsonl", "--json"))["files"][0]["metrics"]
    assert metrics["R@100"]["n"] == 20
