"""All metrics by name, and the measures that compute them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fidtools.errors import MissingExtraError, UsageError, did_you_mean
from fidtools.evaluation import evidence, generated, kilt, predictions, recall
from fidtools.evaluation.agreement import KINDS, Agreement
from fidtools.evaluation.family import CUTOFF, MetricFamily, MetricSettings
from fidtools.evaluation.measure import Measure
from fidtools.evaluation.profiles import Profile
from fidtools.evaluation.trec_metrics import IR_MEASURES, parse

CUTOFFS = (1, 5, 20, 100)
# In the order of the columns of a report.
FAMILIES: tuple[MetricFamily, ...] = (
    *recall.METRICS,
    *evidence.METRICS,
    *predictions.METRICS,
    *kilt.METRICS,
    *generated.METRICS,
)


def measures(settings: MetricSettings, names: Sequence[str] = (), ks: Sequence[int] = CUTOFFS) -> list[Measure]:
    """The measures for `names` (default: the profile's); metrics of one family are computed together.

    Raises UsageError for unknown names, with the known ones.
    """
    remaining = expand(names or settings.profile.metrics, ks)
    built: list[Measure] = []
    for family in FAMILIES:
        if found := [name for name in remaining if family.has(name)]:
            _check_answers(family, settings, found)
            built.append(family.build(settings, found))
            remaining = [name for name in remaining if not family.has(name)]
    if remaining:
        _check_known(remaining)
        built.append(IR_MEASURES.build(settings, remaining))
    return built


def options_of(names: Sequence[str], profile: Profile) -> set[str]:
    """The options that change the metrics `names` (default: the profile's), as `--k` those that end in it."""
    wanted = names or profile.metrics
    expanded = {name: expand([name], CUTOFFS)[0] for name in wanted}
    families = {name: [f for f in FAMILIES if f.has(expanded[name])] or [IR_MEASURES] for name in wanted}
    used = {option for several in families.values() for family in several for option in family.options} - {"--k"}
    return used | ({"--k"} if any(name.endswith(CUTOFF) for name in wanted) else set())


def agreements(gold: str, other: str, ks: Sequence[int] = CUTOFFS) -> list[Measure]:
    """How score `other` agrees with score `gold`, in every way we know."""
    return [Agreement(name, gold, other, ks if kind.has_cutoff else ()) for name, kind in KINDS.items()]


def expand(names: Sequence[str], ks: Sequence[int]) -> list[str]:
    """`names` with every `…@k` written out for the cut-offs, each once."""
    expanded = ([name.removesuffix("k") + str(k) for k in ks] if name.endswith(CUTOFF) else [name] for name in names)
    return list(dict.fromkeys(name for group in expanded for name in group))


def _check_answers(family: MetricFamily, settings: MetricSettings, names: Sequence[str]) -> None:
    """Raises UsageError for metrics that compare words with answers that are regular expressions."""
    if settings.match == "regex" and "`answers`" in family.needs and "--regex" not in family.options:
        problem = f"{', '.join(names)} cannot be computed where the answers are regular expressions (--regex)"
        raise UsageError(problem, hint="R@k and EM can")


def _check_known(names: Sequence[str]) -> None:
    """Raises UsageError for names that ir_measures does not know either."""
    try:
        unknown = [name for name in names if parse(name) is None]
        others = f"and those of ir_measures: {', '.join(IR_MEASURES.names)} …"
    except MissingExtraError as error:
        unknown, others = list(names), f"and those of ir_measures: {error.hint}"
    if unknown:
        known = [name for family in FAMILIES for name in family.names]
        meant = "".join(_meant(name, [*known, *IR_MEASURES.names]) for name in unknown)
        problem = f"unknown metric: {', '.join(unknown)}{meant and '.' + meant}"
        raise UsageError(problem, hint=f"available: {', '.join(known)}, {others}")


def _meant(name: str, known: Sequence[str]) -> str:
    """`did_you_mean` where case, `-` and `@` do not count, with the cut-off that was given: R@5 for `r5`."""
    cutoff = re.search(r"(?<!\d)[1-9]\d*$", name.strip())
    spelled = [re.sub(r"(?<=@)(?:k|\d+)$", cutoff[0], other) if cutoff else other for other in known]
    same = [other for other in spelled if _squeezed(other) == _squeezed(name)]
    return f" Did you mean {same[0]}?" if same else did_you_mean(name, spelled)


def _squeezed(name: str) -> str:
    return re.sub(r"[-_@ ]", "", name).lower()
