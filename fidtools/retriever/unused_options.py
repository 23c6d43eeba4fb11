"""Options of the loss and of the teachers that differ from their defaults and change nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from fidtools.retriever.loss import Loss
from fidtools.retriever.run_config import RetrieverRun
from fidtools.training.targets import SCORE, is_question_likelihood

OF_LOSSES = ("temperature", "teacher_temperature", "gamma", "alpha", "per_passage")
BY_ORDER = ("margin",)
"""Losses that read the order of the teacher's scores alone."""


def unused_options(run: RetrieverRun, loss: Loss, teachers: Iterable[str]) -> Iterator[str]:
    """For each reason, the options without effect, as on the command line."""
    of_loss = [name for name in OF_LOSSES if name not in loss.spec.defaults]
    of_loss += ["cosine_temperature"] if "temperature" in of_loss else []
    of_loss += [] if loss.needs_teacher else ["teacher"]
    of_loss += [] if loss.needs_teacher and run.loss not in BY_ORDER else ["probabilities"]
    of_loss += [] if loss.needs_labels else ["labels"]
    yield from _named(run, of_loss, f"with --loss {run.loss}")
    if run.cosine_temperature is not None and "temperature" not in of_loss:
        yield from _named(run, ["temperature"], "with --cosine-temperature")
    if run.source_passage == "cap" and not any(name == SCORE or is_question_likelihood(name) for name in teachers):
        yield "--source-passage cap has no effect without a question-likelihood in --teacher"


def _named(run: RetrieverRun, names: list[str], reason: str) -> Iterator[str]:
    usual = {field.name: field.default for field in fields(run)}
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(run, name) != usual[name]]
    if given:
        yield f"{', '.join(given)} {'has' if len(given) == 1 else 'have'} no effect {reason}"
