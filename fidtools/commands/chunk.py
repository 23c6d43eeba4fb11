"""fidtools chunk: split documents into passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fidtools.commands import _options as options

if TYPE_CHECKING:
    from fidtools.data.words import TokenizerName


@click.command("chunk")
@click.argument("documents", type=click.Path(), nargs=-1)
@options.output
@click.option("--words", type=click.IntRange(min=1), default=100, show_default=True, help="Words per passage.")
@click.option(
    "--stride", type=click.IntRange(min=1), help="Words from the start of a passage to the next.  [default: --words]"
)
@click.option(
    "--tokenizer",
    type=click.Choice(["whitespace", "spacy"]),
    default="whitespace",
    show_default=True,
    help="What counts as a word; spacy also counts punctuation marks. In text without spaces, a character is a word.",
)
@options.verbosity
def command(documents: tuple[str, ...], output: str, words: int, stride: int | None, tokenizer: TokenizerName) -> None:
    """Split DOCUMENTS into passages of 100 words that do not overlap.

    DOCUMENTS are JSON lines with id, title, text; DPR tables (.tsv); text files (.txt, .md, .markdown, .rst); or
    folders of text files, of which hidden ones are not read. The default is JSON lines on standard input. Passage 3 of
    document `d` gets the id `d-3` and the doc_id `d`; other fields are kept.

    \b
      fidtools chunk notes/ -o passages.jsonl
      zcat docs.jsonl.gz | fidtools chunk --words 80 --stride 40 > passages.jsonl
    """
    from fidtools.data.chunking import chunk
    from fidtools.data.jsonl import write_lines
    from fidtools.data.text_files import read_documents
    from fidtools.logs import log, track

    passages = chunk(track(read_documents(documents or ["-"]), "documents"), words, stride, tokenizer)
    count = write_lines(output, (passage.to_json() for passage in passages))
    log.info("%s passages", f"{count:,}")
