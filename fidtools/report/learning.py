"""How every reader and retriever of a run was trained: settings, learning curves, throughput."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from fidtools.data.jsonl import kept_object, read_json
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.report.sources import iteration_folders

MODELS = ("reader", "retriever")
RATE = "examples_per_second"
MOST_POINTS = 400
LEFT_OUT = {"result", "trackers"}


def training_sections(run: Path) -> list[dict[str, Any]]:
    """Every trained model of a run, by iteration: what training.json and log.jsonl of its folder say."""
    found = []
    for folder in iteration_folders(run):
        for model in MODELS:
            if (folder / model).is_dir():
                found.append({"iteration": folder.name, "model": model, **model_section(folder / model)})
    return found


def model_section(folder: Path) -> dict[str, Any]:
    """One model: `settings`, `result`, `curve` (loss per step), `evaluations`, `rate` (median examples a second)."""
    written = read_document(folder / "training.json")
    lines = read_log(folder / "log.jsonl")
    steps = [line for line in lines if "lr" in line]
    rates = [line[RATE] for line in steps[1:] if RATE in line]  # the first one warms up
    return {
        "settings": flat_settings(written),
        "result": _object(written, "result"),
        "fingerprint": {name: value for name, value in _object(written, "start").items() if value is not None},
        "curve": thinned([[line["step"], line["loss"], line.get(RATE)] for line in steps if "loss" in line]),
        "evaluations": thinned([line for line in lines if "lr" not in line]),
        "rate": median(rates) if rates else None,
    }


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of log.jsonl that are of a step, with their numbers; a line that is damaged ends them."""
    found: list[dict[str, Any]] = []
    if not path.is_file():
        return found
    try:
        for _, line in read_json(path):
            if _is_number(line.get("step")):
                found.append({name: value for name, value in line.items() if _is_number(value)})
    except DataError as error:
        log.warning("%s: the curve ends there", error)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object(written: dict[str, Any], name: str) -> dict[str, Any]:
    """The object in a field of training.json; {} where it is none."""
    value = written.get(name)
    return value if isinstance(value, dict) else {}


def flat_settings(written: dict[str, Any]) -> dict[str, Any]:
    """The settings of training.json on one level, without those that are not set."""
    flat: dict[str, Any] = {}
    for name, value in written.items():
        if name in LEFT_OUT or name == "start":
            continue
        flat |= value if isinstance(value, dict) else {name: value}
    return {name: value for name, value in flat.items() if value is not None and value != []}


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object of a file; {} where there is none or it is unreadable: a report shows what is there."""
    try:
        return kept_object(path)
    except OSError:
        return {}


def thinned(points: Sequence[Any]) -> list[Any]:
    """At most about `MOST_POINTS` of the points, evenly spaced, the last one among them."""
    step = max(1, -(-len(points) // MOST_POINTS))
    return [point for at, point in enumerate(points) if at % step == 0 or at == len(points) - 1]


def teacher_temperatures(sections: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By iteration, what the retriever distilled from its scores divides them by: said in the next one's settings."""
    temperatures = {
        str(int(section["iteration"]) - 1): section["settings"].get("teacher_temperature", 1.0)
        for section in sections
        if section["model"] == "retriever"
    }
    return {
        iteration: float(value) if _is_number(value) and value > 0 else 1.0 for iteration, value in temperatures.items()
    }
