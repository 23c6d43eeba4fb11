"""What a BM25 engine is, and what an index was made with."""

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
    """What determines a BM25 index and its scores.

    BM25 sums idf · tf / (tf + k1 · (1 - b + b · length / mean length)) over the words of a question, with
    idf = ln(1 + (N - df + ½) / (df + ½)): Lucene's form.
    """

    engine: EngineName = "tantivy"
    analyzer: AnalyzerName = "english"
    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        if self.engine == "tantivy" and (self.k1, self.b) != (K1, B):
            hint = "--engine lucene takes any (pip install 'fidtools[lucene]')"
            raise UsageError(f"tantivy's k1 = {K1} and b = {B} are fixed", hint=hint)

    def index_part(self) -> dict[str, Any]:
        """What is baked into an index: k1 and b are applied when searching."""
        return {name: value for name, value in asdict(self).items() if name in ("engine", "analyzer")}


class Engine(Protocol):
    """An index opened for searching."""

    def search(self, texts: Sequence[str], k: int, doc_ids: Sequence[str] | None = None) -> list[TopK]:
        """The `k` best passages for each text (of its document only, with `doc_ids`); those without any word in common
        with it are left out."""
        ...


class Builder(Protocol):
    """How an engine makes an index in a folder."""

    def __call__(self, folder: Path, passages: Iterable[Passage], settings: BM25Settings) -> None:
        """Index the passages in their order: passage i is row i."""
        ...


def indexed_text(passage: Passage) -> str:
    """What is searched of a passage: its title, then its text."""
    return f"{passage.title} {passage.text}" if passage.title else passage.text
