"""fidtools chunk: split documents into passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options
from fidtools.commands import _types as types

if TYPE_CHECKING:
    from fidtools.data.words import TokenizerName


@click.command("chunk")
@click.argument("documents", type=types.name, nargs=-1)
@options.output
@click.option("--words", type=types.positive, default=100, show_default=True, help="Words per passage.")
@click.option(
    "--stride", type=types.positive, help="Words from the start of a passage to the next.  [default: --words]"
)
@click.option(
    "--tokenizer",
    type=click.Choice(["whitespace", "spacy"]),
    default="whitespace",
    show_default=True,
    help="What counts as a word; spacy also counts punctuation marks.",
)
@options.verbosity
def command(documents: tuple[str, ...], output: str, words: int, stride: int | None, tokenizer: TokenizerName) -> None:
    """Split DOCUMENTS into passages of 100 words that do not overlap.

    DOCUMENTS are JSON lines with id, title, text; DPR tables (.tsv); .txt and .md files; or folders of .txt and .md
    files. The default is JSON lines on standard input. Passage 3 of document `d` gets the id `d-3` and the doc_id `d`;
    other fields are kept.

    \b
      fidtools chunk notes/ -o passages.jsonl
      zcat docs.jsonl.gz | fidtools chunk --words 80 --stride 40 > passages.jsonl
    """
    from fidtools.data.chunking import chunk, read_documents
    from fidtools.data.jsonl import write_lines
    from fidtools.logs import log, track

    passages = chunk(track(read_documents(documents or ["-"]), "documents"), words, stride, tokenizer)
    count = write_lines(output, (passage.to_json() for passage in passages))
    log.info("%s passages", f"{count:,}")
