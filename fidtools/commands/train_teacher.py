"""fidtools train-teacher: a model that reads question and passage together, on hard labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.errors import UsageError

positive = click.IntRange(min=1)


@click.command("train-teacher")
@click.argument("train", type=click.Path())
@click.option("--dev", type=click.Path(), help="Questions that choose the best model, by mean average precision.")
@click.option("--teacher", type=click.Path(), help="The start: a teacher's folder, or any encoder by folder or name.")
@click.option("--coattention", is_flag=True, help="Start a coattention BiLSTM anew instead.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The teacher's folder.")
@click.option("--labels", type=click.Choice(["gold", "answer"]), default="answer", show_default=True)
@click.option(
    "--n-passages", type=positive, default=100, show_default=True, help="Passages per question, from the top."
)
@click.option("--negatives", type=positive, default=7, show_default=True, help="Drawn anew per question and epoch.")
@click.option(
    "--maxlength", type=positive, help="Tokens of a pair (BiLSTM: of a passage).  [default: the start's; 256]"
)
@click.option("--steps", type=positive, default=2000, show_default=True, help="Updates, at most.")
@click.option("--batch", type=positive, default=16, show_default=True, help="Questions an update, over all ranks.")
@click.option("--lr", type=float, default=2e-5, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adamw", show_default=True)
@click.option("--schedule", type=click.Choice(["constant", "linear"]), default="linear", show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=0, show_default=True, help="Updates of rising rate.")
@click.option("--weight-decay", type=float, default=0.01, show_default=True)
@click.option("--clip", type=float, default=1.0, show_default=True, help="Greatest norm of the gradient; 0 is none.")
@click.option("--eval-every", type=positive, default=200, show_default=True, help="Updates between evaluations.")
@click.option("--save-every", type=positive, default=200, show_default=True, help="Updates between saved states.")
@click.option(
    "--patience", type=click.IntRange(min=0), default=0, help="Stop after N evaluations without gain; 0: never."
)
@click.option("--hidden", type=positive, default=128, show_default=True, help="--coattention: its width per direction.")
@click.option("--words", type=positive, default=50_000, show_default=True, help="--coattention: largest vocabulary.")
@click.option(
    "--word-dim", type=positive, default=100, show_default=True, help="--coattention: size of learned vectors."
)
@click.option("--word-vectors", type=click.Path(), help="--coattention: start from these (GloVe or word2vec text).")
@click.option("--freeze-words", is_flag=True, help="--coattention: keep the given word vectors as they are.")
@options.seed
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(train: str, teacher: str | None, coattention: bool, output: Path, resume: bool, **given: Any) -> None:
    """Teach a model of pairs which passages (`ctxs`) of TRAIN's questions are relevant.

    Relevant are those that hold an answer, or those named in `gold`. Any sequence classifier, or any encoder with a
    new head, is a start; the result loads in transformers, and in sentence-transformers as a CrossEncoder.

    \b
      fidtools train-teacher train.jsonl --dev dev.jsonl --teacher bert-base-uncased -o teacher
      fidtools train-teacher claims.jsonl --labels gold --coattention --lr 1e-3 -o teacher
      fidtools score-cross train.jsonl --teacher teacher -o train.scored.jsonl
    """
    if (teacher is None) == (not coattention):
        raise UsageError("give either --teacher, a start, or --coattention, to begin anew")
    from fidtools.teachers.train import train_teacher

    chosen = {"train": train, "teacher": teacher, "coattention": coattention}
    train_teacher(chosen | given, output, resume=resume)
