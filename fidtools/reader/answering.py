"""Answers of a reader to questions, from all their passages or from those with the highest attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from fidtools.data.records import Question
from fidtools.reader.aggregations import DEFAULT_AGGREGATION
from fidtools.reader.attention_scores import fused_scores
from fidtools.reader.decoding import Answer, GenerationSettings, answer_fused
from fidtools.reader.prompt import Tokens
from fidtools.reader.reader import Reader


def answer_questions(
    reader: Reader, questions: Sequence[Question], settings: GenerationSettings, keep_passages: int | None = None
) -> list[list[Answer]]:
    """For each question its `n_best` answers, best first; from its `keep_passages` passages of highest attention."""
    return answer_tokens(reader, reader.tokens(questions), settings, keep_passages)


@torch.inference_mode()
def answer_tokens(
    reader: Reader, tokens: Tokens, settings: GenerationSettings, keep_passages: int | None = None
) -> list[list[Answer]]:
    """`answer_questions` for questions given as tokens."""
    fused = reader.fusion.fuse(tokens)
    if keep_passages is not None:
        fused = [
            _most_attended(reader, f, [len(p) for p in t], keep_passages) for f, t in zip(fused, tokens, strict=True)
        ]
    return answer_fused(reader, fused, settings)


def _most_attended(reader: Reader, fused: Any, lengths: Sequence[int], keep: int) -> Any:
    """The fused encodings of a question's `keep` passages with the highest attention, in their order.

    Passages are encoded one by one, so nothing needs to be encoded again (the experiment of the paper's section 3.2).
    """
    scores = torch.tensor(fused_scores(reader.fusion, fused, lengths)[DEFAULT_AGGREGATION])
    return reader.fusion.select(fused, lengths, sorted(scores.argsort(descending=True, stable=True)[:keep].tolist()))


def set_answers(question: Question, answers: Sequence[Answer], n_best: int | None) -> dict[str, Any]:
    """The question as written: with `prediction`, `log_probability`, and `predictions` when several are asked for."""
    question.prediction = answers[0].text
    question.extra.pop("predictions", None)  # of an earlier reader
    line = question.to_json() | {"log_probability": answers[0].log_probability}
    return line if n_best is None else line | {"predictions": [asdict(answer) for answer in answers]}
