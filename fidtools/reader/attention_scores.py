"""Relevance of passages by a reader's cross-attention (paper, sections 3.2 and 5.2): encoder and one decoder step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from fidtools.data.records import Question
from fidtools.reader.aggregations import DEFAULT_AGGREGATION, NEEDS_OUTPUT, TABLE_6, VALUE_NORM
from fidtools.reader.attention import LayerAttention
from fidtools.reader.decoding import output_tokens
from fidtools.reader.fusion import Fusion
from fidtools.reader.model import Reader
from fidtools.reader.prompt import Tokens

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
    outputs = output_tokens(reader, questions, fused, gold) if NEEDS_OUTPUT in names else None
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
    fused: Sequence[Tensor],
    names: Sequence[str],
    outputs: Sequence[Sequence[int]] | None,
) -> list[Scores]:
    return [
        fused_scores(reader.fusion, fused[i], [len(p) for p in tokens[i]], names, outputs[i] if outputs else ())
        if question.ctxs
        else {}
        for i, question in enumerate(questions)
    ]


def fused_scores(
    fusion: Fusion,
    fused: Tensor,
    lengths: Sequence[int],
    names: Sequence[str] = (DEFAULT_AGGREGATION,),
    output: Sequence[int] = (),
) -> Scores:
    """Named scores of one question's passages, of `lengths` tokens each in `fused` (tokens, d): one decoder pass.

    `output` forces the tokens of an answer; without it only the first decoder step is computed.
    """
    with fusion.recorder.recording(values=VALUE_NORM in names) as layers:
        fusion.decode([fused], torch.tensor([[fusion.start, *output[:-1]]], device=fused.device))
    return aggregate(layers, lengths, names)


def aggregate(layers: Sequence[LayerAttention], lengths: Sequence[int], names: Sequence[str]) -> Scores:
    """Named scores of each passage of one question, from a recorded decoder pass over that question.

    `lengths` are the tokens of its passages, in the order in which they were fused. `attention-value-norm` is the mean
    over tokens, layers and heads of softmax(α)·‖v‖ at the first output token (Izacard et al., Atlas, section 2.2).
    """
    alpha = torch.cat([layer.scores for layer in layers]).permute(2, 3, 0, 1)  # (i, j, layers, heads)
    parts = torch.split(alpha, list(lengths), dim=1)
    # stacked before they are read, since each single number read from a GPU would wait for it
    scores = {name: torch.stack([TABLE_6[name](part) for part in parts]).tolist() for name in names if name in TABLE_6}
    if VALUE_NORM in names:
        norms = torch.cat([cast(Tensor, layer.values).float().norm(dim=-1) for layer in layers])  # (layers, heads, j)
        weighted = torch.split(alpha[0].softmax(0) * norms.permute(2, 0, 1), list(lengths))
        scores[VALUE_NORM] = torch.stack([part.mean() for part in weighted]).tolist()
    return scores
