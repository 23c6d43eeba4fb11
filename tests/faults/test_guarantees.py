"""The promises of docs/guarantees.md name tests that exist; and every command is in the table of (command × kind)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults import test_kills, test_options, test_outputs

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PROMISES = [line for line in (ROOT / "docs/guarantees.md").read_text().splitlines() if re.match(r"\| [^-p]", line)]

ENDLESS = "does not end, and writes nothing"
PRINTS = "prints or writes one small file in one step"
RANKED = "writes line by line into an unfinished file, as `bm25` does"
NOT_KILLED = {
    **dict.fromkeys(["search", "plan", "validate", "doctor"], PRINTS),
    "serve": ENDLESS,
    **dict.fromkeys(["compare", "teacher-report"], PRINTS),
    "collapse": "writes its lines as `fuse` does",
    "generate-questions": RANKED,
    **dict.fromkeys(["convert retriever", "convert dpr", "convert onnx"], "writes its folder as `index` does"),
}
"""Commands that are not killed at every event, with the reason. Those that are killed are in test_kills."""


def killed() -> set[str]:
    """The commands that test_kills kills, by their words."""
    both = {" ".join(words[:2]) for words in test_kills.COMMANDS.values()} & test_options.EVERY.keys()
    data = {"convert data" if words[0] == "convert" else words[0] for words in test_kills.COMMANDS.values()}
    return both | data


@pytest.mark.parametrize("command", test_options.EVERY)
def test_every_command_has_its_place_in_the_table(command: str) -> None:
    """Options and outputs of every command are tried; every one is killed and run without room, or says why not."""
    limited = {re.split(r" [-.]", name)[0] for name in test_outputs.LIMITED}
    assert command in test_options.COMMANDS
    assert (command in limited) != (command in test_outputs.NOT_LIMITED)
    assert (command in killed()) != (command in NOT_KILLED)


def test_the_table_names_no_other_commands() -> None:
    assert {*NOT_KILLED, *killed(), *test_outputs.NOT_LIMITED} == set(test_options.EVERY)


def test_there_are_promises() -> None:
    assert len(PROMISES) > 25


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_tests_that_exist(promise: str) -> None:
    named = NAMED.findall(promise)
    assert named
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert found
        assert not name or name in found
