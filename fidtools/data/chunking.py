"""Split documents into passages of a fixed number of words, as in the paper (section 4.2: 100, not overlapping)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fidtools.data.corpus_rows import text_hash
from fidtools.data.records import PART_OF, Passage
from fidtools.data.sentences import PARAGRAPH, cut_at_ends, sentence_ends
from fidtools.data.words import TokenizerName, tokenizer
from fidtools.errors import DataError, UsageError, shorten
from fidtools.logs import log

MOST_NAMED = 5  # documents without words that are named

_EMPTY_LINE = re.compile(r"\s*(?:\n\s*\n|\N{PARAGRAPH SEPARATOR})\s*")


@dataclass(slots=True)
class Document(Passage):
    """A text whose parts have fields of their own, such as the page: `marks` are ascending offsets with the fields."""

    marks: list[tuple[int, dict[str, Any]]] = field(default_factory=list)

    def fields_at(self, offset: int) -> dict[str, Any]:
        """The fields of the part that the character at this offset belongs to."""
        at = bisect_right(self.marks, offset, key=lambda mark: mark[0])
        return self.marks[at - 1][1] if at else {}


def chunk(
    documents: Iterable[Passage],
    words: int = 100,
    stride: int | None = None,
    by: TokenizerName = "whitespace",
    *,
    sentences: bool = False,
) -> Iterator[Passage]:
    """The passages of each document, in order: `words` words, starting at every `stride`-th (default: no overlap).

    A document is a Passage whose text may be long. Passage 3 of document `d` has the id `d-3` (from 0); its `doc_id` is
    the document's own `doc_id`, else its id. A document that has a `doc_id` is a passage itself, so that its parts get
    its id as `passage_id`. Title and other fields are repeated, white space becomes single spaces. The last passage may
    be shorter. With `sentences` a passage ends at the last end of a sentence within its words, where there is one, and
    the next begins there. A Document's passages get the fields of the part where they start.

    Warns of documents without a word, which have no passage. Raises DataError for a repeated document id, UsageError
    when `stride` would skip words.
    """
    step = stride or words
    if step > words:
        raise UsageError(f"--stride {step} is greater than --words {words}: the words in between would be lost")
    spans = tokenizer(by)

    def cut(text: str) -> Iterator[tuple[int, int]]:
        if sentences:
            ends = sentence_ends(text)
            yield from _by_sentences(list(cut_at_ends(spans(text), ends)), words, ends)
            return
        found = list(spans(text))
        for start in _starts(len(found), words, step):
            part = found[start : start + words]
            yield part[0][0], part[-1][1]

    return chunk_by(documents, cut)


def chunk_by(documents: Iterable[Passage], cut: Callable[[str], Iterable[tuple[int, int]]]) -> Iterator[Passage]:
    """The passages of each document, in order, where `cut` says that they start and end. See `chunk`.

    Raises DataError for a repeated document id.
    """
    seen, empty = set[int](), list[str]()
    for document in documents:
        if (key := text_hash(str(document.id))) in seen:
            problem = f"document {len(seen) + 1:,} has the id of an earlier one"
            raise DataError(problem, field="id", value=document.id, hint="every document needs its own id")
        seen.add(key)
        cuts = list(cut(document.text))
        if not cuts:
            empty.append(str(document.id))
        part_of = {PART_OF: document.id} if document.doc_id else {}
        for number, (start, end) in enumerate(cuts):
            text = " ".join(document.text[start:end].split())
            marked = document.fields_at(start) if isinstance(document, Document) else {}
            extra = document.extra | marked | part_of
            doc_id = document.doc_id or document.id
            yield Passage(f"{document.id}-{number}", text, document.title, doc_id, document.score, extra=extra)
    if empty:
        named = ", ".join(shorten(identifier) for identifier in empty[:MOST_NAMED]) + (
            ", …" if empty[MOST_NAMED:] else ""
        )
        log.warning("%s of %s documents contain no word: %s", f"{len(empty):,}", f"{len(seen):,}", named)


def single_blanks(documents: Iterable[Passage], paragraphs: bool = False) -> Iterator[Passage]:
    """The documents with single spaces for all white space, as in their passages.

    With `paragraphs` the end of one is a paragraph separator instead, for sentences to end there.
    """
    for document in documents:
        parts = _EMPTY_LINE.split(document.text) if paragraphs else [document.text]
        texts = (" ".join(part.split()) for part in parts)
        yield replace(document, text=PARAGRAPH.join(filter(None, texts)))


def _by_sentences(words: list[tuple[int, int]], most: int, ends: set[int]) -> Iterator[tuple[int, int]]:
    """Spans of at most `most` words, each to the last end of a sentence that fits."""
    first = 0
    while first < len(words):
        last = min(first + most, len(words))
        last = next((at for at in range(last, first, -1) if words[at - 1][1] in ends), last)
        yield words[first][0], words[last - 1][1]
        first = last


def _starts(total: int, words: int, step: int) -> Iterable[int]:
    """Where passages start; none starts whose words the one before it contains already."""
    return range(0, max(total - words + step, 1) if total else 0, step)
