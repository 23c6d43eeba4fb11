"""BM25 by tantivy, which needs no Java. Scores are Lucene's: tantivy's own, divided by k1 + 1."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import regex
import tantivy

from fidtools.console import quiet_stderr
from fidtools.data.records import Passage
from fidtools.data.top_k import TopK
from fidtools.data.words import LAYOUT, spell_out
from fidtools.errors import DataError, shorten
from fidtools.sparse.analysis import text_preparation
from fidtools.sparse.engine import K1, AnalyzerName, BM25Settings, indexed_text
from fidtools.sparse.tantivy_store import check_stores

HEAP_BYTES = 256 << 20  # that the build holds in memory before it writes a segment
THREADS = min(os.cpu_count() or 1, 8)
EXTRA_HITS = 16  # requested beyond k, to see whether the k-th is tied with others
SPELLINGS = {ord("ς"): "σ", ord("İ"): "i", 0x200D: None, **LAYOUT}  # U+200D joins letters and is not visible
_MARKS_BETWEEN_WORDS = regex.compile(r"(?V1)[\p{M}--\p{Alphabetic}]+")  # for tantivy, which splits at them
AGAIN = "remove it; it is built again then"
SCORE_DECIMALS = 4  # the same terms summed in another order differ by less
TIE = (K1 + 1) * 10**-SCORE_DECIMALS  # of tantivy's own scores: ours may be equal up to here


def tantivy_analyzer(name: AnalyzerName) -> tantivy.TextAnalyzer:
    """tantivy's analyzer of that name.

    `english`: words of letters and digits, lower case, without accents, Porter2 stems, with stop words. `standard`:
    words in lower case. `spacy`: split at spaces. See `_preparation` for scripts without spaces.
    """
    simple = tantivy.Tokenizer.whitespace() if name == "spacy" else tantivy.Tokenizer.simple()
    builder = tantivy.TextAnalyzerBuilder(simple)
    if name != "spacy":
        builder = builder.filter(tantivy.Filter.lowercase())
    if name == "english":
        builder = builder.filter(tantivy.Filter.ascii_fold()).filter(tantivy.Filter.stemmer("english"))
    return builder.build()


def _preparation(name: AnalyzerName) -> Callable[[str], str]:
    """What is done to a text before tantivy splits it. Scripts without spaces become characters and pairs of them."""
    prepare = text_preparation(name)
    return lambda text: spell_out(prepare(one_spelling(text)))


def one_spelling(text: str) -> str:
    """The text composed (NFC), without soft hyphens and the like, and with letters that tantivy lowercases otherwise.

    A capital sigma becomes σ, so a final ς does, too; the lower case of İ is i and a mark, which would end the word. So
    would marks that no letter is composed with: stress in Russian, the virama of Hindi. They are left out.

    >>> one_spelling("cafe\u0301 co\u00adop σοφός замо\u0301к")
    'café coop σοφόσ замок'
    """
    if text.isascii():
        return text
    whole: str = _MARKS_BETWEEN_WORDS.sub("", unicodedata.normalize("NFC", text).translate(SPELLINGS))
    return whole


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("words", tokenizer_name="words", index_option="freq")
    builder.add_text_field("doc_id", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("row", fast=True, stored=False)
    return builder.build()


def build_tantivy(folder: Path, passages: Iterable[Passage], settings: BM25Settings) -> None:
    """Index the passages in `folder`; memory is bounded by the writer's heap."""
    folder.mkdir()
    index = tantivy.Index(_schema(), path=str(folder))
    index.register_tokenizer("words", tantivy_analyzer(settings.analyzer))
    prepare = _preparation(settings.analyzer)
    writer = index.writer(heap_size=HEAP_BYTES, num_threads=THREADS)
    for row, passage in enumerate(passages):
        document = tantivy.Document()
        document.add_integer("row", row)
        document.add_text("words", prepare(indexed_text(passage)))
        if passage.doc_id is not None:
            document.add_text("doc_id", passage.doc_id)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()


@contextlib.contextmanager
def _damage_named(folder: Path) -> Iterator[None]:
    """Raise DataError in place of what tantivy raises for a damaged index: its errors, and panics of Rust."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, ValueError | TypeError | OverflowError) and type(error).__name__ != "PanicException":
            raise
        problem = f"tantivy cannot open this index: {shorten(str(error).splitlines()[0], 160)}"
        raise DataError(problem, path=folder, hint=AGAIN) from error


class TantivyEngine:
    """A memory-mapped tantivy index."""

    def __init__(self, folder: Path, settings: BM25Settings, rows: int) -> None:
        self._folder, self._schema = folder, _schema()
        self._analyzer, self._prepare = tantivy_analyzer(settings.analyzer), _preparation(settings.analyzer)
        check_stores(folder)
        with _damage_named(folder), quiet_stderr():  # where Rust describes a panic
            self._searcher = tantivy.Index.open(str(folder)).searcher()
        if self._searcher.num_docs != rows:
            raise DataError(f"contains {self._searcher.num_docs} passages instead of {rows}", path=folder)

    def search(self, texts: Sequence[str], k: int, doc_ids: Sequence[str] | None = None) -> list[TopK]:
        """See `Engine`; questions are distributed over the cores."""
        documents: Sequence[str | None] = doc_ids if doc_ids is not None else [None] * len(texts)
        with quiet_stderr(), ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(lambda text, doc_id: self._hits(text, doc_id, k), texts, documents))

    def _hits(self, text: str, doc_id: str | None, k: int) -> TopK:
        words = self._analyzer.analyze(self._prepare(text))
        if not words:
            return TopK.empty(0)
        with _damage_named(self._folder):
            found = self._found(self._query(words, doc_id), k)
            rows = np.array(self._searcher.fast_field_values("row", [address for _, address in found]), np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() < self._searcher.num_docs:
            raise DataError("damaged: it finds rows beyond its passages", path=self._folder, hint=AGAIN)
        scores = np.round(np.array([score for score, _ in found]) / (K1 + 1), SCORE_DECIMALS)
        return TopK.of(rows, scores, k)

    def _query(self, words: list[str], doc_id: str | None) -> Any:
        should = [(tantivy.Occur.Should, self._term("words", word)) for word in words]
        query = tantivy.Query.boolean_query(should)
        if doc_id is None:
            return query
        within = tantivy.Query.const_score_query(self._term("doc_id", doc_id), 0.0)
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, within), (tantivy.Occur.Must, query)])

    def _term(self, field: str, value: str) -> Any:
        return tantivy.Query.term_query(
            self._schema, field, value, index_option="freq" if field == "words" else "basic"
        )

    def _found(self, query: Any, k: int) -> list[Any]:
        """The k best hits and all that are tied with the k-th, since tantivy breaks ties by its own numbering."""
        rows = self._searcher.num_docs
        k = min(k, rows)
        limit = min(k + EXTRA_HITS, rows)  # tantivy allocates memory for as many
        while True:
            found: list[Any] = self._searcher.search(query, limit=limit, count=False).hits
            if len(found) < limit or limit == rows or found[k - 1][0] - found[-1][0] > TIE:
                return found
            limit = min(4 * limit, rows)
