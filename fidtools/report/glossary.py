"""The terms of the page, each in a sentence or two: a list on the page, and the tooltips of headings."""

from __future__ import annotations

import re

TERMS = {
    "answer": "A passage holds an answer when one of the question's answers stands in its text, word for word. "
    "It may do so by chance, in a passage about something else.",
    "gold": "A gold passage is one that the data set names as right for the question.",
    "R@k": "Recall: the share of questions with an answer in one of the first k passages.",
    "gold-R@k": "The share of questions with a gold passage among the first k.",
    "EM": "Exact match: the share of questions whose predicted answer equals one of the answers, after normalisation "
    "(case, punctuation, articles).",
    "F1": "How many words the predicted answer shares with the nearest answer: the harmonic mean of precision and "
    "recall.",
    "effective passages": "Over how many passages the teacher spreads its probability: 1 is a single passage, the "
    "number of passages is no preference. The exponential of the entropy.",
    "temperature": "What scores are divided by before the softmax that makes them probabilities: below 1 sharpens, "
    "above 1 softens.",
    "AUC": "The probability that the teacher scores a passage with an answer (or a gold one) above one without: "
    "0.5 is chance, 1 is perfect.",
    "overlap@k": "The share of the first k passages that two rankings have in common.",
    "inversions": "Pairs of passages that two rankings put in opposite order: 0 is the same ranking.",
    "cover@k": "How many passages of one ranking must be read to see all of the first k of the other.",
    "spearman": "Spearman's rank correlation of two rankings: 1 is the same order, −1 the opposite one, 0 no relation.",
}


def meaning(name: str) -> str:
    """What a heading like R@5, AUC, gold or best temperature means; "" for one that needs no explanation."""
    general = re.sub(r"@\d+", "@k", name)
    known = (term for term in TERMS if general == term or general.startswith(f"{term},"))
    term = next(known, next((term for term in TERMS if general.endswith(f" {term}")), ""))
    return TERMS.get(term, "")
