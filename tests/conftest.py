"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fidtools.logs import log

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def talk_of_one_test() -> None:
    """What a command says goes to this test's stderr, whatever was run before it."""
    log.handlers.clear()
    log.propagate = True


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A file of the shared real data; the test is skipped where that is not at hand."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs the shared data beside the checkout: {name}")
        return path

    return find
