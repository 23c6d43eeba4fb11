"""Options that were set and change nothing are named, with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from fidtools.retriever.loss import Loss
from fidtools.retriever.run_config import RetrieverRun
from fidtools.retriever.unused_options import unused_options

TEACHERS = ["attention"]


def said(**given: Any) -> list[str]:
    run = RetrieverRun("train.jsonl", **{"retriever": "r", "dev": "dev.jsonl"} | given)
    return list(unused_options(run, Loss(name=run.loss, alpha=run.alpha), TEACHERS))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"temperature": 2.0, "teacher_temperature": 3.0, "per_passage": True}, []),
        ({"loss": "margin", "gamma": 0.5}, []),
        ({"loss": "bce", "alpha": 0.2, "labels": "gold"}, []),
        ({"gamma": 0.5}, ["--gamma has no effect with --loss kl"]),
        (
            {"loss": "mse", "teacher_temperature": 3.0, "labels": "gold"},
            ["--teacher-temperature, --labels have no effect with --loss mse"],
        ),
        ({"probabilities": True, "cosine_temperature": 0.1, "normalize": True}, []),
        (
            {"loss": "margin", "probabilities": True, "cosine_temperature": 0.1},
            ["--cosine-temperature, --probabilities have no effect with --loss margin"],
        ),
        (
            {"temperature": 2.0, "cosine_temperature": 0.1},
            ["--temperature has no effect with --cosine-temperature"],
        ),
        (
            {"loss": "infonce", "labels": "gold", "probabilities": True},
            ["--probabilities has no effect with --loss infonce"],
        ),
        ({"loss": "infonce", "labels": "gold", "teacher": "bm25"}, ["--teacher has no effect with --loss infonce"]),
        ({"loss": "bce", "alpha": 0.0, "labels": "gold"}, ["--labels has no effect with --loss bce"]),
        (
            {"source_passage": "cap"},
            ["--source-passage cap has no effect without a question-likelihood in --teacher"],
        ),
    ],
)
def test_options_without_effect(given: dict[str, Any], expected: list[str]) -> None:
    assert said(**given) == expected
