"""One training run of a reader, from its configuration to its folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from fidtools.compute.hub import is_causal
from fidtools.logs import log
from fidtools.reader.model import Reader, load_reader, set_dropout, set_plain_generation
from fidtools.reader.objective import ReaderObjective, labelled_questions
from fidtools.reader.run import ReaderRun
from fidtools.training.loop import check_run, describe_metrics, train


def train_reader(run: ReaderRun, output: Path, *, resume: bool) -> dict[str, float]:
    """Train as `run` says into the folder `output`; returns the best model's dev metrics.

    Raises DataError for questions without passages or answers, UsageError when an unfinished run exists that is not
    continued or used other settings.
    """
    record = run.record() | ({"causal": True} if is_causal(run.reader) else {})
    check_run(output, run.settings, record, resume=resume)
    reader = _initial_reader(run)
    examples = labelled_questions(run.train)
    dev = labelled_questions(run.dev) if run.dev else []
    log.info("training on %d questions, validating on %d", len(examples), len(dev))
    objective = ReaderObjective(reader, examples, dev, run.settings.seed)
    metrics = train(objective, run.settings, output, resume=resume, record=record)
    log.info("best: %s", describe_metrics(metrics) or "the last update")
    return metrics


def _initial_reader(run: ReaderRun) -> Reader:
    changes = asdict(run.inputs) | {"title": None if run.inputs.title else False}  # without a choice: the start's own
    reader = load_reader(run.reader, **changes)
    set_dropout(reader.fusion.model, run.dropout)
    set_plain_generation(reader)
    reader.fusion.token_budget = run.token_budget
    reader.fusion.checkpoint_encoder = run.gradient_checkpointing
    if run.lora is not None:
        reader.fusion.add_lora(run.lora, run.settings.seed)
    return reader
