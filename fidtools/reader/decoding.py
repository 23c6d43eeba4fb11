"""Decoding: the answers to fused encodings, greedy or by beam search, with their log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fidtools.compute.lengths import CutCounter
from fidtools.data.records import Question
from fidtools.reader.reader import Reader


@dataclass(frozen=True)
class Answer:
    """A generated answer and the natural logarithm of its probability, `</s>` included."""

    text: str
    log_probability: float


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are generated: one beam is greedy; the paper uses three for NarrativeQA (appendix A.3)."""

    beams: int = 1
    n_best: int = 1
    max_tokens: int = 50


@torch.inference_mode()
def answer_fused(reader: Reader, fused: Sequence[Any], settings: GenerationSettings) -> list[list[Answer]]:
    """For each question's fused encodings its `n_best` answers, best first."""
    output = reader.fusion.generate(
        fused,
        max_new_tokens=settings.max_tokens,
        min_length=0,
        num_beams=settings.beams,
        num_return_sequences=settings.n_best,
        do_sample=False,
        eos_token_id=reader.eos,
        pad_token_id=reader.fusion.pad,
        return_dict_in_generate=True,
        output_logits=settings.beams == 1,
        output_scores=settings.beams > 1,
    )
    new_tokens = output.sequences[:, 1:]
    log_probabilities = _log_probabilities(reader, output, new_tokens)
    found = [
        Answer(reader.text(tokens), round(value, 4))
        for tokens, value in zip(new_tokens.tolist(), log_probabilities.tolist(), strict=True)
    ]
    return [found[i : i + settings.n_best] for i in range(0, len(found), settings.n_best)]


def _log_probabilities(reader: Reader, output: Any, new_tokens: Tensor) -> Tensor:
    """The summed log-probability of each output up to its first `</s>`: (outputs,)."""
    if output.scores is None:
        steps = torch.stack(
            [
                logits.log_softmax(-1).gather(1, new_tokens[:, i : i + 1])[:, 0]
                for i, logits in enumerate(output.logits)
            ],
            dim=1,
        )
    else:
        steps = reader.fusion.model.compute_transition_scores(output.sequences, output.scores, output.beam_indices)
    ended = (new_tokens == reader.eos).long().cumsum(1) - (new_tokens == reader.eos).long() > 0  # after the first </s>
    totals: Tensor = steps[:, : new_tokens.shape[1]].float().masked_fill(ended, 0.0).sum(1)
    return totals


def output_tokens(reader: Reader, questions: Sequence[Question], fused: Sequence[Any], gold: bool) -> list[list[int]]:
    """The tokens of each question's gold answer (`target`, else the first of `answers`), or of the reader's own.

    `fused` are the questions' fused encodings. Raises DataError for a question without a gold answer, if `gold`.
    """
    if not gold:
        settings = GenerationSettings(max_tokens=reader.settings.answer_maxlength)
        uncounted = replace(reader, cuts=CutCounter())  # an answer that did not end is no text that was cut
        return [uncounted.target(best.text) for best, *_ in answer_fused(reader, fused, settings)]
    return [reader.target(question.gold_answer()) for question in questions]
