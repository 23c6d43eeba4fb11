"""fidtools retrieve: passages ranked by a retriever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools import options


@click.command("retrieve")
@options.questions
@options.retriever
@click.option(
    "--embeddings", required=True, type=click.Path(path_type=Path), help="X.npy of the passages, from `fidtools embed`."
)
@options.passages
@options.output
@options.top_k
@options.within
@click.option(
    "--max-memory", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="Of the search, in GB."
)
@click.option("--force", is_flag=True, help="Search although embeddings, passages and retriever do not match.")
@click.option("--pooling", type=click.Choice(["cls", "mean", "max"]), help="For a plain model, as it was embedded.")
@options.precision
@options.talk
def command(
    questions: str,
    retriever: str,
    embeddings: Path,
    passages: str,
    output: str,
    k: int,
    within: str | None,
    max_memory: float,
    force: bool,
    pooling: str | None,
    precision: Any,
) -> None:
    """Rank the passages of a corpus for QUESTIONS by a retriever's vectors, exactly.

    Nothing of the corpus is held in memory, and no index is built: the vectors are read from disk for many questions at
    once.

    \b
      fidtools retrieve dev.jsonl --retriever retriever --embeddings passages.npy -p passages.jsonl -o ranked.jsonl
      fidtools retrieve … --within doc_id -k 20 | fidtools score-attn --reader reader | fidtools eval
    """
    from fidtools.passages import open_passages
    from fidtools.records import read_questions
    from fidtools.retriever.encoding import load_retriever
    from fidtools.search.retrieval import Corpus, retrieve
    from fidtools.streams import write_lines
    from fidtools.talk import track

    changes: dict[str, Any] = {} if pooling is None else {"pooling": pooling}
    model = load_retriever(retriever, precision=precision, **changes)
    corpus = Corpus(embeddings, open_passages(passages), model.fingerprint, force=force)
    memory = int(max_memory * 1e9)
    ranked = retrieve(
        read_questions(questions), model.encode_questions, corpus, k, within=within is not None, memory=memory
    )
    write_lines(output, (question.to_json() for question in track(ranked, "questions")))
