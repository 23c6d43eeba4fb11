"""fidtools bm25: rank passages by the words that they share with a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values

if TYPE_CHECKING:
    from fidtools.sparse.engine import AnalyzerName, EngineName


@click.command("bm25")
@options.questions
@options.passages
@options.output
@options.top_k
@options.within
@click.option(
    "--engine",
    type=click.Choice(["tantivy", "lucene"]),
    default="tantivy",
    show_default=True,
    help="lucene is the paper's; it needs `bin/setup lucene`.",
)
@click.option(
    "--analyzer",
    type=click.Choice(["english", "standard", "spacy"]),
    default="english",
    show_default=True,
    help="english: stemmed words; standard: lowercased words; spacy: spaCy's tokens, lowercased, as in the paper.",
)
@click.option("--k1", type=values.Number(min=0), default=1.2, show_default=True, help="k1 of BM25 (lucene only).")
@click.option("--b", type=values.share, default=0.75, show_default=True, help="b of BM25 (lucene only).")
@click.option(
    "--rescore", is_flag=True, help="Add the score bm25 to the passages that QUESTIONS have; their order stays."
)
@click.option("--index", "folder", type=paths.OutputFolder(), help="Index folder.  [default: <passages>.bm25-<engine>]")
@options.verbosity
def command(
    questions: str,
    passages: str,
    output: str,
    k: int,
    within: str | None,
    engine: EngineName,
    analyzer: AnalyzerName,
    k1: float,
    b: float,
    rescore: bool,
    folder: str | None,
) -> None:
    """Rank the passages of a corpus for QUESTIONS by BM25 over title and text.

    The index is built on the first run and reused as long as the passages are unchanged. Equal scores are listed in the
    order of the passages. Scores compare the passages of one question, not of two. --within ranks the passages of one
    document by the document frequencies of the whole corpus. Chinese, Japanese, Thai and other text without spaces is
    searched by characters and pairs of them.

    \b
      fidtools bm25 questions.jsonl -p passages.jsonl -k 100 -o ranked.jsonl
      fidtools bm25 dev.jsonl -p stories.jsonl --within doc_id | fidtools eval
      fidtools bm25 dense.jsonl -p passages.jsonl --rescore -o both.jsonl
    """
    if rescore:
        options.warn_unused("with --rescore", "k")
    from fidtools.data.corpus import open_passages
    from fidtools.data.jsonl import write_lines
    from fidtools.data.read import read_questions
    from fidtools.logs import track
    from fidtools.sparse.engine import BM25Settings
    from fidtools.sparse.ranking import rank
    from fidtools.sparse.ranking import rescore as rescore_passages
    from fidtools.sparse.store import open_index

    settings = BM25Settings(engine, analyzer, k1, b)
    corpus = open_passages(passages)
    index = open_index(corpus, settings, folder)
    if rescore:
        ranked = rescore_passages(read_questions(questions), index, corpus, within is not None)
    else:
        ranked = rank(read_questions(questions), index, corpus, k, within is not None)
    write_lines(output, (question.to_json() for question in track(ranked, "questions")))
