"""The interface of BM25 engines, and the settings of an index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fidtools.data.records import Passage
from fidtools.data.top_k import TopK
from fidtools.errors import UsageError

EngineName = Literal["tantivy", "lucene"]
AnalyzerName = Literal["english", "standard", "spacy"]
K1, B = 1.2, 0.75


@dataclass(frozen=True)
class BM25Settings:
    """The settings that determine a BM25 index and its scores.

    The score is the sum of idf · tf / (tf + k1 · (1 - b + b · length / mean length)) over the words of a question, with
    idf = ln(1 + (N - df + ½) / (df + ½)), which is Lucene's formula. Raises UsageError for k1 or b that the engine does
    not support.
    """

    engine: EngineName = "tantivy"
    analyzer: AnalyzerName = "english"
    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        if self.engine == "tantivy" and (self.k1, self.b) != (K1, B):
            hint = "--engine lucene supports other values"
            raise UsageError(f"tantivy's k1 = {K1} and b = {B} are fixed", hint=hint)

    def index_part(self) -> dict[str, Any]:
        """The settings that an index is built with; k1 and b only apply when it is searched."""
        return {name: value for name, value in asdict(self).items() if name in ("engine", "analyzer")}


class Engine(Protocol):
    """An index opened for search."""

    def search(self, texts: Sequence[str], k: int, doc_ids: Sequence[str] | None = None) -> list[TopK]:
        """The `k` best passages for each text, with `doc_ids` only those of its document.

        Passages that have no word in common with the text are left out, so there may be fewer.
        """
        ...


class Builder(Protocol):
    """The function of an engine that builds an index."""

    def __call__(self, folder: Path, passages: Iterable[Passage], settings: BM25Settings) -> None:
        """Index the passages in the new folder `folder`, in their order: passage i is row i."""
        ...


def indexed_text(passage: Passage) -> str:
    """The part of a passage that is searched: its title, then its text."""
    return f"{passage.title} {passage.text}" if passage.title else passage.text
