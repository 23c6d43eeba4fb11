"""From sources to a report: what is measured, what is kept, what goes into the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fidtools.data.jsonl import encodable
from fidtools.errors import FidtoolsError, UsageError
from fidtools.evaluation.comparable import other_labels
from fidtools.evaluation.family import MetricSettings
from fidtools.logs import log
from fidtools.report.attention_maps import attention_blocks
from fidtools.report.blocks import Block
from fidtools.report.learning import teacher_temperatures, training_sections
from fidtools.report.numbers import aligned, comparisons, headline_metrics, main_metric, outcomes, summary
from fidtools.report.outcomes import interest_order, judged
from fidtools.report.provenance import provenance
from fidtools.report.question_blocks import BUDGET, question_blocks
from fidtools.report.sources import Sources
from fidtools.report.systems import System, Texts, measure_system, refuse_huge, sample_ids
from fidtools.report.teacher import teacher_sections

MOST_ATTENTION = BUDGET // 2


@dataclass(frozen=True)
class Choices:
    """What a report shows. `attention` is of how many questions, by `reader`; `assets`: blocks lie beside the page."""

    metric: str | None = None
    profile: str = "nq"
    sample: int | None = None
    n_passages: int = 20
    attention: int = 0
    reader: str | None = None
    attention_passages: int = 10
    assets: bool = False


@dataclass(frozen=True)
class Report:
    """The numbers, and the blocks of questions behind them."""

    numbers: dict[str, Any]
    blocks: list[Block]

    @property
    def last(self) -> dict[str, Any]:
        """The last system that is no baseline: the one that conditions are about."""
        systems: list[dict[str, Any]] = self.numbers["systems"]
        return next((system for system in reversed(systems) if not system["baseline"]), systems[-1])


def build_report(sources: Sources, choices: Choices, *, with_questions: bool = True) -> Report:
    """Measure the systems of `sources` and gather what a page about them shows.

    Raises DataError for bad lines, MismatchError for systems of different questions, UsageError for an unknown metric,
    FidtoolsError for more questions or more attention than a page can hold.
    """
    texts = Texts()
    systems = _measured(sources, choices, texts)
    metric = main_metric(systems, choices.metric)
    tests = comparisons(systems, headline_metrics(systems[0].scores))
    systems = aligned(systems)
    views = [judged(system, metric) for system in systems]
    codes = outcomes(views)
    numbers = {
        "title": encodable(sources.title),
        "sampled": choices.sample,
        **summary(systems, tests, metric, views, codes),
    }
    numbers |= _run_sections(sources)
    if not with_questions:
        return Report(numbers, [])
    attention = _attention(systems, list(codes.values()), choices, numbers)
    budget = float("inf") if choices.assets else BUDGET - sum(block.size for block in attention)
    return Report(numbers, [*question_blocks(systems, texts, views, codes, metric, budget), *attention])


def _measured(sources: Sources, choices: Choices, texts: Texts) -> list[System]:
    first = sources.systems[0].path
    if not choices.sample:
        for source in sources.systems:
            refuse_huge(source.path)
    wanted = sample_ids(first, choices.sample) if choices.sample else None
    settings = MetricSettings(choices.profile)
    systems = [measure_system(source, texts, settings, choices.n_passages, wanted) for source in sources.systems]
    if problem := other_labels([(system.source.name, system.scores) for system in systems]):
        systems[0].scores.notes.append(problem)
        log.warning("%s", problem)
    return systems


def _run_sections(sources: Sources) -> dict[str, Any]:
    run = sources.run
    training = training_sections(run) if run else []
    teacher = teacher_sections(run, teacher_temperatures(training)) if run else []
    return {"training": training, "teacher": teacher, "run": encodable(provenance(run, sources.settings))}


def _attention(
    systems: Sequence[System], codes: Sequence[str], choices: Choices, numbers: dict[str, Any]
) -> list[Block]:
    """Attention on the most telling questions: of the given reader, or in each iteration of its own one."""
    numbers["attention"] = None
    if not choices.attention:
        return []
    readers = _readers(systems, choices.reader)
    order = interest_order(codes) or list(range(len(systems[0].rows)))
    rows = {systems[0].rows[row].id: row for row in order[: choices.attention]}
    blocks = [
        block
        for at, reader in readers.items()
        for block in attention_blocks(systems[at].source.path, rows, f"a{at}-", reader, choices.attention_passages)
    ]
    size = sum(block.size for block in blocks)
    if size > MOST_ATTENTION and not choices.assets:
        fitting = max(1, len(rows) * MOST_ATTENTION // size)
        hint = f"--attention {fitting} fits; or give fewer --attention-passages, or --assets FOLDER"
        raise FidtoolsError(f"the attention on {len(rows)} questions takes {size / 1e6:.0f} MB of the page", hint=hint)
    numbers["attention"] = {"rows": sorted(rows.values()), "readers": {str(at): name for at, name in readers.items()}}
    return blocks


def _readers(systems: Sequence[System], reader: str | None) -> dict[int, str]:
    """The reader of each system that has one: `reader` of all but the baselines, else the iterations' own."""
    ours = {at: system.source.folder for at, system in enumerate(systems) if not system.source.baseline}
    if reader is not None:
        return dict.fromkeys(ours, reader)
    own = {at: str(folder / "reader") for at, folder in ours.items() if folder and (folder / "reader").is_dir()}
    if not own:
        raise UsageError("--attention needs a reader: give one with --reader")
    return own
