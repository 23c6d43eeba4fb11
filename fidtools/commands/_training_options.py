"""Options of the training commands, each declared once; defaults come from the dataclass of the run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.commands import _path_types as paths
from fidtools.commands import _value_types as values
from fidtools.encoders.student_size import StudentSize
from fidtools.errors import FidtoolsError
from fidtools.training.settings import OPTIMIZERS, SCHEDULES, TrainingSettings

positive = values.positive
dropout_rate = values.Number(0, 1, open_ends="max")
train = click.argument("train", type=paths.input_file)

lora = click.option("--lora", type=positive, metavar="RANK", help="Train adapters of this rank instead of all weights.")
keep_adapter = click.option(
    "--keep-adapter", is_flag=True, help="Also save the adapter alone, in adapter/ inside the output (with --lora)."
)

DECLARATIONS: dict[str, dict[str, Any]] = {
    "steps": {"type": positive, "help": "Updates; early stopping may end training before."},
    "batch": {"type": values.Count(most=1 << 17), "help": "Global batch size: questions per update, over all ranks."},
    "lr": {"type": values.Number(min=0, open_ends="min"), "help": "Peak learning rate."},
    "optimizer": {"type": click.Choice(OPTIMIZERS), "help": "Optimizer; adamw decouples the weight decay."},
    "schedule": {"type": click.Choice(SCHEDULES), "help": "Learning rate after warm-up; linear decays to zero."},
    "warmup": {"type": values.non_negative, "help": "Learning-rate warm-up steps."},
    "weight_decay": {"type": values.Number(min=0), "help": "Weight decay."},
    "clip": {"type": values.Number(min=0), "help": "Clip gradients to this norm; 0 disables clipping."},
    "eval_every": {"type": positive, "help": "Updates between evaluations on --dev."},
    "save_every": {"type": positive, "help": "Updates between saved states to resume from."},
    "patience": {
        "type": values.non_negative,
        "help": "Early stopping: evaluations without improvement; 0 disables it.",
    },
}
"""The options that every training command has, by the field of TrainingSettings they set."""


def training_options(defaults: TrainingSettings | Mapping[str, TrainingSettings]) -> options.Option:
    """The options of TrainingSettings. With `defaults` by name of a preset, an option that is not given is None."""
    return options.stacked(*_settings_options(defaults), *_common_options())


def _settings_options(defaults: TrainingSettings | Mapping[str, TrainingSettings]) -> Iterator[options.Option]:
    for name, declaration in DECLARATIONS.items():
        if isinstance(defaults, TrainingSettings):
            shown: dict[str, Any] = {"default": getattr(defaults, name), "show_default": True}
        else:
            shown = {"show_default": by_preset({key: getattr(value, name) for key, value in defaults.items()})}
        yield click.option("--" + name.replace("_", "-"), **declaration, **shown)


def by_preset(values: Mapping[str, Any]) -> str:
    """How help shows a default that depends on the preset."""
    if len(set(values.values())) == 1:
        return str(next(iter(values.values())))
    return ", ".join(f"{value} for {key}" for key, value in values.items())


def _common_options() -> Iterator[options.Option]:
    yield click.option(
        "--tracker",
        "trackers",
        multiple=True,
        metavar="NAME",
        help="Also log to an experiment tracker: tensorboard, wandb or another that Accelerate supports; repeatable.",
    )
    yield from (options.seed, options.precision, options.token_budget, options.resume)
    yield from (options.force, options.verbosity)


def word_options(new: str) -> options.Option:
    """The options of StudentSize; `new` is the option that creates a model of this size."""
    return options.stacked(
        click.option("--hidden", type=values.size, help=f"Hidden size (with {new}).", **_default("hidden")),
        click.option("--words", type=positive, help=f"Maximum vocabulary size (with {new}).", **_default("words")),
        click.option("--word-dim", type=values.size, help=f"Word vector size (with {new}).", **_default("word_dim")),
        click.option(
            "--word-vectors", type=paths.input_file, help=f"Initial word vectors, GloVe or word2vec text (with {new})."
        ),
        click.option("--freeze-words", is_flag=True, help=f"Do not train the given word vectors (with {new})."),
    )


def _default(name: str) -> dict[str, Any]:
    return {"default": getattr(StudentSize, name), "show_default": True}


def dev(metric: str) -> options.Option:
    """--dev, which names the metric."""
    return click.option("--dev", type=paths.input_file, help=f"Questions that select the best model, by {metric}.")


def output(what: str) -> options.Option:
    """-o, a folder."""
    return click.option(
        "-o", "--output", required=True, type=paths.ModelFolder(Path), help=f"Folder of the trained {what}."
    )


def warn_without_dev(dev: str | None, *more: str) -> None:
    """Warn of options for the evaluation on --dev where there is none; `more` are a command's own."""
    if dev is None:
        options.warn_unused("without --dev", *more, "patience", "eval_every")


def warn_of_word_options(size: StudentSize, new: str, *, is_new: bool) -> None:
    """Warn of options of StudentSize without effect; `new` is the option that creates a model of this size."""
    if not is_new:
        options.warn_unused(f"without {new}", "words", "word_dim", "hidden")
    elif size.word_vectors is not None:
        options.warn_unused("with --word-vectors", "word_dim")


def take(given: dict[str, Any], kind: type) -> dict[str, Any]:
    """Remove and return the options that set fields of the dataclass `kind`; those not given (None) are left out."""
    taken = {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
    return {name: value for name, value in taken.items() if value is not None}


@contextlib.contextmanager
def fields_as_flags() -> Iterator[None]:
    """Let errors raised inside the block name options: `word_vectors` becomes --word-vectors."""
    try:
        yield
    except FidtoolsError as error:
        parameters = click.get_current_context().command.params
        flags = {p.name: max(p.opts, key=len) for p in parameters if isinstance(p, click.Option)}

        def flag(match: re.Match[str]) -> str:
            return flags.get(match[1], match[0])

        error.message = re.sub(r"`(\w+)`", flag, error.message)
        error.hint = error.hint and re.sub(r"`(\w+)`", flag, error.hint)
        raise
