"""Numbers of lines in the place of missing ids: safe only where no other record has a number as its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fidtools.data.records import Location
from fidtools.errors import shorten


class _Numeric(NamedTuple):
    where: Location
    id: str


class DefaultIds:
    """Looks at the records of one file in turn; `names` are the fields that an id may be in."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._missing: Location | None = None
        self._numeric: _Numeric | None = None

    def check(self, record: Mapping[str, Any], where: Location) -> None:
        """Raise DataError when one record has no id (or an empty one) and another one's id is a number."""
        found = next((record[name] for name in self._names if record.get(name) is not None), "")
        if found == "":
            self._missing = self._missing or where
        elif self._numeric is None and str(found).isdecimal():
            self._numeric = _Numeric(where, str(found))
        if self._missing and self._numeric:
            other = f"line {self._numeric.where.line} has {shorten(self._numeric.id)}"
            problem = f"missing, but {other}: the number of a line, which replaces a missing id, could be the same"
            raise self._missing.error(problem, "id", hint="give every line an id, or none")
