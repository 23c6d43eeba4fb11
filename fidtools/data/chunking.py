"""Split documents into passages of a fixed number of words, as in the paper (section 4.2: 100, not overlapping)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from fidtools.data.corpus_rows import text_hash
from fidtools.data.records import Passage
from fidtools.data.words import TokenizerName, tokenizer
from fidtools.errors import DataError, UsageError
from fidtools.logs import log


def chunk(
    documents: Iterable[Passage], words: int = 100, stride: int | None = None, by: TokenizerName = "whitespace"
) -> Iterator[Passage]:
    """The passages of each document, in order: `words` words, starting at every `stride`-th (default: no overlap).

    A document is a Passage whose text may be long. Passage 3 of document `d` has the id `d-3` (from 0); its `doc_id` is
    the document's own `doc_id`, else its id. Title and other fields are repeated, white space becomes single spaces.
    The last passage may be shorter. Warns of documents without a word, which have no passage. Raises DataError for a
    repeated document id, UsageError when `stride` would skip words.
    """
    step = stride or words
    if step > words:
        raise UsageError(f"--stride {step} is greater than --words {words}: the words in between would be lost")
    spans = tokenizer(by)

    def cut(text: str) -> Iterator[tuple[int, int]]:
        found = list(spans(text))
        for start in _starts(len(found), words, step):
            part = found[start : start + words]
            yield part[0][0], part[-1][1]

    return chunk_by(documents, cut)


def chunk_by(documents: Iterable[Passage], cut: Callable[[str], Iterable[tuple[int, int]]]) -> Iterator[Passage]:
    """The passages of each document, in order, where `cut` says that they start and end. See `chunk`.

    Raises DataError for a repeated document id.
    """
    seen, empty = set[int](), 0
    for document in documents:
        if (key := text_hash(str(document.id))) in seen:
            raise DataError("two documents have this id", field="id", value=document.id)
        seen.add(key)
        cuts = list(cut(document.text))
        empty += not cuts
        for number, (start, end) in enumerate(cuts):
            text = " ".join(document.text[start:end].split())
            yield replace(
                document, id=f"{document.id}-{number}", text=text, doc_id=document.doc_id or document.id, scores={}
            )
    if empty:
        log.warning("%s of %s documents contain no word", f"{empty:,}", f"{len(seen):,}")


def single_blanks(documents: Iterable[Passage]) -> Iterator[Passage]:
    """The documents with single spaces for all white space, as in their passages."""
    return (replace(document, text=" ".join(document.text.split())) for document in documents)


def _starts(total: int, words: int, step: int) -> Iterable[int]:
    """Where passages start; none starts whose words the one before it contains already."""
    return range(0, max(total - words + step, 1) if total else 0, step)
