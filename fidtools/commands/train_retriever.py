"""fidtools train-retriever: a bi-encoder learns a teacher's ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _options as options
from fidtools.errors import UsageError

positive = click.IntRange(min=1)
LOSSES = ["kl", "mse", "margin", "margin-mse", "bce", "infonce"]
POOLINGS = ["cls", "mean", "max"]


@click.command("train-retriever")
@click.argument("train", type=click.Path())
@click.option("--dev", type=click.Path(), help="Scored questions that choose the best model and tell when to stop.")
@click.option(
    "--retriever", type=click.Path(), help="The start: a retriever's folder, or any encoder by folder or name."
)
@click.option("--student", type=click.Choice(["lstm", "cnn"]), help="Start a small student anew instead.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The retriever's folder.")
@click.option("--teacher", default="attention", show_default=True, help="Scores to learn: NAME, or NAME=0.7,NAME=0.3.")
@click.option("--loss", type=click.Choice(LOSSES), default="kl", show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Divides the student's scores.")
@click.option("--teacher-temperature", type=float, default=1.0, show_default=True, help="Divides the teacher's (kl).")
@click.option("--gamma", type=float, default=0.2, show_default=True, help="The margin (margin).")
@click.option(
    "--alpha", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Weight of hard labels (bce)."
)
@click.option("--per-passage", is_flag=True, help="Divide kl by the number of passages, as the reference does.")
@click.option(
    "--labels", type=click.Choice(["gold", "answer"]), help="Relevant passages: those in `gold`, or with an answer."
)
@click.option(
    "--n-passages", type=positive, default=100, show_default=True, help="Passages per question, from the top."
)
@click.option("--steps", type=positive, default=10_000, show_default=True, help="Updates, at most.")
@click.option("--batch", type=positive, default=64, show_default=True, help="Questions an update, over all ranks.")
@click.option("--lr", type=float, default=5e-5, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adam", show_default=True)
@click.option("--schedule", type=click.Choice(["constant", "linear"]), default="constant", show_default=True)
@click.option("--warmup", type=click.IntRange(min=0), default=0, show_default=True, help="Updates of rising rate.")
@click.option("--weight-decay", type=float, default=0.0, show_default=True)
@click.option("--clip", type=float, default=1.0, show_default=True, help="Greatest norm of the gradient; 0 is none.")
@click.option("--eval-every", type=positive, default=500, show_default=True, help="Updates between evaluations.")
@click.option("--save-every", type=positive, default=500, show_default=True, help="Updates between saved states.")
@click.option(
    "--patience", type=click.IntRange(min=0), default=0, help="Stop after N evaluations without gain; 0: never."
)
@click.option("--select", type=click.Choice(["loss", "overlap", "inversions"]), default="loss", show_default=True)
@click.option("--pooling", type=click.Choice(POOLINGS), help="[default: the start's; cls for a plain model]")
@click.option("--projection", type=positive, help="Project every token to this size first; kept if the start has it.")
@click.option("--normalize/--no-normalize", default=None, help="Vectors of length one.  [default: the start's]")
@click.option("--question-maxlength", type=positive, help="[default: the start's; 40]")
@click.option("--passage-maxlength", type=positive, help="[default: the start's; 200]")
@click.option("--question-format", help="[default: the start's; 'question: {question}']")
@click.option("--passage-format", help="[default: the start's; 'title: {title} context: {text}']")
@click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), help="[default: the model's; 0.1 for BERT]")
@click.option(
    "--gradient-checkpointing", is_flag=True, help="Less memory, a third more time: layers are computed again."
)
@click.option("--freeze-passages", is_flag=True, help="Train the questions' side only: passage vectors stay valid.")
@click.option("--hidden", type=positive, default=128, show_default=True, help="--student: its width.")
@click.option("--words", type=positive, default=50_000, show_default=True, help="--student: its largest vocabulary.")
@click.option("--word-dim", type=positive, default=100, show_default=True, help="--student: size of learned vectors.")
@click.option("--word-vectors", type=click.Path(), help="--student: start from these (GloVe or word2vec text).")
@click.option("--freeze-words", is_flag=True, help="--student: keep the given word vectors as they are.")
@click.option("--tracker", multiple=True, help="Log there too: tensorboard, wandb, or another of Accelerate's.")
@options.seed
@options.precision
@options.token_budget
@options.resume
@options.verbosity
def command(
    train: str,
    retriever: str | None,
    student: str | None,
    output: Path,
    resume: bool,
    tracker: tuple[str, ...],
    **given: Any,
) -> None:
    """Teach a retriever to rank the passages (`ctxs`) of TRAIN's questions as their scores do.

    The defaults are the paper's. The best model on --dev is kept in the output folder, which transformers and
    sentence-transformers load as it is; the last one is in `last/` within. The log holds the paper's monitors: KL,
    inversions, the share of the top k in common, and how many passages cover the teacher's top k.

    \b
      fidtools train-retriever train.scored.jsonl --dev dev.scored.jsonl --retriever bert-base-uncased -o retriever
      fidtools train-retriever train.jsonl --dev dev.jsonl --retriever 1/retriever -o 2/retriever --patience 5
      fidtools train-retriever train.jsonl --retriever minilm -o r --teacher attention=0.7,bm25=0.3 --loss margin
      fidtools train-retriever train.jsonl --student lstm --loss bce --labels gold --teacher cross -o student
    """
    if (retriever is None) == (student is None):
        raise UsageError("give either --retriever, a start, or --student, to begin anew")
    from fidtools.retriever.train import train_retriever

    chosen = {"train": train, "retriever": retriever, "student": student}
    train_retriever(chosen | given, output, resume=resume, trackers=tracker)
