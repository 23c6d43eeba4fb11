"""Preparation of a text for the analyzer of either engine."""

from __future__ import annotations

from collections.abc import Callable

from fidtools.data.words import spacy_spans
from fidtools.sparse.engine import AnalyzerName


def text_preparation(analyzer: AnalyzerName) -> Callable[[str], str]:
    """The function to apply to a text before the engine's own analyzer.

    `spacy`: spaCy's tokens in lower case, joined by spaces, at which the engine splits (the paper's setting). The other
    analyzers read the text unchanged.
    """
    if analyzer != "spacy":
        return lambda text: text
    spans = spacy_spans()
    return lambda text: " ".join(text[start:stop].lower() for start, stop in spans(text))
