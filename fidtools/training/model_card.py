"""Model cards: the README.md of a trained folder, with the metadata of the Hugging Face hub.

A card is a function of the run's record (the content of `training.json`), of its data files and of the evaluation that
chose the model, so that a resumed run writes the same bytes as an undisturbed one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from fidtools.compute.hub import HUB_NAME
from fidtools.data.jsonl import kept_object
from fidtools.errors import printable
from fidtools.training.model_kinds import Kind, kind_of
from fidtools.training.run_record import HASHES, STARTS, Record

NO_OPTION = ("command", "train", "settings", "inputs", "start", HASHES, "result", "log_every", "causal")
"""Entries of a record that are no options of the command, or hold those that are."""
OPTION_NAMES = {"trackers": "tracker"}
TWO_WAY_FLAGS = ("normalize",)
"""Flags for which False is a choice of its own, `--no-NAME`, and None leaves it to the start."""
HUB_IDS = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
IN_FACTS = ("dev", "reader", "retriever", "teacher", "loss")
"""Options that the card shows above its settings."""
WIDTH = 100
"""Columns of the command line, about."""


def model_card(record: Record, step: int, metrics: Mapping[str, float]) -> str | None:
    """The card of the model after update `step`, whose dev metrics these are; None for a run of no command."""
    kind = kind_of(record)
    if kind is None:
        return None
    settings = {
        name: value for name, value in _options(record).items() if value not in (None, []) and name not in IN_FACTS
    }
    sections = [
        _front_matter(kind, record),
        f"# {kind.title}",
        f"Trained by `fidtools {record['command']}`.",
        _table("", "", _facts(record, step)),
        "## Dev metrics" if metrics else "",
        _table("metric", "value", ((name, f"{value:.6g}") for name, value in metrics.items())) if metrics else "",
        "## Settings",
        _table("setting", "value", settings.items()),
        "## Command line",
        _block("sh", command_line(record)),
        "## How to load it",
        _block("python", kind.load) if kind.load else "",
        _block("sh", kind.use),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(kind: Kind, record: Record) -> str:
    """The hub's metadata. `license` and `language` are left out: nobody has said them."""
    base = base_model(record)
    lines = [f"base_model: {_quoted(base)}"] if base else []
    lines.append(f"library_name: {kind.library}")
    if kind.pipeline:
        lines.append(f"pipeline_tag: {kind.pipeline}")
    tags = ("fidtools", *kind.tags)
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---"])


def base_model(record: Record) -> str | None:
    """The hub id of the model that training began with, through the folders of earlier runs; None where unknown.

    The hub refuses a `base_model` that is a path.
    """
    passed: set[Path] = set()
    while (start := _start(record)) is not None and Path(start).is_dir():
        folder = Path(start).resolve()
        if folder in passed:  # a trained model took the place of the one it began with
            return None
        passed.add(folder)
        record = kept_object(folder / "training.json")
    return None if start is None else HUB_IDS.get(start, start if HUB_NAME.fullmatch(start) else None)


def _start(record: Record) -> str | None:
    """The model a run starts from. For train-retriever `teacher` names scores, not a model."""
    start = record.get(STARTS.get(record.get("command", ""), ""))
    return None if start is None else str(start)


def _facts(record: Record, step: int) -> Iterator[tuple[str, Any]]:
    yield "base model", _start(record) or "none: trained from scratch"
    for name, title in (("train", "training data"), ("dev", "dev data")):
        if record.get(name):
            yield title, record[name]
        if sha256 := record.get(HASHES, {}).get(name):
            yield f"{title}, SHA-256", sha256
    if record["command"] == "train-retriever":
        yield "teacher", record["teacher"]
        yield "loss", record["loss"]
    yield "updates", step


def command_line(record: Record) -> str:
    """The command that repeats the run, every option written out, over several lines."""
    words = ["fidtools", str(record["command"]), shlex.quote(str(record["train"]))]
    for name, value in _options(record).items():
        words += _option(name, value)
    output = str(record["command"]).removeprefix("train-")
    return _wrapped([*words, f"-o {output}"])


def _options(record: Record) -> dict[str, Any]:
    """Every option of the run by name, those kept in groups too."""
    everything = {**record.get("settings", {}), **record.get("inputs", {}), **record}
    new_words = record.get("student") or record.get("coattention")
    unused = () if new_words else ("words", "word_dim", "hidden", "word_vectors", "freeze_words")
    return {name: value for name, value in everything.items() if name not in NO_OPTION and name not in unused}


def _option(name: str, value: Any) -> Iterator[str]:
    flag = "--" + OPTION_NAMES.get(name, name).replace("_", "-")
    if name == "title":
        yield from () if value else ("--no-title",)
    elif isinstance(value, bool):
        if value:
            yield flag
        elif name in TWO_WAY_FLAGS:
            yield flag.replace("--", "--no-")
    elif isinstance(value, list | tuple):
        yield from (f"{flag} {shlex.quote(str(item))}" for item in value)
    elif value is not None:
        yield f"{flag} {shlex.quote(str(value))}"


def _wrapped(words: Iterable[str]) -> str:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def _table(left: str, right: str, rows: Iterable[tuple[str, Any]]) -> str:
    cells = [f"| {name} | {_code(value)} |" for name, value in rows]
    return "\n".join([f"| {left} | {right} |", "|---|---|", *cells])


def _code(value: Any) -> str:
    """A value as a code span of one line inside a table."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = printable(text).replace("|", "\\|")
    fence = "`" * (1 + _longest_run(text))
    pad = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _block(language: str, text: str) -> str:
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _quoted(text: str) -> str:
    """A string of YAML: JSON's strings are some."""
    return orjson.dumps(text).decode()
