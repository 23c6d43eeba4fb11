"""One training run of a teacher, from its options to its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from fidtools.encoders.vocabulary import StudentSize, new_vocabulary, refuse_words
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.logs import log
from fidtools.teachers.coattention import Coattention
from fidtools.teachers.model import CoattentionTeacher, Teacher, TeacherSettings, load_teacher
from fidtools.teachers.objective import TeacherObjective, read_judged
from fidtools.training.loop import TrainingSettings, train


def train_teacher(options: Mapping[str, Any], folder: Path, *, resume: bool) -> dict[str, float]:
    """Train as `options` (the command's, by name) say, into `folder`; returns the best model's dev metrics."""
    if not options["coattention"]:
        refuse_words(options, "--coattention")
    torch.manual_seed(options["seed"])
    changes = {} if options["maxlength"] is None else {"maxlength": options["maxlength"]}
    teacher = (
        _new_coattention(options, changes) if options["coattention"] else load_teacher(options["teacher"], **changes)
    )
    examples, dev = (
        read_judged(path, teacher.settings, options["labels"], options["n_passages"]) if path else []
        for path in (options["train"], options["dev"])
    )
    log.info("training on %d questions, %d to choose by", len(examples), len(dev))
    log.info("the teacher has %s parameters", f"{sum(p.numel() for p in teacher.module.parameters()):,}")
    objective = TeacherObjective(
        teacher,
        examples,
        dev,
        negatives=options["negatives"],
        seed=options["seed"],
        budget=options["token_budget"],
    )
    settings = TrainingSettings(**{f.name: options[f.name] for f in fields(TrainingSettings) if f.name in options})
    record = {"command": "train-teacher", **options}
    return train(objective, settings, folder, resume=resume, record=record)


def _new_coattention(options: Mapping[str, Any], changes: Mapping[str, Any]) -> Teacher:
    size = StudentSize(**{f.name: options[f.name] for f in fields(StudentSize)})
    vocabulary, vectors = new_vocabulary(options["train"], size)
    settings = replace(TeacherSettings(kind="coattention"), **changes)
    network = Coattention(vectors, size.hidden)
    network.words.requires_grad_(not size.freeze_words)
    return CoattentionTeacher(network, WordTokenizer(vocabulary), settings)
