"""fidtools train-retriever: train a bi-encoder on a teacher's scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _path_types as paths
from fidtools.commands import _training_options as options
from fidtools.commands import _value_types as values
from fidtools.commands._options import Option, warn_unused
from fidtools.commands._target_options import preset, preset_values, probabilities, source_passage
from fidtools.encoders.pooling import POOLINGS
from fidtools.encoders.student_size import STUDENTS, StudentSize
from fidtools.metrics.labels import LABELS
from fidtools.retriever.run_config import LOSSES, MASK_BY, SELECTS, RetrieverRun
from fidtools.training.settings import TrainingSettings


def option(flag: str, kind: Any, help_text: str) -> Option:
    """An option that sets the field of RetrieverRun of its name, whose default it shows."""
    default = getattr(RetrieverRun, flag.removeprefix("--").replace("-", "_"))
    return click.option(flag, type=kind, default=default, show_default=True, help=help_text)


@click.command("train-retriever")
@options.train
@options.dev("--select")
@click.option(
    "--retriever", type=paths.model, help="Initial model: a retriever folder, or an encoder's folder or name."
)
@click.option(
    "--student",
    type=click.Choice(STUDENTS),
    help="Train one from scratch instead: an LSTM, a CNN, or averaged token vectors (static).",
)
@options.output("retriever")
@option("--teacher", str, "Scores to learn from: NAME, or NAME=0.7,NAME=0.3.")
@option("--loss", click.Choice(LOSSES), "Training loss.")
@option("--temperature", values.above_zero, "Temperature of the student's scores (kl, bce, infonce).")
@option("--teacher-temperature", values.above_zero, "Temperature of the teacher's scores (kl).")
@option("--gamma", values.Number(min=0), "Margin (margin).")
@click.option(
    "--mask-above",
    type=values.Number(),
    metavar="MARGIN",
    help="Leave out negatives that --mask-by scores above the positive by more than this (infonce).",
)
@option("--mask-by", click.Choice(MASK_BY), "Scores for --mask-above: --teacher's, or the student's own at that time.")
@option("--alpha", values.share, "Weight of hard labels against soft ones (bce).")
@click.option("--per-passage", is_flag=True, help="Divide the loss by the number of passages, as FiD's code does (kl).")
@click.option(
    "--in-batch", is_flag=True, help="Other questions' passages are candidates too, as irrelevant ones (kl, margin)."
)
@preset
@click.option("--cosine-temperature", type=values.above_zero, help="Instead of --temperature: that of the cosine.")
@probabilities
@click.option("--labels", type=click.Choice(LABELS), help="Relevant passages: those in `gold`, or with an answer.")
@click.option(
    "--matryoshka",
    metavar="DIMS",
    help="Also train vectors cut to these dimensions, such as 64,128,256: the loss is the mean over all.",
)
@option("--n-passages", options.positive, "Passages per question, from the top.")
@option(
    "--group-size",
    options.positive,
    "Draw questions in groups of this many that share passages: an update then encodes fewer passages.",
)
@source_passage
@option("--select", click.Choice(SELECTS), "Dev metric that selects the best model.")
@click.option("--pooling", type=click.Choice(POOLINGS), help="Pooling.  [default: initial model's; cls for an encoder]")
@click.option("--projection", type=values.size, help="Add a projection of every token to this size.")
@click.option("--normalize/--no-normalize", default=None, help="Vectors of unit length.  [default: initial model's]")
@click.option("--question-maxlength", type=values.tokens, help="Tokens.  [default: initial model's; 40]")
@click.option("--passage-maxlength", type=values.tokens, help="Tokens.  [default: initial model's; 200]")
@click.option("--question-format", help="Input format.  [default: initial model's; 'question: {question}']")
@click.option("--passage-format", help="Input format.  [default: initial model's; 'title: {title} context: {text}']")
@click.option("--question-prompt", type=paths.Named(), metavar="NAME", help="Instead: a prompt of the initial model.")
@click.option("--passage-prompt", type=paths.Named(), metavar="NAME", help="Likewise for passages.")
@click.option("--dropout", type=options.dropout_rate, help="Dropout.  [default: initial model's; 0.1 for BERT]")
@click.option(
    "--gradient-checkpointing",
    is_flag=True,
    help="Recompute activations in the backward pass: less memory, about a third slower.",
)
@click.option("--freeze-passages", is_flag=True, help="Train the question encoder only; passage vectors stay valid.")
@options.lora
@options.keep_adapter
@options.word_options("--student")
@options.training_options(RetrieverRun.settings)
def command(train: str, output: Path, resume: bool, force: bool, preset: str | None, **given: Any) -> None:
    """Train a retriever to rank the passages (`ctxs`) of TRAIN's questions as their scores do.

    The defaults are the paper's. The best model on --dev is written to the output folder, which transformers and
    sentence-transformers load; the last one is in `last/` inside it. The log has the paper's monitors: KL divergence,
    inversions, top-k overlap, and how many passages cover the teacher's top k.

    \b
      fidtools train-retriever train.scored.jsonl --dev dev.scored.jsonl \\
        --retriever bert-base-uncased -o retriever
      fidtools train-retriever train.jsonl --dev dev.jsonl --retriever 1/retriever \\
        -o 2/retriever --patience 5
      fidtools train-retriever train.jsonl --retriever minilm -o r --loss margin \\
        --teacher attention=0.7,bm25=0.3
      fidtools train-retriever train.jsonl --student lstm --loss bce --labels gold \\
        --teacher cross -o student
    """
    with options.fields_as_flags():
        given |= preset_values(preset)
        settings = TrainingSettings(**options.take(given, TrainingSettings))
        size = StudentSize(**options.take(given, StudentSize))
        run = RetrieverRun(train, **given, settings=settings, size=size)
        options.warn_without_dev(run.dev, "select")
        options.warn_of_word_options(size, "--student", is_new=run.student is not None)
        if run.student == "static":
            warn_unused("with --student static", "hidden")
        from fidtools.retriever.train import train_retriever

        train_retriever(run, output, resume=resume, force=force)
