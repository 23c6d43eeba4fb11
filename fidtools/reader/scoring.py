"""Relevance of passages by a reader's attention (paper, section 3.2): the encoder and one decoder step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fidtools.data.records import Question
from fidtools.errors import DataError
from fidtools.reader.aggregation import FIRST, NEEDS_OUTPUT, fused_scores
from fidtools.reader.decoding import Search, answer_fused, gold_answers
from fidtools.reader.model import Reader
from fidtools.reader.prompt import Tokens

BEFORE = "previous"


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
        set_scores(question, scores, names[0])
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


def set_scores(question: Question, scores: dict[str, list[float]], main: str) -> None:
    """Write scores into a question's passages and sort them by `main`, falling.

    Passages beyond those that were read follow, in their order and without `score`: no number of another scale
    stands beside the attention scores. A score that had no name of its own is kept as `previous`.
    """
    passages, read = question.ctxs or [], len(scores.get(main, ()))
    for passage in passages:
        if passage.score is not None and passage.score not in passage.scores.values():
            passage.scores[BEFORE] = passage.score
        passage.score = None
    for name, values in scores.items():
        for passage, value in zip(passages, values, strict=False):
            passage.scores[name] = value
    for passage in passages[:read]:
        passage.score = passage.scores[main]
    question.ctxs = sorted(passages[:read], key=lambda passage: -passage.scores[main]) + passages[read:]


def output_tokens(
    reader: Reader, questions: Sequence[Question], fused: Sequence[Tensor], gold: bool
) -> list[list[int]]:
    """The tokens of each question's right answer (`target`, else the first of `answers`), or of the reader's own.

    `fused` are the questions' fused encodings (tokens of all their passages, d).

    Raises DataError when the right answer is asked for and there is none.
    """
    if not gold:
        search = Search(max_tokens=reader.settings.answer_maxlength)
        return [reader.target(best.text) for best, *_ in answer_fused(reader, fused, search)]
    for question in questions:
        if not gold_answers(question):
            raise DataError("question without answer", field="answers", value=question.id)
    return [reader.target(question.target or gold_answers(question)[0]) for question in questions]
