"""BM25 by Lucene, the paper's engine, in a Java virtual machine inside this process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.data.records import Passage
from fidtools.data.top_k import TopK
from fidtools.errors import DataError, FidtoolsError
from fidtools.sparse.analysis import text_preparation
from fidtools.sparse.engine import AnalyzerName, BM25Settings, indexed_text
from fidtools.sparse.jvm import java_class

BUFFER_MB = 256.0  # that the build holds in memory before it writes a segment
THREADS = min(os.cpu_count() or 1, 8)
LUCENE = "org.apache.lucene"
ANALYZERS = {
    "english": "en.EnglishAnalyzer",
    "standard": "standard.StandardAnalyzer",
    "spacy": "core.WhitespaceAnalyzer",
}


def lucene_analyzer(name: AnalyzerName) -> Any:
    """Lucene's analyzer of that name.

    `english`: words without 's, lower case, without English stop words, Porter stems (Anserini's default). `standard`:
    words in lower case. `spacy`: split at spaces.
    """
    return java_class(f"{LUCENE}.analysis.{ANALYZERS[name]}")()


def build_lucene(folder: Path, passages: Iterable[Passage], settings: BM25Settings) -> None:
    """Index the passages in `folder`; memory is bounded by Lucene's buffer.

    One thread adds them in order and only neighbouring segments are merged, so that passage i is Lucene's document i,
    and equal scores are listed in the order of the passages.
    """
    config = java_class(f"{LUCENE}.index.IndexWriterConfig")(lucene_analyzer(settings.analyzer))
    config.setRAMBufferSizeMB(BUFFER_MB)
    config.setMergePolicy(java_class(f"{LUCENE}.index.LogByteSizeMergePolicy")())
    writer = java_class(f"{LUCENE}.index.IndexWriter")(_directory(folder), config)
    words, doc_id = _words_field(), _doc_id_field()
    whole, part = _document(words, doc_id), _document(words)
    prepare = text_preparation(settings.analyzer)
    for passage in passages:
        words.setStringValue(prepare(indexed_text(passage)))
        if passage.doc_id is not None:
            doc_id.setStringValue(passage.doc_id)
        writer.addDocument(part if passage.doc_id is None else whole)
    writer.close()


def _directory(folder: Path) -> Any:
    return java_class(f"{LUCENE}.store.FSDirectory").open(java_class("java.nio.file.Paths").get(str(folder)))


def _words_field() -> Any:
    kind = java_class(f"{LUCENE}.document.FieldType")()
    kind.setIndexOptions(java_class(f"{LUCENE}.index.IndexOptions").DOCS_AND_FREQS)
    kind.setTokenized(True)
    signature = "(Ljava/lang/String;Ljava/lang/CharSequence;Lorg/apache/lucene/index/IndexableFieldType;)V"
    return java_class(f"{LUCENE}.document.Field")("words", "", kind, signature=signature)


def _doc_id_field() -> Any:
    field = java_class(f"{LUCENE}.document.StringField")
    return field("doc_id", "", java_class(f"{LUCENE}.document.Field$Store").NO)


def _document(*fields: Any) -> Any:
    document = java_class(f"{LUCENE}.document.Document")()
    for field in fields:
        document.add(field)
    return document


class LuceneEngine:
    """A memory-mapped Lucene index."""

    def __init__(self, folder: Path, settings: BM25Settings, rows: int) -> None:
        self._searcher, self._rows = _searcher(folder, rows), rows
        searcher = java_class(f"{LUCENE}.search.IndexSearcher")
        searcher.setMaxClauseCount(2**31 - 1)  # the default, 1024, refuses long questions
        self._searcher.setSimilarity(
            java_class(f"{LUCENE}.search.similarities.BM25Similarity")(settings.k1, settings.b)
        )
        self._queries = java_class(f"{LUCENE}.util.QueryBuilder")(lucene_analyzer(settings.analyzer))
        self._prepare = text_preparation(settings.analyzer)
        self._term, self._term_query, self._boolean_query, self._occur = (
            java_class(f"{LUCENE}.{name}")
            for name in ("index.Term", "search.TermQuery", "search.BooleanQuery$Builder", "search.BooleanClause$Occur")
        )

    def search(self, texts: Sequence[str], k: int, doc_ids: Sequence[str] | None = None) -> list[TopK]:
        """See `Engine`; questions are distributed over the cores."""
        documents: Sequence[str | None] = doc_ids if doc_ids is not None else [None] * len(texts)
        asked = list(zip(texts, documents, strict=True))
        shares = [asked[i::THREADS] for i in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as threads:
            found = list(threads.map(lambda share: self._search(share, k), shares))
        return [found[i % THREADS][i // THREADS] for i in range(len(asked))]

    def _search(self, asked: Sequence[tuple[str, str | None]], k: int) -> list[TopK]:
        """The results of one thread's questions."""
        import jnius

        try:
            return [self._hits(text, doc_id, min(k, self._rows)) for text, doc_id in asked]
        except jnius.JavaException as error:
            raise FidtoolsError(f"Lucene failed: {_reason(error)}", hint="try a smaller -k") from error
        finally:
            jnius.detach()

    def _hits(self, text: str, doc_id: str | None, k: int) -> TopK:
        query = self._queries.createBooleanQuery("words", self._prepare(text))
        if query is None:  # the analyzer found no word
            return TopK.empty(0)
        if doc_id is not None:
            query = self._within(query, doc_id)
        found = [(hit.doc, hit.score) for hit in self._searcher.search(query, k).scoreDocs]
        return TopK(np.array([doc for doc, _ in found], np.int64), np.array([score for _, score in found], np.float64))

    def _within(self, query: Any, doc_id: str) -> Any:
        builder = self._boolean_query()
        builder.add(query, self._occur.MUST)
        builder.add(self._term_query(self._term("doc_id", doc_id)), self._occur.FILTER)
        return builder.build()


def _reason(error: Any) -> str:
    """What a Java exception says, or its class where it says nothing."""
    return str(error.innermessage or error.classname)


def _searcher(folder: Path, rows: int) -> Any:
    searcher = java_class(f"{LUCENE}.search.IndexSearcher")
    import jnius

    try:
        reader = java_class(f"{LUCENE}.index.DirectoryReader").open(_directory(folder))
    except jnius.JavaException as error:
        raise DataError(f"Lucene cannot open this index: {_reason(error)}", path=folder) from error
    if reader.maxDoc() != rows:
        raise DataError(f"contains {reader.maxDoc()} passages instead of {rows}", path=folder)
    return searcher(jnius.cast(f"{LUCENE}.index.IndexReader", reader))
