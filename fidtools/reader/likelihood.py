"""Relevance of passages by how likely they make the answer (Izacard et al., Atlas, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fidtools.compute.lengths import fit_text, shorten_text
from fidtools.data.batched import batched
from fidtools.data.prompt_templates import fill_prompt
from fidtools.data.records import Passage, Question
from fidtools.errors import UsageError
from fidtools.reader.decoding import output_tokens
from fidtools.reader.network import IGNORE_INDEX, F, ReaderNetwork, pad_rows
from fidtools.reader.prompt import Tokens, read_passages_of
from fidtools.reader.reader import Reader

LIKELIHOOD, LEAVE_ONE_OUT, QUESTION_LIKELIHOOD = "likelihood", "leave-one-out", "question-likelihood"
MAX_TOKENS = 32768
"""Of fused inputs that are decoded together."""


@torch.inference_mode()
def score_questions_by_likelihood(
    reader: Reader,
    questions: list[Question],
    tokens: Tokens,
    name: str,
    *,
    gold: bool = True,
    per_token: bool = False,
) -> list[Question]:
    """Write the score `name` into the questions' passages and sort these by it; returns the questions.

    `likelihood` is log p(answer | question, passage); `leave-one-out` is log p(answer | all passages) minus log
    p(answer | all other passages). With `per_token` it is the mean over the answer's tokens, under the name with
    `-per-token`. `tokens` are those of the questions' passages. The answer is the gold one if `gold`, else the reader's
    own. Raises DataError for a question without a gold answer.
    """
    fused = reader.fusion.fuse(tokens)
    targets = output_tokens(reader, questions, fused, gold)
    for question, passages, states, target in zip(questions, tokens, fused, targets, strict=True):
        scores = _likelihoods(reader, question, states, [len(p) for p in passages], target, name)
        set_likelihoods(question, name, scores, len(target), per_token=per_token)
    return questions


@torch.inference_mode()
def score_questions_by_question_likelihood(
    reader: Reader, questions: Sequence[Question], template: str, *, per_token: bool = False
) -> None:
    """Write `question-likelihood`, log p(question | passage) in nats, and sort the passages by it.

    The encoder reads `template` filled with one passage, the decoder is forced to the question (ART: Sachan et al.,
    section 2.2). A passage is cut where the template would not fit with it. No answer is needed. Raises DataError
    for a question without the field `ctxs`, UsageError for a template that does not fit without a passage.
    """
    for question in questions:
        passages = read_passages_of(question, reader.settings.n_context)
        asked, lost = shorten_text(reader.tokenizer, question.question, reader.fusion.max_output or 1 << 30)
        reader.cuts.add("questions", 1, [lost] if lost else [])
        target = reader.tokenizer(asked, add_special_tokens=False)["input_ids"]
        scores: list[float] = []
        if passages:
            tokens = [[_prompt_tokens(reader, question, passage, template)] for passage in passages]
            scores = _log_likelihoods(reader.fusion, reader.fusion.fuse(tokens), target).tolist()
        set_likelihoods(question, QUESTION_LIKELIHOOD, scores, len(target), per_token=per_token)


def _prompt_tokens(reader: Reader, question: Question, passage: Passage, template: str) -> list[int]:
    """The template filled with a passage, whose text (and then title) is cut so that what follows is read."""
    most = reader.settings.text_maxlength

    def encode(title: str, text: str) -> list[int]:
        prompt = fill_prompt(template, "question", replace(passage, title=title), text, question)
        options = {"add_special_tokens": reader.settings.special_tokens}
        ids: list[int] = reader.tokenizer(prompt, **options)["input_ids"]
        return ids

    ids, lost = fit_text(reader.tokenizer, passage.text, most, partial(encode, passage.title))
    if len(ids) > most:
        ids, more = fit_text(reader.tokenizer, passage.title, most, partial(encode, text=""))
        lost += more
    if len(ids) > most:
        raise UsageError(f"--prompt: it takes {len(ids)} tokens, more than the {most} that this model reads")
    reader.cuts.add("passages", 1, [lost] if lost else [])
    return ids


def set_likelihoods(question: Question, name: str, scores: list[float], tokens: int, *, per_token: bool) -> None:
    """Write summed log-likelihoods of `tokens` tokens, or their means under the name with `-per-token`."""
    if per_token:
        name, scores = f"{name}-per-token", [score / max(tokens, 1) for score in scores]
    question.set_scores({name: scores}, name)


@torch.inference_mode()
def likelihoods(reader: Reader, question: Question, target: Sequence[int], name: str) -> list[float]:
    """One score in nats for each passage of a question that is read, in order; higher is more relevant."""
    passages = reader.passages(question)
    (fused,) = reader.fusion.fuse([passages])
    return _likelihoods(reader, question, fused, [len(p) for p in passages], target, name)


def _likelihoods(
    reader: Reader, question: Question, fused: Any, lengths: Sequence[int], target: Sequence[int], name: str
) -> list[float]:
    if not question.ctxs:
        return []
    if name == LIKELIHOOD:
        alone = [reader.fusion.select(fused, lengths, [i]) for i in range(len(lengths))]
        return _log_likelihoods(reader.fusion, alone, target).tolist()
    inputs = [fused, *_each_left_out(reader, question, fused, lengths)]
    full, *without = _log_likelihoods(reader.fusion, inputs, target).tolist()
    return [full - value for value in without]


def _each_left_out(reader: Reader, question: Question, fused: Any, lengths: Sequence[int]) -> list[Any]:
    """All passages but each one in turn. Without its only passage, the question alone is read."""
    if len(lengths) == 1:
        return reader.fusion.fuse([reader.passages_of(question, [])])
    every = range(len(lengths))
    return [reader.fusion.select(fused, lengths, [i for i in every if i != left_out]) for left_out in every]


def _log_likelihoods(fusion: ReaderNetwork[F], fused: Sequence[F], target: Sequence[int]) -> Tensor:
    """log p(target | each fused input), summed over the target's tokens, 0 without any: (inputs,)."""
    if not target:
        return torch.zeros(len(fused))
    size = max(1, MAX_TOKENS // max(len(f) for f in fused))  # together, with their padding
    return torch.cat([_log_likelihoods_together(fusion, part, target) for part in batched(fused, size)])


def _log_likelihoods_together(fusion: ReaderNetwork[F], fused: Sequence[F], target: Sequence[int]) -> Tensor:
    targets = [list(target)] * len(fused)
    logits = fusion.logits(fused, targets).float()
    labels = pad_rows(targets, IGNORE_INDEX, fusion.device)
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORE_INDEX, reduction="none")
    return -losses.sum(1)
