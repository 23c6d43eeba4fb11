"""One training run of a retriever, from its options to its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from fidtools.compute.device import Compute, choose_device
from fidtools.encoders.vocabulary import StudentSize, refuse_words
from fidtools.errors import UsageError
from fidtools.logs import log
from fidtools.retriever.calibration import best_constant
from fidtools.retriever.encoding import Retriever
from fidtools.retriever.examples import Examples, read_examples
from fidtools.retriever.objective import RetrieverObjective
from fidtools.retriever.setup import new_word_student, start_from
from fidtools.retriever.targets import check_targets, parse_teacher
from fidtools.retriever.update import Loss, Student, make_batch
from fidtools.training.loop import TrainingSettings, train

TEXT = ("pooling", "normalize", "question_format", "passage_format", "question_maxlength", "passage_maxlength")
SPREAD_QUESTIONS, SPREADS = 8, np.geomspace(1.0, 32.0, 21).tolist()
"""The scores of so many questions tell how a student's are spread, and how they would better be."""


def train_retriever(
    options: Mapping[str, Any], folder: Path, *, resume: bool, trackers: tuple[str, ...] = ()
) -> dict[str, float]:
    """Train as `options` (the command's, by name) say, into `folder`; returns the best model's dev metrics.

    Raises DataError when the targets cannot teach anything, UsageError when options contradict each other.
    """
    loss = Loss(name=options["loss"], **_only(options, [f.name for f in fields(Loss) if f.name != "name"]))
    _check(loss, options)
    retriever = _start(options)
    record = {"command": "train-retriever", **options, "start": retriever.question_fingerprint}
    examples = _read(options["train"], retriever, loss, options)
    student = Student(retriever, loss, **_only(options, ["token_budget", "freeze_passages"]))
    _calibrate(student, examples)
    dev = _read(options["dev"], retriever, loss, options) if options["dev"] else None
    log.info("training on %d questions, %d to choose by", len(examples), len(dev or ()))
    objective = RetrieverObjective(student, examples, dev, options["select"])
    settings = TrainingSettings(
        **_only(options, [f.name for f in fields(TrainingSettings) if f.name != "trackers"]), trackers=trackers
    )
    metrics = train(objective, settings, folder, resume=resume, record=record)
    log.info("best: %s", ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "the last update")
    return metrics


def _only(options: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


def _check(loss: Loss, options: Mapping[str, Any]) -> None:
    if loss.needs_labels and not options["labels"]:
        raise UsageError(f"--loss {loss.name} learns from labels", hint="--labels gold, or --labels answer")
    if options["student"] is None:
        refuse_words(options, "--student")
    for name in ("temperature", "teacher_temperature"):
        if not options[name] > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0")


def _start(options: Mapping[str, Any]) -> Retriever:
    texts = {name: value for name in TEXT if (value := options[name]) is not None}
    compute = Compute.choose(options["precision"])
    if options["student"] is None:
        names = ["dropout", "projection", "freeze_passages", "gradient_checkpointing"]
        return start_from(options["retriever"], compute=compute, **_only(options, names), **texts)
    size = StudentSize(**_only(options, [f.name for f in fields(StudentSize)]))
    choices = _only(options, ["dropout", "seed"])
    return new_word_student(options["student"], options["train"], size, compute=compute, **choices, **texts)


def _calibrate(student: Student, examples: Examples) -> None:
    """What is judged on a scale of its own begins around the constant that does best, at unit spread or more.

    More does better on the first questions after an earlier training; of untrained vectors it makes confident noise.
    """
    if (calibration := student.calibration) is None:
        return
    first = make_batch(examples, examples.items[:SPREAD_QUESTIONS])
    scores = student.to(choose_device()).eval().score(first)
    centre = _centre(student.loss, examples)

    def loss_at(spread: float) -> float:
        calibration.begin(scores[first.mask], centre, spread)
        return student.dev_loss(calibration(scores), first).sum().item()

    calibration.begin(scores[first.mask], centre, min(SPREADS, key=loss_at))


def _centre(loss: Loss, examples: Examples) -> float:
    targets, labels = [item.teacher for item in examples.items], [item.labels for item in examples.items]
    if loss.name == "bce":
        return best_constant(targets, labels, loss.alpha, loss.temperature)
    return float(np.mean(np.concatenate(targets)))


def _read(path: str, retriever: Retriever, loss: Loss, options: Mapping[str, Any]) -> Examples:
    teachers = parse_teacher(options["teacher"]) if loss.needs_teacher else {}
    labels = options["labels"] if loss.needs_labels else None
    need = loss.name == "infonce"
    examples = read_examples(path, retriever, teachers, options["n_passages"], labels, need_positive=need)
    if teachers:
        temperature = loss.teacher_temperature if loss.name == "kl" else None
        check_targets([item.teacher for item in examples.items], temperature, path)
    return examples
