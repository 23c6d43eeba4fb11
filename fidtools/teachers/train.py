"""One training run of a teacher, from its configuration to its folder."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fidtools.encoders.vocabulary import new_vocabulary
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.errors import UsageError
from fidtools.logs import log
from fidtools.teachers.coattention import Coattention
from fidtools.teachers.coattention_teacher import CoattentionTeacher
from fidtools.teachers.interface import Teacher, TeacherSettings, report_cuts
from fidtools.teachers.objective import TeacherObjective, read_judged
from fidtools.teachers.run_config import TeacherRun
from fidtools.teachers.soft_targets import SoftObjective, read_scored
from fidtools.teachers.teacher_folder import load_teacher, new_parts
from fidtools.training.loop import check_run, describe_metrics, train
from fidtools.training.lora import add_lora
from fidtools.training.targets import parse_teacher

MEASURED = 100
"""Questions whose texts are measured before training, so that cut ones are reported first."""


def train_teacher(run: TeacherRun, output: Path, *, resume: bool, force: bool = False) -> dict[str, float]:
    """Train as `run` says into the folder `output`; returns the best model's dev metrics.

    `resume` continues an unfinished run; a finished one is left as it is. `force` replaces a folder with other files.
    Raises DataError for data without labels, UsageError when an unfinished run exists that is not continued or used
    other settings.
    """
    finished = check_run(output, run.settings, run.record(), resume=resume, force=force)
    if finished is not None:
        return finished
    torch.manual_seed(run.settings.seed)
    teacher = _initial_teacher(run)
    objective = _objective(run, teacher)
    log.info("training on %d questions, validating on %d", len(objective.train), len(objective.dev))
    for example in objective.train[:MEASURED]:
        teacher.tokenize([example.question] * len(example.passages), example.passages)
    report_cuts(teacher)
    log.info("the teacher has %s parameters", f"{sum(p.numel() for p in teacher.module.parameters()):,}")
    metrics = train(objective, run.settings, output, resume=resume, record=run.record(), force=force)
    log.info("best: %s", describe_metrics(metrics) or "the last update")
    return metrics


def _objective(run: TeacherRun, teacher: Teacher) -> TeacherObjective:
    """Hard labels, or soft targets where the run names scores."""
    common: dict[str, Any] = {"negatives": run.negatives, "seed": run.settings.seed, "budget": run.token_budget}
    files = [run.train, run.dev]
    if run.teacher_scores is None:
        read = partial(read_judged, settings=teacher.settings, labels=run.labels, n_passages=run.n_passages)
        return TeacherObjective(teacher, *(read(path) if path else [] for path in files), **common)
    teachers = parse_teacher(run.teacher_scores, "--teacher-scores")
    scored = [
        read_scored(path, teacher.settings, teachers, run.n_passages, run.targets) if path else [] for path in files
    ]
    return SoftObjective(teacher, *scored, targets=run.targets, **common)


def _initial_teacher(run: TeacherRun) -> Teacher:
    changes: dict[str, Any] = {} if run.maxlength is None else {"maxlength": run.maxlength}
    if run.teacher is not None:
        teacher = load_teacher(run.teacher, new_head=True, **changes)
        if run.lora is not None:
            if isinstance(teacher, CoattentionTeacher):
                raise UsageError("`lora` only applies to transformers", hint="leave it out for a coattention teacher")
            keep = run.teacher if run.keep_adapter else None
            add_lora(teacher.module, run.lora, run.settings.seed, parts=new_parts(teacher.module), keep=keep)
        return teacher
    vocabulary, vectors = new_vocabulary(run.train, run.size)
    network = Coattention(vectors, run.size.hidden)
    network.words.requires_grad_(not run.size.freeze_words)
    settings = replace(TeacherSettings(kind="coattention"), **changes)
    return CoattentionTeacher(network, WordTokenizer(vocabulary), settings)
