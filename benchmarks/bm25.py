"""BM25 against calling its engines directly, and against bm25s: building an index and searching it, on real passages.

    python benchmarks/bm25.py PASSAGES.jsonl… --questions QUESTIONS.jsonl…

Every contender is given the same words (letters and digits, lower case), k1 = 1.2, b = 0.75 and the same threads, and
hands over row and score of the best k. Contenders take turns; the first turn, in which Java compiles, does not count.
A contender whose package is missing is left out (`pip install bm25s` for that one).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import orjson

from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Passage
from fidtools.sparse.engine import BM25Settings, indexed_text

THREADS = min(os.cpu_count() or 1, 8)  # as many as fidtools takes
Found = list[tuple[list[int], list[float]]]


class Fidtools:
    """What `fidtools bm25` runs."""

    def __init__(self, engine: Literal["tantivy", "lucene"]) -> None:
        self.settings = BM25Settings(engine, "standard")
        if engine == "tantivy":
            from fidtools.sparse.tantivy_engine import TantivyEngine as Engine
            from fidtools.sparse.tantivy_engine import build_tantivy as build
        else:
            from fidtools.sparse.lucene_engine import LuceneEngine as Engine  # type: ignore[assignment]
            from fidtools.sparse.lucene_engine import build_lucene as build
        self._build, self._open = build, Engine

    def build(self, texts: Sequence[str], folder: Path) -> None:
        self._build(folder, (Passage(str(i), text) for i, text in enumerate(texts)), self.settings)
        self.engine = self._open(folder, self.settings, len(texts))

    def search(self, questions: Sequence[str], k: int) -> Found:
        return [(hits.rows.tolist(), hits.scores.tolist()) for hits in self.engine.search(questions, k)]


class Tantivy:
    """The package's documented calls, with a number as the only other field."""

    def build(self, texts: Sequence[str], folder: Path) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_text_field("words", tokenizer_name="default", index_option="freq")
        schema.add_integer_field("row", fast=True)
        folder.mkdir()
        self.index = tantivy.Index(schema.build(), path=str(folder))
        writer = self.index.writer(heap_size=256 << 20, num_threads=THREADS)
        for row, text in enumerate(texts):
            writer.add_document(tantivy.Document(words=text, row=row))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()
        self.searcher = self.index.searcher()

    def search(self, questions: Sequence[str], k: int) -> Found:
        def one(question: str) -> tuple[list[int], list[float]]:
            query = self.index.parse_query(question, ["words"])
            hits = self.searcher.search(query, limit=k, count=False).hits
            rows = self.searcher.fast_field_values("row", [address for _, address in hits])
            return rows, [score for score, _ in hits]

        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(one, questions))


class Anserini:
    """Lucene as pyserini calls it: Anserini's SimpleIndexer, and its batch_search inside Java."""

    def build(self, texts: Sequence[str], folder: Path) -> None:
        from fidtools.sparse.jvm import java_class

        java_class("org.apache.logging.log4j.core.config.Configurator").setRootLevel(
            java_class("org.apache.logging.log4j.Level").ERROR
        )
        options = ["-input", "", "-collection", "JsonCollection", "-index", str(folder), "-threads", "1"]
        options += ["-stemmer", "none", "-keepStopwords", "-memoryBuffer", "256"]
        indexer = java_class("io.anserini.index.SimpleIndexer")(options)
        for row, text in enumerate(texts):
            indexer.addRawDocument(orjson.dumps({"id": str(row), "contents": text}).decode())
        indexer.close()
        self.searcher = java_class("io.anserini.search.SimpleSearcher")(str(folder))
        self.searcher.set_analyzer(java_class("org.apache.lucene.analysis.standard.StandardAnalyzer")())
        self.searcher.set_bm25(1.2, 0.75)
        self.lists = java_class("java.util.ArrayList")

    def search(self, questions: Sequence[str], k: int) -> Found:
        texts, ids = self.lists(), self.lists()
        for number, question in enumerate(questions):
            texts.add(question)
            ids.add(str(number))
        found = self.searcher.batch_search(texts, ids, k, THREADS)
        lists = (found.get(str(number)) or [] for number in range(len(questions)))
        return [([int(hit.docid) for hit in hits], [hit.score for hit in hits]) for hits in lists]


class Bm25s:
    """bm25s with numpy, its formula set to Lucene's."""

    def build(self, texts: Sequence[str], folder: Path) -> None:
        import bm25s

        self.index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self.index.index([text.split() for text in texts], show_progress=False)
        self.index.save(str(folder))

    def search(self, questions: Sequence[str], k: int) -> Found:
        words = [question.split() for question in questions]
        rows, scores = self.index.retrieve(words, k=k, n_threads=THREADS, show_progress=False)
        return [(r[s > 0].tolist(), s[s > 0].tolist()) for r, s in zip(rows, scores, strict=True)]


def contenders() -> Iterator[tuple[str, str, Any]]:
    """Name, the one it is compared with, and itself."""
    yield "tantivy", "tantivy", Tantivy()
    yield "fidtools, tantivy", "tantivy", Fidtools("tantivy")
    if find_spec("jnius_config"):
        yield "Lucene (Anserini)", "Lucene (Anserini)", Anserini()
        yield "fidtools, lucene", "Lucene (Anserini)", Fidtools("lucene")
    if find_spec("bm25s"):
        yield "bm25s", "tantivy", Bm25s()


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(title: str, rounds: int, calls: dict[str, Callable[[], object]], bases: dict[str, str]) -> None:
    """Medians of interleaved rounds, and the median ratio of each to what it is compared with in the same round."""
    times = [{name: seconds(call) for name, call in calls.items()} for _ in range(rounds + 1)][1:]
    print(f"\n{title}")
    for name in calls:
        wall, cpu = (statistics.median(turn[name][i] for turn in times) for i in (0, 1))
        ratios = [statistics.median(turn[name][i] / turn[bases[name]][i] for turn in times) for i in (0, 1)]
        print(
            f"  {name:18} {wall:7.2f} s wall {cpu:7.2f} s cpu   {ratios[0]:.2f} (cpu {ratios[1]:.2f}) × {bases[name]}"
        )


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("passages", nargs="+")
    parser.add_argument("--questions", nargs="+", required=True)
    for name, default in {"k": 100, "most": 2000, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    texts = [words(indexed_text(passage)) for path in options.passages for passage in read_passages(path)]
    asked = [words(question.question) for path in options.questions for question in read_questions(path)]
    asked = [asked[i] for i in np.random.default_rng(0).permutation(len(asked))[: options.most] if asked[i]]
    print(f"{len(texts):,} passages, {len(asked):,} questions, k = {options.k}, {THREADS} threads")
    who = {name: (base, engine) for name, base, engine in contenders()}
    bases = {name: base for name, (base, _) in who.items()}
    with tempfile.TemporaryDirectory() as folder:

        def build(name: str) -> None:
            place = Path(folder) / re.sub(r"\W", "", name)
            shutil.rmtree(place, ignore_errors=True)
            who[name][1].build(texts, place)

        compare("building", options.rounds, {name: lambda name=name: build(name) for name in who}, bases)
        searches = {name: lambda e=engine: e.search(asked, options.k) for name, (_, engine) in who.items()}
        compare("searching", options.rounds, searches, bases)
        first = {name: engine.search(asked, options.k) for name, (_, engine) in who.items()}
        for name, base in bases.items():
            shares = [len({*a[0]} & {*b[0]}) / max(1, len(b[0])) for a, b in zip(first[name], first[base], strict=True)]
            print(f"  {name:18} shares {np.mean(shares):.4f} of the best {options.k} with {base}")


if __name__ == "__main__":
    main()
