"""What a file format is. Every module of this package lists its own in `FORMATS`; `registry` collects them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fidtools.data.files import PathLike
from fidtools.formats.detection import Detector

Kind = Literal["questions", "passages", "qrels", "embeddings", "measures"]
ALL_FIELDS = frozenset({"*"})


@dataclass(frozen=True)
class Format:
    """One file format.

    `kind` is what its files hold. `detect` tells from the first bytes of a file whether it has this format; without
    it, the format must be named. `read` yields records one at a time; `write` keeps the fields in `fields_kept`
    but for those in `fields_lost`, which a reader of the format would take for the id or the text.
    """

    name: str
    kind: Kind
    description: str
    detect: Detector | None = None
    read: Callable[[PathLike], Iterator[Any]] | None = None
    write: Callable[[Iterable[Any], PathLike], None] | None = None
    fields_kept: frozenset[str] = ALL_FIELDS
    fields_lost: frozenset[str] = frozenset()

    @property
    def access(self) -> list[str]:
        """ "read", "write" or both."""
        return [name for name, function in (("read", self.read), ("write", self.write)) if function is not None]
