"""From the options of a command to a searcher and a reader. Everything that does not match is refused here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fidtools.compute.precision import Precision
from fidtools.data.corpus import Corpus, open_passages
from fidtools.errors import UsageError
from fidtools.serving.searchers import BM25Searcher, FusedSearcher, Searcher
from fidtools.sparse.engine import BM25Settings

if TYPE_CHECKING:
    from fidtools.retriever.encoding import Retriever
    from fidtools.search.retrieval import Encode
    from fidtools.serving.question_reader import QuestionReader
    from fidtools.typing import Array


@dataclass(frozen=True)
class Sources:
    """What to search: BM25, a retriever with its embeddings or index, or both. Paths are as on the command line."""

    passages: str
    bm25: BM25Settings | None
    bm25_folder: str | None
    retriever: str | None
    embeddings: Path | None
    index: Path | None
    index_parameters: str | None
    pooling: str | None
    max_memory: float
    """Memory of exact search, in GB."""
    force: bool
    precision: Precision


def open_searcher(sources: Sources) -> Searcher:
    """The searcher of these sources; BM25 comes first where both are fused.

    Raises MismatchError for embeddings or an index of another corpus or retriever, and what opening each part raises.
    """
    corpus = open_passages(sources.passages)
    searchers: list[Searcher] = []
    if sources.bm25 is not None:
        searchers.append(_bm25(sources.bm25, corpus, sources.bm25_folder))
    if sources.retriever is not None:
        searchers.append(_dense(sources, sources.retriever, corpus))
    return searchers[0] if len(searchers) == 1 else FusedSearcher(searchers)


def _bm25(settings: BM25Settings, corpus: Corpus, folder: str | None) -> Searcher:
    from fidtools.sparse.store import open_index

    return BM25Searcher(open_index(corpus, settings, folder), corpus)


def _telling_cuts(model: Retriever) -> Encode:
    """The encoder of questions, which warns of the first one that is longer than the retriever reads."""
    is_told = False

    def encode(texts: Sequence[str]) -> Array:
        nonlocal is_told
        vectors = model.encode_questions(texts)
        if not is_told and any(cut.cut for cut in model.question_tower.cuts.kinds.values()):
            model.report_cuts()
            is_told = True
        return vectors

    return encode


def _dense(sources: Sources, retriever: str, corpus: Corpus) -> Searcher:
    from fidtools.compute.device import Compute
    from fidtools.retriever.encoding import load_retriever
    from fidtools.search.index_opener import IndexOpener
    from fidtools.serving.dense_searcher import DenseSearcher

    _refuse_ranks()
    changes: dict[str, Any] = {} if sources.pooling is None else {"pooling": sources.pooling}
    model = load_retriever(retriever, compute=Compute.choose(sources.precision), **changes)
    opener = IndexOpener(corpus, model.fingerprint, model.dim, sources.force, int(sources.max_memory * 1e9))
    index = opener.open(sources.embeddings, sources.index, sources.index_parameters)
    together = sources.embeddings is not None
    return DenseSearcher(_telling_cuts(model), index, together=together, normalized=model.settings.normalize)


def open_reader(name: str, precision: Precision, token_budget: int, n_context: int | None) -> QuestionReader:
    """A reader that answers and shows its attention; `n_context` replaces its own number of passages."""
    from fidtools.compute.device import Compute
    from fidtools.reader.reader_folder import load_inference_reader
    from fidtools.serving.question_reader import QuestionReader

    _refuse_ranks()
    return QuestionReader(load_inference_reader(name, token_budget, Compute.choose(precision), n_context=n_context))


def _refuse_ranks() -> None:
    from fidtools.compute.ranks import ranks

    if ranks().world > 1:
        raise UsageError("questions are answered by a single process", hint="run it without torchrun")
