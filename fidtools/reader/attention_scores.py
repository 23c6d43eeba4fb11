"""Relevance of passages by a reader's attention (paper, sections 3.2 and 5.2): encoder and one decoder step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from fidtools.data.records import Question
from fidtools.reader.aggregations import DEFAULT_AGGREGATION, MASS, NEEDS_OUTPUT, TABLE_6, VALUE_NORM
from fidtools.reader.attention import LayerAttention
from fidtools.reader.decoding import output_tokens
from fidtools.reader.network import F, ReaderNetwork
from fidtools.reader.prompt import Tokens
from fidtools.reader.reader import Reader

Scores = dict[str, list[float]]
"""By aggregation, one score for each passage."""


@torch.inference_mode()
def score_questions(
    reader: Reader, questions: list[Question], tokens: Tokens, names: Sequence[str], *, gold: bool = False
) -> list[Question]:
    """Write the named scores into the questions' passages and sort these by the first; returns the questions.

    `tokens` are those of the questions' passages. Where the tokens of an answer are needed, they are those of the gold
    answer if `gold`, else those of the reader's own answer. Raises DataError for a question without a gold answer.
    """
    fused = reader.fusion.fuse(tokens)
    outputs = output_tokens(reader, questions, fused, gold) if NEEDS_OUTPUT.intersection(names) else None
    found = _scores(reader, questions, tokens, fused, names, outputs)
    for question, scores in zip(questions, found, strict=True):
        question.set_scores(scores, names[0])
    return questions


@torch.inference_mode()
def attention_scores(
    reader: Reader,
    questions: Sequence[Question],
    names: Sequence[str] = (DEFAULT_AGGREGATION,),
    outputs: Sequence[Sequence[int]] | None = None,
) -> list[Scores]:
    """For each question, the named scores of the passages that are read, in their order; {} for one without passages.

    Only the first output token is decoded, unless `outputs` gives the tokens of an answer.
    """
    tokens = reader.tokens(questions)
    return _scores(reader, questions, tokens, reader.fusion.fuse(tokens), names, outputs)


def _scores(
    reader: Reader,
    questions: Sequence[Question],
    tokens: Tokens,
    fused: Sequence[Any],
    names: Sequence[str],
    outputs: Sequence[Sequence[int]] | None,
) -> list[Scores]:
    found: list[Scores] = []
    for i, question in enumerate(questions):
        if not question.ctxs:
            found.append({})
            continue
        asked = reader.question_lengths(question, tokens[i]) if MASS in names else None
        output = outputs[i] if outputs else ()
        found.append(fused_scores(reader.fusion, fused[i], [len(p) for p in tokens[i]], names, output, asked))
    return found


def fused_scores(
    fusion: ReaderNetwork[F],
    fused: F,
    lengths: Sequence[int],
    names: Sequence[str] = (DEFAULT_AGGREGATION,),
    output: Sequence[int] = (),
    question_lengths: Sequence[int] | None = None,
) -> Scores:
    """Named scores of one question's passages, of `lengths` tokens each in `fused`: one decoder pass.

    `output` forces the tokens of an answer; without it only the first decoder step is computed. `question_lengths` as
    in `aggregate`.
    """
    layers = fusion.attention(fused, output, values=not {VALUE_NORM, MASS}.isdisjoint(names))
    return aggregate(layers, lengths, names, question_lengths)


def aggregate(
    layers: Sequence[LayerAttention],
    lengths: Sequence[int],
    names: Sequence[str],
    question_lengths: Sequence[int] | None = None,
) -> Scores:
    """Named scores of each passage of one question, from a recorded decoder pass over that question.

    `lengths` are the tokens of its passages, in the order in which they were fused; of each passage the first
    `question_lengths` are the question's (by default none). `attention-value-norm` is the mean over tokens, layers and
    heads of softmax(α)·‖v‖ at the first output token. `attention-mass` is its sum over the tokens that are not the
    question's, and its mean over output tokens, layers and heads (Izacard et al., Atlas, section 2.2; Tamber et al.,
    LiT5).
    """
    alpha = torch.cat([layer.scores for layer in layers]).permute(2, 3, 0, 1)  # (i, j, layers, heads)
    parts = torch.split(alpha, list(lengths), dim=1)
    # stacked before they are read, since each single number read from a GPU would wait for it
    scores = {name: torch.stack([TABLE_6[name](part) for part in parts]).tolist() for name in names if name in TABLE_6}
    if VALUE_NORM in names:
        weighted = torch.split(_value_weights(layers, alpha[:1])[0], list(lengths))
        scores[VALUE_NORM] = torch.stack([part.mean() for part in weighted]).tolist()
    if MASS in names:
        by_token = _value_weights(layers, alpha).mean((0, 2, 3))
        masses = torch.split(by_token, list(lengths))
        asked = question_lengths or [0] * len(masses)
        scores[MASS] = torch.stack([part[n:].sum() for part, n in zip(masses, asked, strict=True)]).tolist()
    return scores


def _value_weights(layers: Sequence[LayerAttention], alpha: Tensor) -> Tensor:
    """softmax(α)·‖v‖, of the shape of `alpha` (output tokens, input tokens, layers, heads)."""
    if any(layer.log_total is None for layer in layers):
        weights = alpha.softmax(1)
    else:
        totals = torch.cat([cast(Tensor, layer.log_total) for layer in layers]).permute(2, 0, 1)[: len(alpha), None]
        weights = (alpha - totals).exp()
    norms = torch.cat([cast(Tensor, layer.values).float().norm(dim=-1) for layer in layers])  # (layers, heads, j)
    return weights * norms.permute(2, 0, 1)
