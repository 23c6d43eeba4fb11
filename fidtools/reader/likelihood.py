"""Relevance of passages by how likely they make the answer (Izacard et al., Atlas, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fidtools.data.batched import batched
from fidtools.data.records import Question
from fidtools.reader.decoding import output_tokens
from fidtools.reader.fusion import IGNORE_INDEX, Fusion, pad_rows
from fidtools.reader.model import Reader
from fidtools.reader.prompt import Tokens, input_texts, input_tokens

LIKELIHOOD, LEAVE_ONE_OUT = "likelihood", "leave-one-out"
MAX_TOKENS = 32768
"""Of fused inputs that are decoded together."""


@torch.inference_mode()
def score_questions_by_likelihood(
    reader: Reader, questions: list[Question], tokens: Tokens, name: str, *, gold: bool = True
) -> list[Question]:
    """Write the score `name` into the questions' passages and sort these by it; returns the questions.

    `likelihood` is log p(answer | question, passage); `leave-one-out` is log p(answer | all passages) minus log
    p(answer | all other passages). `tokens` are those of the questions' passages. The answer is the gold one if `gold`,
    else the reader's own. Raises DataError for a question without a gold answer.
    """
    fused = reader.fusion.fuse(tokens)
    targets = output_tokens(reader, questions, fused, gold)
    for question, passages, states, target in zip(questions, tokens, fused, targets, strict=True):
        encodings = list(torch.split(states, [len(p) for p in passages]))
        question.set_scores({name: _likelihoods(reader, question, encodings, target, name)}, name)
    return questions


@torch.inference_mode()
def likelihoods(reader: Reader, question: Question, target: Sequence[int], name: str) -> list[float]:
    """One score in nats for each passage of a question that is read, in order; higher is more relevant."""
    return _likelihoods(reader, question, reader.fusion.encode(reader.passages(question)), target, name)


def _likelihoods(
    reader: Reader, question: Question, passages: list[Tensor], target: Sequence[int], name: str
) -> list[float]:
    if not question.ctxs:
        return []
    if name == LIKELIHOOD:
        return _log_likelihoods(reader.fusion, passages, target).tolist()
    full, *without = _log_likelihoods(reader.fusion, _each_left_out(reader, question, passages), target).tolist()
    return [full - value for value in without]


def _each_left_out(reader: Reader, question: Question, passages: list[Tensor]) -> list[Tensor]:
    """All passages fused, then all but each one in turn. Without its only passage, the question alone is read."""
    if len(passages) == 1:
        texts = input_texts(question, [], reader.settings)
        return [*passages, *reader.fusion.encode(input_tokens(reader.tokenizer, texts, reader.settings))]
    return [torch.cat(passages), *(torch.cat(passages[:i] + passages[i + 1 :]) for i in range(len(passages)))]


def _log_likelihoods(fusion: Fusion, fused: Sequence[Tensor], target: Sequence[int]) -> Tensor:
    """log p(target | each fused input), summed over the target's tokens: (inputs,)."""
    size = max(1, MAX_TOKENS // max(len(f) for f in fused))  # together, with their padding
    return torch.cat([_log_likelihoods_together(fusion, part, target) for part in batched(fused, size)])


def _log_likelihoods_together(fusion: Fusion, fused: Sequence[Tensor], target: Sequence[int]) -> Tensor:
    targets = [list(target)] * len(fused)
    logits = fusion.decode(fused, fusion.decoder_inputs(targets)).float()
    labels = pad_rows(targets, IGNORE_INDEX, fusion.device)
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none")
    return -losses.sum(1)
