"""Words for the index: what both engines take from a text before they count."""

from __future__ import annotations

from collections.abc import Callable

from fidtools.data.words import spacy_spans
from fidtools.sparse.engine import AnalyzerName


def prepared(analyzer: AnalyzerName) -> Callable[[str], str]:
    """The function that a text goes through before the engine's own analyzer.

    `spacy`: spaCy's tokens in lower case with spaces between, which the engine splits at white space (the paper's
    set-up); the other analyzers take the text as it is.
    """
    if analyzer != "spacy":
        return lambda text: text
    spans = spacy_spans()
    return lambda text: " ".join(text[start:stop].lower() for start, stop in spans(text))
