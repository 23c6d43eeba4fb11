"""fidtools train-reader: Fusion-in-Decoder on questions with passages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options

positive = click.IntRange(min=1)


@click.command("train-reader")
@click.argument("train", type=click.Path())
@click.option("--dev", type=click.Path(), help="Questions that choose the best model, by exact match.")
@options.reader
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The reader's folder.")
@click.option(
    "--preset",
    type=click.Choice(["base", "large"]),
    default="base",
    show_default=True,
    help="The paper's settings (Table 7) for what is not given below.",
)
@click.option("--steps", type=positive, help="Updates.  [base: 10000, large: 15000]")
@click.option("--batch", type=positive, help="Questions an update, over all ranks.  [64]")
@click.option("--lr", type=float, help="Peak learning rate.  [base: 1e-4, large: 5e-5]")
@click.option("--optimizer", type=click.Choice(["adam", "adamw"]), help="[base: adam, large: adamw]")
@click.option("--schedule", type=click.Choice(["constant", "linear"]), help="[base: constant, large: linear]")
@click.option("--warmup", type=click.IntRange(min=0), help="Updates of rising rate.  [base: 0, large: 600]")
@click.option("--weight-decay", type=float, help="[base: 0, large: 0.01]")
@click.option("--clip", type=float, help="Greatest norm of the gradient; 0 is none.  [1]")
@click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), help="[0.1]")
@click.option("--n-context", type=positive, help="Passages read per question, from the top.  [100]")
@click.option("--text-maxlength", type=positive, help="Tokens of one passage with its question.  [250]")
@click.option("--answer-maxlength", type=positive, help="Tokens of an answer, the end included.  [50]")
@click.option("--no-title", is_flag=True, help="Leave the passages' titles out.")
@click.option("--question-prefix", help="[question:]")
@click.option("--title-prefix", help="[title:]")
@click.option("--context-prefix", help="[context:]")
@click.option("--eval-every", type=positive, default=500, show_default=True, help="Updates between evaluations.")
@click.option("--save-every", type=positive, default=500, show_default=True, help="Updates between saved states.")
@click.option(
    "--patience", type=click.IntRange(min=0), default=0, help="Stop after N evaluations without gain; 0: never."
)
@click.option("--gradient-checkpointing", is_flag=True, help="Less memory, a third more time: encode again going back.")
@click.option("--tracker", multiple=True, help="Log there too: tensorboard, wandb, or another of Accelerate's.")
@options.seed
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(
    train: str,
    dev: str | None,
    reader: str,
    output: Path,
    preset: str,
    no_title: bool,
    gradient_checkpointing: bool,
    token_budget: int,
    resume: bool,
    tracker: tuple[str, ...],
    **given: Any,
) -> None:
    """Train a Fusion-in-Decoder reader on the questions of TRAIN, each with `ctxs` and an answer.

    The best model on --dev (exact match of greedy answers) is kept in the output folder, which `transformers` loads as
    it is; the last one is in `last/` within, what was done in `training.json` and `log.jsonl`. Without --dev the
    last model is kept.

    \b
      fidtools train-reader train.jsonl --dev dev.jsonl --reader google-t5/t5-base -o reader
      fidtools train-reader train.jsonl --dev dev.jsonl --reader start -o reader --steps 500 --batch 8 --lr 5e-4
    """
    from fidtools.logs import log
    from fidtools.reader.model import load_reader, set_dropout, set_plain_generation
    from fidtools.reader.objective import ReaderObjective, labelled_questions
    from fidtools.reader.presets import with_preset
    from fidtools.training.loop import TrainingSettings
    from fidtools.training.loop import train as run

    values = with_preset(preset, **given)
    inputs = ("text_maxlength", "answer_maxlength", "n_context", "question_prefix", "title_prefix", "context_prefix")
    changes = {name: values.pop(name, None) for name in inputs}
    dropout = values.pop("dropout")
    model = load_reader(reader, title=False if no_title else None, **changes)
    set_dropout(model.fusion.model, dropout)
    set_plain_generation(model)
    model.fusion.token_budget = token_budget
    model.fusion.checkpoint_encoder = gradient_checkpointing
    examples = labelled_questions(train)
    objective = ReaderObjective(model, examples, labelled_questions(dev) if dev else [], values["seed"])
    log.info("training on %d questions, %d to choose by", len(examples), len(objective.dev))
    settings = TrainingSettings(**values, trackers=tracker)
    record = {
        "command": "train-reader",
        "train": train,
        "dev": dev,
        "reader": reader,
        "inputs": changes | {"title": not no_title},
        "dropout": dropout,
        "token_budget": token_budget,
    }
    metrics = run(objective, settings, output, resume=resume, record=record)
    log.info("best: %s", ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "the last update")
