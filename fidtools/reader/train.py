"""One training run of a reader, from its configuration to its folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from torch import nn
from transformers import GenerationConfig

from fidtools.compute.loading import is_causal
from fidtools.logs import log
from fidtools.reader.objective import ReaderObjective, labelled_questions, targets
from fidtools.reader.presets import PRESETS
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import load_reader
from fidtools.reader.run_config import ReaderRun
from fidtools.training.loop import check_run, describe_metrics, train

MEASURED = 100
"""Questions whose texts are measured before training: a run of days should not end with the news that half were cut."""


def train_reader(run: ReaderRun, output: Path, *, resume: bool, force: bool = False) -> dict[str, float]:
    """Train as `run` says into the folder `output`; returns the best model's dev metrics.

    `resume` continues an unfinished run; a finished one is left as it is. `force` replaces a folder with other files.
    Raises DataError for questions without passages or answers, UsageError when an unfinished run exists that is not
    continued or used other settings.
    """
    record = run.record() | ({"causal": True} if is_causal(run.reader) else {})
    finished = check_run(output, run.settings, record, resume=resume, force=force)
    if finished is not None:
        return finished
    reader = _initial_reader(run)
    examples = labelled_questions(run.train)
    dev = labelled_questions(run.dev) if run.dev else []
    log.info("training on %d questions, validating on %d", len(examples), len(dev))
    for question in examples[:MEASURED]:
        reader.passages(question)
        for answer in targets(question):
            reader.target(answer)
    reader.report_cuts()
    objective = ReaderObjective(reader, examples, dev, run.settings.seed)
    metrics = train(objective, run.settings, output, resume=resume, record=record, force=force)
    log.info("best: %s", describe_metrics(metrics) or "the last update")
    return metrics


def _initial_reader(run: ReaderRun) -> Reader:
    changes = asdict(run.inputs) | {"title": None if run.inputs.title else False}  # without a choice: the start's own
    chosen = changes.pop("text_maxlength")
    presets = {preset.inputs.text_maxlength for preset in PRESETS.values()}
    reader = load_reader(
        run.reader, **changes, **{("default_" if chosen in presets else "") + "text_maxlength": chosen}
    )
    set_dropout(reader.fusion.model, run.dropout)
    set_plain_generation(reader)
    reader.fusion.token_budget = run.token_budget
    reader.fusion.checkpoint_encoder = run.gradient_checkpointing
    if run.lora is not None:
        reader.fusion.add_lora(run.lora, run.settings.seed, run.reader if run.keep_adapter else None)
    return reader


def set_plain_generation(reader: Reader) -> None:
    """Reset the generation configuration of a model that is going to be trained.

    A checkpoint may come with that of summarization or translation: a forced first token, a minimum length, no repeated
    n-grams. The answers it learns here have none of these.
    """
    model = reader.fusion.model
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        decoder_start_token_id=reader.fusion.start, eos_token_id=reader.eos, pad_token_id=reader.fusion.pad
    )


def set_dropout(model: nn.Module, rate: float) -> None:
    """Set every dropout rate of a model: that of its layers, and the one that attention modules store."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)
