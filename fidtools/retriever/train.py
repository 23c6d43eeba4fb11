"""One training run of a retriever, from its configuration to its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fidtools.compute.device import Compute, choose_device
from fidtools.errors import DataError, UsageError
from fidtools.logs import log
from fidtools.retriever.batch import make_batch
from fidtools.retriever.calibration import best_constant
from fidtools.retriever.contrastive import false_negatives
from fidtools.retriever.encoding import Retriever
from fidtools.retriever.examples import Examples, learn_likelihoods, read_examples, require_negatives
from fidtools.retriever.loss import Loss
from fidtools.retriever.losses import LOSSES
from fidtools.retriever.objective import RetrieverObjective
from fidtools.retriever.run_config import RetrieverRun
from fidtools.retriever.setup import add_adapters, load_start, new_word_student
from fidtools.retriever.student import Student
from fidtools.retriever.unused_options import unused_options
from fidtools.training.loop import check_run, describe_metrics, train
from fidtools.training.targets import check_targets, parse_teacher

CALIBRATION_QUESTIONS, SCALES = 8, np.geomspace(1.0, 32.0, 21).tolist()
"""The initial scale of a student's scores is chosen on this many questions, among these standard deviations."""


def train_retriever(run: RetrieverRun, output: Path, *, resume: bool, force: bool = False) -> dict[str, float]:
    """Train as `run` says into the folder `output`; returns the best model's dev metrics.

    `resume` continues an unfinished run; a finished one is left as it is. `force` replaces a folder with other files.
    Raises DataError when the targets cannot teach anything, UsageError when settings contradict each other or an
    unfinished run exists that is not continued or used other settings.
    """
    loss = _loss(run)
    teachers = parse_teacher(run.teacher) if loss.needs_teacher else {}
    check_run(output, run.settings, run.record(), resume=resume, force=force, ignore=("start",))
    retriever = _initial_retriever(run)
    truncated = _losses_of_truncated(loss, run, retriever)
    if run.cosine_temperature is not None:
        loss = _on_cosines(loss, run.cosine_temperature, retriever, retriever.dim)
    record = run.record() | {"start": retriever.question_fingerprint}
    finished = check_run(output, run.settings, record, resume=resume, force=force)
    if finished is not None:
        return finished
    if run.lora is not None:
        keep = run.retriever if run.keep_adapter else None
        add_adapters(retriever, run.lora, run.settings.seed, freeze_passages=run.freeze_passages, keep=keep)
    for message in unused_options(run, loss, teachers):
        log.warning("%s", message)
    examples = _read(run.train, retriever, loss, teachers, run)
    if loss.spec.always_in_batch:
        require_negatives(examples, run.settings.batch, run.train)
    student = Student(
        retriever, loss, token_budget=run.token_budget, freeze_passages=run.freeze_passages, truncated=truncated
    )
    _calibrate(student, examples)
    dev = _read(run.dev, retriever, loss, teachers, run, measured=True) if run.dev else None
    if dev is not None and run.select == "mrr" and all(item.relevant is None for item in dev.items):
        hint = "its questions need `gold` or answers, and lists with passages that are relevant and others"
        raise DataError("`select` mrr has nothing to measure", path=run.dev, hint=hint)
    retriever.report_cuts()  # every rank has read all questions
    if loss.student_mask_above is not None:
        unit = "cosine" if retriever.settings.normalize else "inner product"
        log.info("negatives whose %s exceeds the positive's by %g are left out", unit, loss.student_mask_above)
    log.info("training on %d questions, validating on %d", len(examples), len(dev or ()))
    objective = RetrieverObjective(student, examples, dev, run.select, run.group_size)
    metrics = train(objective, run.settings, output, resume=resume, record=record, force=force)
    log.info("best: %s", describe_metrics(metrics) or "the last update")
    return metrics


def _loss(run: RetrieverRun) -> Loss:
    loss = Loss(
        name=run.loss,
        temperature=run.temperature,
        teacher_temperature=run.teacher_temperature,
        gamma=run.gamma,
        alpha=run.alpha,
        per_passage=run.per_passage,
        in_batch=run.in_batch,
        mask_above=run.mask_above if run.mask_by == "teacher" else None,
        student_mask_above=run.mask_above if run.mask_by == "student" else None,
    )
    if loss.in_batch and loss.spec.in_batch is None:
        known = ", ".join(name for name, spec in LOSSES.items() if spec.in_batch)
        raise UsageError(f"`in_batch` does not apply to `loss` {loss.name}", hint=f"it applies to {known}")
    if loss.needs_labels and not run.labels:
        raise UsageError(f"`loss` {loss.name} learns from labels", hint="set `labels` to gold or answer")
    if run.dev and run.select in ("overlap", "inversions") and not loss.needs_teacher:
        problem = f"`select` {run.select} compares with a teacher's scores, of which `loss` {loss.name} reads none here"
        raise UsageError(problem, hint="leave `select` out: the dev loss then selects the best model")
    return loss


def _losses_of_truncated(loss: Loss, run: RetrieverRun, retriever: Retriever) -> dict[int, Loss]:
    """The losses of vectors cut to the dimensions in `run.matryoshka`, by dimension; the whole one is left out.

    Raises UsageError for a dimension that the retriever's vectors do not have.
    """
    dims = run.dims()
    if dims and dims[-1] > retriever.dim:
        raise UsageError(f"`matryoshka` {dims[-1]}: the retriever's vectors have {retriever.dim} dimensions")
    shorter = [dim for dim in dims if dim < retriever.dim]
    if run.cosine_temperature is None:
        return dict.fromkeys(shorter, loss)
    return {dim: _on_cosines(loss, run.cosine_temperature, retriever, dim) for dim in shorter}


def _on_cosines(loss: Loss, temperature: float, retriever: Retriever, dim: int) -> Loss:
    """The loss with the temperature of S that divides cosines by `temperature`: of unit vectors, S = √d · cos."""
    if not retriever.settings.normalize:
        hint = "add `normalize`, or use `temperature`"
        raise UsageError("`cosine_temperature` is for vectors of unit length", hint=hint)
    return replace(loss, temperature=temperature * dim**0.5)


def _initial_retriever(run: RetrieverRun) -> Retriever:
    compute = Compute.choose(run.settings.precision)
    if run.student is not None:
        return new_word_student(
            run.student,
            run.train,
            run.size,
            compute=compute,
            dropout=run.dropout,
            seed=run.settings.seed,
            **run.format_changes(),
        )
    assert run.retriever is not None, "a run has a start or a student"
    return load_start(
        run.retriever,
        compute=compute,
        dropout=run.dropout,
        projection=run.projection,
        freeze_passages=run.freeze_passages,
        gradient_checkpointing=run.gradient_checkpointing,
        **run.format_changes(),
    )


def _calibrate(student: Student, examples: Examples) -> None:
    """Initialise the calibration, where the student has one: around the best constant score, at the best scale.

    The scale is the one with the least loss on the first questions, which is larger than 1 for a student that has
    been trained before. A fixed large one would make an untrained student confident of noise.
    """
    if (calibration := student.calibration) is None:
        return
    first = make_batch(examples, examples.items[:CALIBRATION_QUESTIONS])
    scores = student.to(choose_device()).eval().score(first)
    centre = _initial_mean(student.loss, examples)

    def loss_at(scale: float) -> float:
        calibration.init_from_scores(scores[first.mask], centre, scale)
        return student.dev_loss(calibration(scores), first).sum().item()

    calibration.init_from_scores(scores[first.mask], centre, min(SCALES, key=loss_at))


def _initial_mean(loss: Loss, examples: Examples) -> float:
    targets, labels = [item.teacher for item in examples.items], [item.labels for item in examples.items]
    if loss.spec.log_odds:
        return best_constant(targets, labels, loss.alpha, loss.temperature)
    return float(np.mean(np.concatenate(targets)))


def _read(
    path: str,
    retriever: Retriever,
    loss: Loss,
    teachers: Mapping[str, float],
    run: RetrieverRun,
    *,
    measured: bool = False,
) -> Examples:
    examples = read_examples(
        path,
        retriever,
        teachers,
        run.n_passages,
        run.labels if loss.needs_labels else None,
        need_positive=loss.spec.always_in_batch,
        source=run.source_passage,
        measured=measured,
    )
    if run.probabilities and teachers:
        learn_likelihoods(examples, path)
    if loss.mask_above is not None:
        _report_masked(examples, loss.mask_above, path)
    if teachers:
        temperature = loss.teacher_temperature if loss.name == "kl" else None
        check_targets([item.teacher for item in examples.items], temperature, path)
    return examples


def _report_masked(examples: Examples, margin: float, path: str) -> None:
    """Report how many negatives `mask_above` leaves out."""
    masked = negatives = 0
    for item in examples.items:
        assert item.labels is not None, "infonce needs labels"
        labels = torch.from_numpy(item.labels)[None]
        left_out = false_negatives(torch.from_numpy(item.teacher)[None], torch.ones_like(labels), labels, margin)
        masked += int(left_out.sum())
        negatives += int((~item.labels).sum())
    log.info("%s: %d of %d negatives score above the positive by the margin and are left out", path, masked, negatives)
