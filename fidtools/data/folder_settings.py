"""Settings that a model folder keeps as JSON: read into a dataclass, with the type of every value checked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from fidtools.errors import DataError

S = TypeVar("S")
MAX_LENGTH = 1 << 30
"""Of any length or count in a folder's settings."""


def read_settings(kind: type[S], record: Any, path: Path | str, *, ignore_unknown: bool = False) -> S:
    """The dataclass `kind` from the object in a folder's file. Numbers must be positive integers.

    Raises DataError for what is no object, for unknown names (unless `ignore_unknown`) and for values of another type.
    """
    if not isinstance(record, dict):
        raise DataError("expected a JSON object", path=path, value=record)
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(record.keys() - names):
        if not ignore_unknown:
            raise DataError("unknown setting", path=path, field=unknown[0])
        record = {name: value for name, value in record.items() if name in names}
    settings = kind(**record)
    for name, hint in get_type_hints(kind).items():
        _check(name, getattr(settings, name), hint, path)
    return settings


def _check(name: str, value: Any, hint: Any, path: Path | str) -> None:
    if hint is bool and not isinstance(value, bool):
        raise DataError("must be true or false", path=path, field=name, value=value)
    if hint is str and not isinstance(value, str):
        raise DataError("must be a string", path=path, field=name, value=value)
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise DataError(f"must be one of {', '.join(map(str, get_args(hint)))}", path=path, field=name, value=value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_LENGTH
    may_be_null = hint == int | None and value is None
    if hint in (int, int | None) and not is_number and not may_be_null:
        raise DataError("must be a positive integer", path=path, field=name, value=value)
