"""Relevance of passages by a reader's attention (paper, section 3.2): the encoder and one decoder step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fidtools.data.records import Question
from fidtools.reader.aggregation import FIRST, NEEDS_OUTPUT, fused_scores
from fidtools.reader.decoding import GenerationSettings, answer_fused, gold_answers
from fidtools.reader.model import Reader
from fidtools.reader.prompt import Tokens


@torch.inference_mode()
def scored(
    reader: Reader, questions: list[Question], tokens: Tokens, names: Sequence[str], *, gold: bool = False
) -> list[Question]:
    """The questions, of such `tokens`, with named scores in their passages, sorted by the first name.

    `gold` forces the right answer's tokens where output tokens are needed, in place of the reader's own answer's.
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
    names: Sequence[str] = (FIRST,),
    outputs: Sequence[Sequence[int]] | None = None,
) -> list[dict[str, list[float]]]:
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
) -> list[dict[str, list[float]]]:
    return [
        fused_scores(reader.fusion, fused[i], [len(p) for p in tokens[i]], names, outputs[i] if outputs else ())
        if question.ctxs
        else {}
        for i, question in enumerate(questions)
    ]


def output_tokens(
    reader: Reader, questions: Sequence[Question], fused: Sequence[Tensor], gold: bool
) -> list[list[int]]:
    """The tokens of each question's right answer (`target`, else the first of `answers`), or of the reader's own.

    `fused` are the questions' fused encodings (tokens of all their passages, d).

    Raises DataError when the right answer is asked for and there is none.
    """
    if not gold:
        search = GenerationSettings(max_tokens=reader.settings.answer_maxlength)
        return [reader.target(best.text) for best, *_ in answer_fused(reader, fused, search)]
    for question in questions:
        if not gold_answers(question):
            raise question.error("question without answer", "answers", question.id)
    return [reader.target(question.target or gold_answers(question)[0]) for question in questions]
