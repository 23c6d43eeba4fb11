"""The pinned versions satisfy every extra at once, on every Python that is promised."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)


def pins() -> dict[str, str]:
    """The version of each package in constraints.txt. A second line for one package is an error."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            (specifier,) = (required := Requirement(line)).specifier
            assert specifier.operator == "=="
            assert canonicalize_name(required.name) not in found, f"{required.name} is pinned twice"
            found[canonicalize_name(required.name)] = specifier.version
    return found


def required(python: str) -> Iterator[tuple[str, Requirement]]:
    """What each extra needs, and the package itself, on that Python."""
    environment = {"python_version": python, "sys_platform": "linux"}
    lists = {"fidtools": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    for extra, lines in lists.items():
        for line in lines:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate(environment):
                yield extra, needed


def test_the_promised_pythons_are_those_of_requires_python() -> None:
    assert PYTHONS == ["3.11", "3.12", "3.13"]
    assert [python for python in PYTHONS if python not in SpecifierSet(PROJECT["requires-python"])] == []
    assert "3.10" not in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize("python", PYTHONS)
def test_one_set_of_versions_serves_every_extra(python: str) -> None:
    pinned, wrong = pins(), []
    for extra, needed in required(python):
        if needed.name == PROJECT["name"]:
            wrong += [f"{extra}: no extra {name}" for name in needed.extras - PROJECT["optional-dependencies"].keys()]
        elif not needed.specifier.contains(pinned.get(canonicalize_name(needed.name), "0")):
            wrong.append(f"{extra}: {needed}, pinned {pinned.get(canonicalize_name(needed.name))}")
    assert wrong == []
