"""fidtools chunk: split documents into passages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.errors import UsageError

if TYPE_CHECKING:
    from fidtools.data.records import Passage
    from fidtools.data.words import TokenizerName

WORDS = 100
WORD_TOKENIZERS = ("whitespace", "spacy")


@click.command("chunk")
@click.argument("documents", type=paths.name, nargs=-1)
@options.output_among(".jsonl", ".jsonl.gz", ".json", ".json.gz")
@click.option("--words", type=values.positive, show_default=str(WORDS), help="Words per passage.")
@click.option(
    "--tokens", type=values.positive, help="Instead: tokens per passage, whole words, with --tokenizer MODEL."
)
@click.option(
    "--stride",
    type=values.positive,
    help="Words (tokens) from the start of a passage to the next.  [default: --words, --tokens]",
)
@click.option(
    "--sentences",
    is_flag=True,
    help="End passages at the last sentence end within --words or --tokens; a longer sentence is cut as without it.",
)
@click.option(
    "--tokenizer",
    type=paths.name,
    metavar="NAME",
    default="whitespace",
    show_default=True,
    help="What counts as a word: whitespace, or spacy, which also counts punctuation marks; in text without spaces, "
    "a character is a word. For --tokens: a model's "
    "folder, or its name on the Hugging Face hub.",
)
@options.verbosity
def command(
    documents: tuple[str, ...],
    output: str,
    words: int | None,
    tokens: int | None,
    stride: int | None,
    sentences: bool,
    tokenizer: str,
) -> None:
    """Split DOCUMENTS into passages of 100 words that do not overlap.

    DOCUMENTS are JSON lines with id, title, text; DPR tables (.tsv); text files (.txt, .md, .markdown, .rst); HTML, PDF
    and DOCX files (these need the extra `documents`); or folders of such files, of which hidden ones are not read. The
    default is JSON lines on standard input. Passage 3 of document `d` gets the id `d-3` and the doc_id `d`; other
    fields are kept. Passages that have a doc_id are cut into parts with their `passage_id`. Passages of a PDF have the
    `page`, those of HTML and DOCX the `heading` where they begin. Files that are encrypted, damaged or without text are
    reported and left out.

    \b
      fidtools chunk notes/ -o passages.jsonl
      zcat docs.jsonl.gz | fidtools chunk --words 80 --stride 40 > passages.jsonl
      fidtools chunk handbook.pdf site/ --sentences -o passages.jsonl
      fidtools chunk notes/ --tokens 180 --tokenizer minilm -o passages.jsonl
      fidtools chunk passages.jsonl --sentences --words 40 -o parts.jsonl
    """
    if tokens is not None and words is not None:
        raise UsageError("give one of --words and --tokens")
    if (tokens is None) != (tokenizer in WORD_TOKENIZERS):
        raise UsageError(f"--tokens needs --tokenizer MODEL; --words takes {' or '.join(WORD_TOKENIZERS)}")
    if sentences and stride is not None:
        raise UsageError("--stride does not apply to --sentences: passages begin where sentences do")
    from fidtools.data.jsonl import write_lines
    from fidtools.documents.reading import read_documents
    from fidtools.logs import log, track

    passages = _passages(
        track(read_documents(documents or ["-"]), "documents"), words, tokens, stride, sentences, tokenizer
    )
    count = write_lines(output, (passage.to_json() for passage in passages))
    log.info("%s passages", f"{count:,}")


def _passages(
    documents: Iterator[Passage],
    words: int | None,
    tokens: int | None,
    stride: int | None,
    sentences: bool,
    tokenizer: str,
) -> Iterator[Passage]:
    from fidtools.data.chunking import chunk, chunk_by, single_blanks

    if tokens is None:
        return chunk(documents, words or WORDS, stride, cast("TokenizerName", tokenizer), sentences=sentences)
    from fidtools.compute.token_spans import load_cutter  # torch and transformers

    return chunk_by(single_blanks(documents, sentences), load_cutter(tokenizer, tokens, stride, sentences=sentences))
