"""fidtools train-teacher: train a cross-encoder on relevance labels, or on scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fidtools.commands import _path_types as paths
from fidtools.commands import _training_options as options
from fidtools.commands import _value_types as values
from fidtools.commands._options import warn_unused
from fidtools.encoders.student_size import StudentSize
from fidtools.metrics.labels import LABELS
from fidtools.teachers.run_config import SOFT_LOSSES, SoftTargets, TeacherRun
from fidtools.training.settings import TrainingSettings


@click.command("train-teacher")
@options.train
@options.dev("mean average precision; with --teacher-scores by the loss")
@click.option("--teacher", type=paths.model, help="Initial model: a teacher folder, or an encoder's folder or name.")
@click.option("--coattention", is_flag=True, help="Train a coattention BiLSTM from scratch instead.")
@options.output("teacher")
@click.option("--teacher-scores", help="Learn from these scores instead of labels: NAME, or NAME=0.7,NAME=0.3.")
@click.option(
    "--loss",
    type=click.Choice(SOFT_LOSSES),
    default=SoftTargets.loss,
    show_default=True,
    help="Training loss, with --teacher-scores.",
)
@click.option(
    "--temperature",
    type=values.above_zero,
    default=SoftTargets.temperature,
    show_default=True,
    help="Temperature of the logits (kl).",
)
@click.option(
    "--teacher-temperature",
    type=values.above_zero,
    default=SoftTargets.teacher_temperature,
    show_default=True,
    help="Temperature of the teacher's scores (kl).",
)
@click.option(
    "--gamma", type=values.Number(min=0), default=SoftTargets.gamma, show_default=True, help="Margin (margin)."
)
@click.option(
    "--labels",
    type=click.Choice(LABELS),
    default=TeacherRun.labels,
    show_default=True,
    help="Relevant passages: those in `gold`, or with an answer.",
)
@click.option(
    "--n-passages",
    type=options.positive,
    default=TeacherRun.n_passages,
    show_default=True,
    help="Passages per question, from the top.",
)
@click.option(
    "--negatives",
    type=options.positive,
    default=TeacherRun.negatives,
    show_default=True,
    help="Irrelevant passages, or others than the best one by --teacher-scores, sampled per question and epoch.",
)
@click.option(
    "--maxlength",
    type=values.tokens,
    help="Tokens of a pair (BiLSTM: of a passage).  [default: initial model's; 256]",
)
@options.lora
@options.keep_adapter
@options.word_options("--coattention")
@options.training_options(TeacherRun.settings)
def command(train: str, output: Path, resume: bool, force: bool, **given: Any) -> None:
    """Train a cross-encoder to tell which passages (`ctxs`) of TRAIN's questions are relevant.

    Relevant passages contain an answer, or are named in `gold`. The initial model is any sequence classifier, or any
    encoder, which gets a new classification head. transformers loads the result, and sentence-transformers loads it
    as a CrossEncoder.

    With --teacher-scores nothing is a label: the cross-encoder learns to rank the passages as their scores do, such as
    a language model's likelihoods, which are slow to compute for many passages.

    \b
      fidtools train-teacher train.jsonl --dev dev.jsonl --teacher bert-base-uncased -o teacher
      fidtools train-teacher claims.jsonl --labels gold --coattention --lr 1e-3 -o teacher
      fidtools train-teacher train.scored.jsonl --teacher minilm \\
        --teacher-scores likelihood=1,bm25=1 --teacher-temperature 0.4 -o teacher
      fidtools score-cross train.jsonl --teacher teacher -o train.scored.jsonl
    """
    with options.fields_as_flags():
        settings = TrainingSettings(**options.take(given, TrainingSettings))
        size = StudentSize(**options.take(given, StudentSize))
        targets = SoftTargets(**options.take(given, SoftTargets))
        run = TeacherRun(train, **given, settings=settings, size=size, targets=targets)
        _warn_unused(run)
        from fidtools.teachers.train import train_teacher

        train_teacher(run, output, resume=resume, force=force)


def _warn_unused(run: TeacherRun) -> None:
    options.warn_without_dev(run.dev)
    if run.teacher_scores is not None:
        others = {"temperature", "teacher_temperature", "gamma"} - run.targets.options().keys()
        warn_unused(f"with --loss {run.targets.loss}", *others)
        warn_unused("with --teacher-scores", "labels")
    options.warn_of_word_options(run.size, "--coattention", is_new=run.coattention)
