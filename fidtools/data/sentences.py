"""Where sentences end, by rules for languages with and without spaces between words.

A sentence ends

- after `。！？｡` and the full stops of Arabic, Urdu, Hindi, Armenian, Burmese, Khmer, Amharic and Tibetan;
- after `.`, `!`, `?` or `…` before white space, unless the next word begins in lower case, or the full stop belongs to
  an abbreviation (`Dr.`, `e.g.`, `z. B.`), an initial (`J. Smith`) or a number of one or two digits (`am 3. Mai`);
- at the end of a paragraph: an empty line, or the separator that readers of documents put between blocks.

Closing quotes and brackets belong to the sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex

PARAGRAPH = "\N{PARAGRAPH SEPARATOR}"
"""Between the paragraphs of a document that was not a text file: white space, of one character."""
ABBREVIATIONS = frozenset(
    """
    al approx apr art aug bd bzw ca cf ch chap co col corp dec dept dez dr ed edn eds eg eq esp est etc evtl
    ex feb fig figs fr ft gen ggf gov hon hr hrsg inc incl inkl jan jr jul jun lt ltd mar max min mio mlle mm
    mme mr mrd mrs ms mt nos nov nr oct okt op p pp prof pt ref resp rev s sec sen sep sept sgt sog sr sra
    srta st str tel u usw v vgl vol vs z zzgl
    """.split()
)
CLOSING = r"[\"'”’»›)\]}」』）】〉》］]*"
_END = regex.compile(
    rf"(?P<always>[。！？｡؟۔।॥։။។።༎]+{CLOSING})|(?P<mark>[.!?…]+){CLOSING}(?=\s|$)|(?P<paragraph>\s*(?:\n\s*\n|{PARAGRAPH})\s*)"
)
_BEFORE = regex.compile(r"[\p{L}\p{M}\p{N}.]+$")
_LOWER = regex.compile(r"\s+[\"'“‘„«(\[]*\p{Ll}")


def sentence_ends(text: str) -> set[int]:
    """The positions in the text behind the last character of every sentence.

    >>> sorted(sentence_ends('Dr. Ada lived here. "Why?" Nobody knows'))
    [19, 26, 39]
    """
    return {*_ends(text), len(text.rstrip())} - {0}


def cut_at_ends(words: Iterable[tuple[int, int]], ends: set[int]) -> Iterator[tuple[int, int]]:
    """The words' spans, cut where a sentence ends inside of one, as in text without spaces before an opening quote.

    >>> list(cut_at_ends([(0, 4), (5, 9)], {2, 9}))
    [(0, 2), (2, 4), (5, 9)]
    """
    for start, end in words:
        for at in range(start + 1, end):
            if at in ends:
                yield start, at
                start = at
        yield start, end


def _ends(text: str) -> Iterator[int]:
    for found in _END.finditer(text):
        if found["paragraph"] is not None:
            yield found.start()
        elif found["always"] is not None or _ends_sentence(text, found):
            yield found.end()


def _ends_sentence(text: str, found: regex.Match[str]) -> bool:
    """Whether a full stop, an exclamation or question mark ends a sentence."""
    if _LOWER.match(text, found.end()):
        return False
    if found["mark"] != ".":
        return True
    before = _BEFORE.search(text, max(0, found.start() - 40), found.start())
    word = before[0] if before else ""
    short_number = word.isdigit() and len(word) <= 2
    initial = len(word) == 1 and word.isalpha() and word.isupper()
    dotted = len(word) <= 5 and "." in word and not word.replace(".", "").isdigit()  # U.S, e.g
    return not (short_number or initial or dotted or word.lower() in ABBREVIATIONS)
