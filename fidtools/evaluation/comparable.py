"""Whether numbers of several files may stand side by side: only those that were measured on the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fidtools.errors import MismatchError, shorten
from fidtools.evaluation.gold import are_other
from fidtools.evaluation.scores import Scores
from fidtools.evaluation.system import System
from fidtools.evaluation.system_names import distinct_names

MOST_NAMED = 5  # files in a message


def incomparable(systems: Sequence[System]) -> dict[str, list[frozenset[str]]]:
    """The metrics that not all files have on the same questions, with the ids of each file's questions."""
    metrics = list(dict.fromkeys(name for system in systems for name in system.scores.values))
    found = {}
    for metric in metrics:
        having = [system.scores for system in systems if metric in system.scores.values]
        if not _same(having, metric):
            found[metric] = [_measured(scores, metric) for scores in having]
    return found


def _same(several: Sequence[Scores], metric: str) -> bool:
    first = several[0]
    if all(scores.ids == first.ids for scores in several):
        masks = [np.isnan(scores.values[metric]) for scores in several]
        return all(np.array_equal(mask, masks[0]) for mask in masks)
    return len({_measured(scores, metric) for scores in several}) == 1


def _measured(scores: Scores, metric: str) -> frozenset[str]:
    return frozenset(name for name, value in zip(scores.ids, scores.values[metric], strict=True) if value == value)


def warning(systems: Sequence[System]) -> str | None:
    """What to say when some metrics of the files are of different questions; None when all are of the same."""
    found = incomparable(systems)
    if not found:
        return None
    metric, sets = max(found.items(), key=lambda item: len(set(item[1])))
    having = [system.name for system in systems if metric in system.scores.values]
    counts = [f"{name} has {len(ids):,}" for name, ids in zip(distinct_names(having), sets, strict=True)]
    shown = ", ".join(counts[:MOST_NAMED]) + (", …" if len(counts) > MOST_NAMED else "")
    common = len(frozenset.intersection(*sets))
    return f"the files are measured on different questions and cannot be compared: {shown}; {common:,} are in all"


def other_labels(systems: Sequence[tuple[str, Scores]]) -> str | None:
    """What to say when files have other answers or gold for a question than the first; None when all are the same."""
    first_name, *names = distinct_names([name for name, _ in systems])
    first, *others = (scores for _, scores in systems)
    known = dict(zip(first.ids, first.labels, strict=True))
    for name, scores in zip(names, others, strict=True):
        labelled = zip(scores.ids, scores.labels, strict=True)
        if count := sum(i in known and are_other(known[i], labels) for i, labels in labelled):
            problem = f"{count:,} questions have other answers or gold in {name} than in {first_name}"
            return f"{problem}: each file is judged by its own (--questions FILE gives the same to all)"
    return None


def check_judged(ids: Sequence[str], judged: Mapping[str, object] | None, path: str) -> None:
    """Raise MismatchError when a file has none of the questions that relevance judgements (qrels) name."""
    if ids and judged and judged.keys().isdisjoint(ids):
        examples = f"a judged one is {shorten(next(iter(judged)), 40)}, one of the file {shorten(ids[0], 40)}"
        raise MismatchError("shares no question id with the relevance judgements of --qrels", path=path, hint=examples)
