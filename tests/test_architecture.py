"""The house as docs/architecture.md draws it: floors, rooms and sizes, read from the source without running it."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "fidtools"

# From the ground up. A room imports from its own folder and from lower floors, never from another room of its floor.
FLOORS: list[set[str]] = [
    {"errors"},
    {"typing"},
    {"console"},
    {"logs"},
    {"data"},
    {"compute", "documents"},
    {"metrics"},
    {"encoders"},
    {"training"},
    {"sparse", "search", "reader", "retriever", "teachers", "language_models"},
    {"formats"},
    {"released", "evaluation"},
    {"datasets", "planning", "report", "doctor", "validation"},
    {"serving"},
    {"commands"},
    {"cli"},
    {"__main__"},
]

# Arrows that point up or sideways, each with its reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}

# Basenames that several rooms use because their parts are parallel. Modules of commands are named after the command.
PARALLEL = {
    "model": "the model of its room: reader, teacher, …",
    "objective": "what a training loop minimises and evaluates: reader, retriever, teacher",
    "train": "the training of its room's model",
    "run_config": "the configuration of one training run of its room's model",
    "likelihood": "log-probabilities of a text: by a Fusion-in-Decoder reader, by a causal language model",
    "scoring": "passages scored by the room's model: by attention, by a cross-encoder",
    "settings": "the settings that a model folder keeps",
    "registry": "the named things of a room: metrics, formats",
    "ranking": "data: what all rankings share; sparse: ranking by BM25",
}

LONGEST_FUNCTION = 50
LONG_FUNCTIONS = {
    "fidtools.commands.compare.command": "a command's parameters and the help text in its docstring",
    "fidtools.commands.plan.command": "a command's parameters and the help text in its docstring",
    "fidtools.commands.retrieve.command": "a command's parameters and the help text in its docstring",
    "fidtools.commands.train_reader.command": "a command's parameters and the help text in its docstring",
}
LARGEST_MEDIAN_FILE = 110


@dataclass(frozen=True)
class Import:
    """A name that one module takes from another module of the package."""

    importer: str
    imported: str
    name: str

    def __str__(self) -> str:
        return f"{self.importer} imports {self.imported}" + (f".{self.name}" if self.name else "")


@cache
def modules() -> dict[str, ast.Module]:
    """The syntax tree of every module, by its dotted name."""
    trees = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def room(module: str) -> str:
    """The folder or module below `fidtools` that a module belongs to; empty for the package itself."""
    return [*module.split("."), ""][1]


def imports_of(module: str) -> list[Import]:
    """Every import from the package in a module, also those inside functions."""
    found = []
    package = module if any(other.startswith(f"{module}.") for other in modules()) else module.rpartition(".")[0]
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found += [Import(module, alias.name, "") for alias in node.names if alias.name.split(".")[0] == PACKAGE]
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (above, node.module) if part)
            if source.split(".")[0] == PACKAGE:
                found += [whole(module, source, alias.name) for alias in node.names]
    return found


def whole(importer: str, source: str, name: str) -> Import:
    """`from fidtools.data import files` imports a module, `from fidtools.data.files import atomic_path` a name."""
    child = f"{source}.{name}"
    return Import(importer, child, "") if child in modules() else Import(importer, source, name)


@cache
def imports() -> list[Import]:
    return list(chain.from_iterable(map(imports_of, modules())))


def between_rooms() -> list[Import]:
    return [each for each in imports() if room(each.importer) != room(each.imported)]


def floor(module: str) -> int:
    name = room(module)
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def listing(lines: list[str]) -> str:
    return "".join(f"\n  {line}" for line in sorted(lines))


def test_every_room_has_a_floor():
    known = set().union(*FLOORS)
    assert {room(module) for module in modules()} - {""} <= known


def test_no_room_imports_from_its_own_floor_or_a_higher_one():
    wrong = [
        str(each)
        for each in between_rooms()
        if room(each.imported)  # the package itself holds the version only
        and floor(each.imported) >= floor(each.importer)
        and (room(each.importer), room(each.imported)) not in EXCEPTIONS
    ]
    assert not wrong, listing(wrong)


def test_no_room_uses_the_private_names_of_another():
    wrong = [
        str(each)
        for each in between_rooms()
        if any(part.startswith("_") and not part.startswith("__") for part in (*each.imported.split("."), each.name))
    ]
    assert not wrong, listing(wrong)


def test_no_module_imports_itself_by_a_detour():
    graph = defaultdict(set)
    for each in imports():
        if each.imported in modules() and not each.importer.startswith(f"{each.imported}."):
            graph[each.importer].add(each.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_modules_of_one_name_have_parallel_jobs():
    rooms = defaultdict(list)
    for module in modules():
        if room(module) != "commands" and module.count(".") > 1:
            rooms[module.rpartition(".")[2]].append(module)
    wrong = [" and ".join(names) for name, names in rooms.items() if len(names) > 1 and name not in PARALLEL]
    assert not wrong, listing(wrong)


def test_no_function_is_long_without_a_reason():
    wrong = []
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LONGEST_FUNCTION and f"{module}.{node.name}" not in LONG_FUNCTIONS:
                    wrong.append(f"{module}.{node.name}: {lines} lines")
    assert not wrong, listing(wrong)


def test_most_files_are_short():
    paths = [path for path in (ROOT / PACKAGE).rglob("*.py") if path.name != "__init__.py"]
    assert median(len(path.read_text(encoding="utf-8").splitlines()) for path in paths) <= LARGEST_MEDIAN_FILE
