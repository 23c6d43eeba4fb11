"""Answers: normalisation, exact match and token F1, as SQuAD, TriviaQA and their users define them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

ARTICLES = re.compile(r"\b(a|an|the)\b")
TO_NOTHING = str.maketrans("", "", string.punctuation)
TO_SPACE = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))

Normalizer = Callable[[str], str]


def normalize_answer(text: str) -> str:
    """SQuAD's normal form: lower case, without ASCII punctuation, the articles a, an, the, and extra white space.

    Unicode is not normalized: NFC and NFD spellings of a word differ. "well-known" becomes "wellknown".
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(TO_NOTHING)).split())


def normalize_trivia(text: str) -> str:
    """TriviaQA's normal form: as SQuAD's, but punctuation (with ‘ ’ ´ and `) separates words."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(TO_SPACE)).split())


def exact_match(prediction: str, answers: Sequence[str], normalize: Normalizer = normalize_answer) -> bool:
    """Whether the prediction equals one of the answers in normal form. No answers match nothing."""
    normal = normalize(prediction)
    return any(normal == normalize(answer) for answer in answers)


def f1(prediction: str, answers: Sequence[str], normalize: Normalizer = normalize_answer) -> float:
    """The best token F1 (0 to 1) of the prediction against the answers, over bags of words in normal form.

    Two texts without words score 1.0; a text without words against one with words scores 0.0, as in SQuAD 2.0's script.
    """
    words = normalize(prediction).split()
    return max((_word_f1(words, normalize(answer).split()) for answer in answers), default=0.0)


def _word_f1(predicted: list[str], gold: list[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    common = sum((Counter(predicted) & Counter(gold)).values())
    return 2 * common / (len(predicted) + len(gold))
