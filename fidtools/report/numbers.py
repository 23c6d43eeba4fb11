"""Every number of a report: measured, with intervals and paired tests, as `--json` writes it and the page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

from fidtools.data.jsonl import encodable
from fidtools.errors import FidtoolsError, UsageError
from fidtools.evaluation.paired import SystemRuns, compare_runs
from fidtools.evaluation.scores import Metric, Scores
from fidtools.report.outcomes import CAUSES, Judged, count_outcomes, n_context, outcome_codes, varied
from fidtools.report.reasons import reason
from fidtools.report.systems import Row, System, recall_cutoffs

CUTOFFS = (1, 5, 20, 100)
PREFIXES = ("R@", "gold-R@")
PREFERRED = ("EM", "accuracy", "KILT", "ROUGE-L", "F1")
RESAMPLES = 10_000
SHOWN_LOST = 20


def headline_metrics(scores: Scores) -> list[str]:
    """The metrics of the tables and tests: recall at the usual cut-offs, and every other metric."""
    names: list[str] = []
    for prefix in PREFIXES:
        measured = recall_cutoffs(scores, prefix)
        usual = [k for k in CUTOFFS if k in measured] or measured[-1:]
        names += [f"{prefix}{k}" for k in usual]
    return [*names, *(name for name in scores.values if not name.startswith(PREFIXES))]


def main_metric(systems: Sequence[System], wanted: str | None) -> str:
    """The metric that questions are won and lost by: `wanted`, else one that judges answers, else R@20 or nearest.

    Raises UsageError when not every system has it, FidtoolsError when nothing was measured in all.
    """
    shared = [name for name in systems[0].scores.values if all(name in s.scores.values for s in systems)]
    if wanted is not None and wanted not in shared:
        hint = f"measured in all are {', '.join(shared) or 'none'}"[:300]
        raise UsageError(f"--metric {wanted}: not measured in every system", hint=hint)
    usual = [name for name in headline_metrics(systems[0].scores) if name in shared]
    order = [wanted, *PREFERRED, "R@20", *reversed(usual)]
    found = next((name for name in order if name in shared), None)
    if found is None:
        reasons = {reason for system in systems for reason in system.scores.not_computed.values()}
        raise FidtoolsError("nothing can be measured on these files", hint="; ".join(sorted(reasons)) or None)
    return found


def aligned(systems: Sequence[System]) -> list[System]:
    """The systems with their questions in the order of the first one, which all must have (`compare_runs` checks)."""
    ids = systems[0].scores.ids
    return [systems[0], *(_reordered(system, ids) for system in systems[1:])]


def _reordered(system: System, ids: Sequence[str]) -> System:
    place = {identifier: row for row, identifier in enumerate(system.scores.ids)}
    order = [place[identifier] for identifier in ids]
    scores = replace(
        system.scores,
        ids=list(ids),
        texts=[system.scores.texts[row] for row in order],
        groups=[system.scores.groups[row] for row in order],
        values={name: column[order] for name, column in system.scores.values.items()},
        pooled={name: replace(p, statistics=p.statistics[order]) for name, p in system.scores.pooled.items()},
    )
    return System(system.source, scores, [system.rows[row] for row in order])


def tested_pairs(systems: Sequence[System]) -> list[tuple[int, int]]:
    """Which systems are compared: each iteration with the one before and with the start, and all with the baselines."""
    ours = [at for at, system in enumerate(systems) if not system.source.baseline]
    others = [at for at, system in enumerate(systems) if system.source.baseline]
    pairs = [*pairwise(ours), *((ours[0], at) for at in ours[1:] if ours), *((b, a) for b in others for a in ours)]
    return list(dict.fromkeys(pairs))


def comparisons(systems: Sequence[System], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The paired tests of every tested pair in every metric both have. Raises MismatchError for other questions."""
    found = []
    for a, b in tested_pairs(systems):
        pair = [SystemRuns(system.name, [_only(system.scores, metrics)]) for system in (systems[a], systems[b])]
        results, _ = compare_runs(pair, RESAMPLES)
        found += [{"from": a, "to": b, **result.to_json()} for result in results]
    return found


def _only(scores: Scores, metrics: Sequence[str]) -> Scores:
    return replace(scores, values={name: scores.values[name] for name in metrics if name in scores.values})


def summary(
    systems: Sequence[System],
    tests: Sequence[dict[str, Any]],
    metric: str,
    views: Sequence[Judged],
    codes: dict[tuple[int, int], str],
) -> dict[str, Any]:
    """What was measured on `aligned` systems, their views by `metric` and the `outcomes` of those, as JSON."""
    metrics = [system.scores.metrics() for system in systems]
    names = headline_metrics(systems[0].scores)
    ours = steps(systems)
    return {
        "questions": len(systems[0].rows),
        "metric": metric,
        "systems": [_system(system, values, names) for system, values in zip(systems, metrics, strict=True)],
        "comparisons": list(tests),
        "steps": ours,
        "helped_most": helped_most(tests, ours, metric),
        "changes": [_change(systems, pair, code, views) for pair, code in codes.items()],
    }


def _system(system: System, metrics: dict[str, Metric], names: Sequence[str]) -> dict[str, Any]:
    return {
        "name": system.name,
        "file": encodable(str(system.source.path)),
        "baseline": system.source.baseline,
        "passages": max((row.retrieved for row in system.rows), default=0),
        "n_context": n_context(system.source.folder),
        "metrics": {name: _metric(metrics[name]) for name in names if name in metrics},
        "recall": {prefix: list(_curve(metrics, prefix)) for prefix in PREFIXES},
        "notes": system.scores.notes,
        "not_computed": {name: why for name, why in system.scores.not_computed.items() if "R@" not in name},
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {"value": metric.value, "n": metric.n, "interval": metric.interval, "unit": metric.unit, "by": metric.by}


def _curve(metrics: dict[str, Metric], prefix: str) -> Iterator[list[float | None]]:
    """[k, value, low, high] for every k."""
    for name, metric in metrics.items():
        if name.startswith(prefix):
            low, high = metric.interval or (None, None)
            yield [int(name.removeprefix(prefix)), metric.value, low, high]


def steps(systems: Sequence[System]) -> list[tuple[int, int]]:
    """From each iteration to the next one."""
    return list(pairwise(at for at, system in enumerate(systems) if not system.source.baseline))


def tests_of(tests: Sequence[dict[str, Any]], steps: Sequence[tuple[int, int]], metric: str) -> list[dict[str, Any]]:
    """The comparisons of these steps by one metric."""
    return [test for test in tests if test["metric"] == metric and (test["from"], test["to"]) in steps]


def helped_most(
    tests: Sequence[dict[str, Any]], steps: Sequence[tuple[int, int]], metric: str
) -> dict[str, Any] | None:
    """Of the steps from one iteration to the next, the test with the greatest gain in `metric`; None without any."""
    return max(tests_of(tests, steps, metric), key=lambda test: test["difference"], default=None)


def outcomes(views: Sequence[Judged]) -> dict[tuple[int, int], str]:
    """The outcome codes of every question between the views of any two systems, from the earlier to the later."""
    return {(a, b): outcome_codes(views[a], views[b]) for a, b in combinations(range(len(views)), 2)}


def _change(systems: Sequence[System], pair: tuple[int, int], codes: str, views: Sequence[Judged]) -> dict[str, Any]:
    a, b = pair
    return {
        "from": a,
        "to": b,
        **count_outcomes(codes),
        "examples_lost": [
            _lost(systems[a].rows[row], codes[row])
            | {"before": _side(systems[a], views[a], row), "after": _side(systems[b], views[b], row)}
            | {"reason": reason(codes[row], views[a], views[b], row)}
            for row in varied(codes, SHOWN_LOST)
        ],
    }


def _lost(row: Row, code: str) -> dict[str, Any]:
    return {"id": row.id, "question": row.question, "answers": row.answers, "cause": CAUSES[code]}


def _side(system: System, view: Judged, row: int) -> dict[str, Any]:
    gold = view.gold_ranks[row] if view.gold_ranks else None
    return {"prediction": system.rows[row].prediction, "first_answer_rank": view.ranks[row], "first_gold_rank": gold}
