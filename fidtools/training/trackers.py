"""Experiment trackers: TensorBoard, Weights & Biases and the others that Accelerate supports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fidtools.errors import FidtoolsError, UsageError, shorten


class Trackers:
    """The trackers of one run, by Accelerate's names. Only rank 0 creates any."""

    def __init__(self, names: Sequence[str], folder: Path, record: dict[str, Any]) -> None:
        """Start them; those that write files (TensorBoard) write into `folder/tracking`.

        Raises UsageError for a name that Accelerate does not know, FidtoolsError when its package is not installed.
        """
        self._trackers = [_start(name, folder) for name in names]
        for tracker in self._trackers:
            tracker.store_init_configuration(dict(_flat(record)))

    def log(self, values: dict[str, float]) -> None:
        """Report the numbers of one line of the log."""
        for tracker in self._trackers:
            tracker.log({name: value for name, value in values.items() if name != "step"}, step=int(values["step"]))

    def finish(self) -> None:
        """Flush and close them."""
        for tracker in self._trackers:
            tracker.finish()


def check_trackers(names: Sequence[str]) -> None:
    """Raise what starting these trackers will raise, UsageError or FidtoolsError."""
    for name in names:
        _tracker_class(name)


def _start(name: str, folder: Path) -> Any:
    kind = _tracker_class(name)
    if not kind.requires_logging_directory:
        return kind("fidtools")
    (folder / "tracking").mkdir(exist_ok=True)
    return kind("fidtools", logging_dir=str(folder / "tracking"))


def _tracker_class(name: str) -> Any:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    if name not in LOGGER_TYPE_TO_CLASS:
        known = ", ".join(sorted(LOGGER_TYPE_TO_CLASS))
        raise UsageError(f"`trackers`: unknown tracker {shorten(name)}", hint=f"known are {known}")
    if name not in {str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()}:
        raise FidtoolsError(f"`trackers`: {name} is not installed", hint=f"pip install {name}")
    return LOGGER_TYPE_TO_CLASS[name]


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, str | int | float]]:
    """Settings as pairs of name and value; a nested name is `outer.inner`."""
    found: list[tuple[str, str | int | float]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value if isinstance(value, str | int | float) else str(value)))
    return found
