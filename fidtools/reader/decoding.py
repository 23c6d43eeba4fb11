"""Answers of a reader: greedy or by beam search, with their log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from fidtools.data.records import Question
from fidtools.reader.aggregation import FIRST, fused_scores
from fidtools.reader.model import Reader
from fidtools.reader.prompt import Tokens


@dataclass(frozen=True)
class Answer:
    """A generated answer and the natural log of its probability, `</s>` included."""

    text: str
    log_probability: float


@dataclass(frozen=True)
class GenerationSettings:
    """How outputs are searched for: one beam is greedy; the paper takes three for NarrativeQA (appendix A.3)."""

    beams: int = 1
    n_best: int = 1
    max_tokens: int = 50


def answer_questions(
    reader: Reader, questions: Sequence[Question], search: GenerationSettings, keep_passages: int | None = None
) -> list[list[Answer]]:
    """For each question its `n_best` answers, best first; from its `keep_passages` passages of highest attention."""
    return answer_tokens(reader, reader.tokens(questions), search, keep_passages)


@torch.inference_mode()
def answer_tokens(
    reader: Reader, tokens: Tokens, search: GenerationSettings, keep_passages: int | None = None
) -> list[list[Answer]]:
    """`answer_questions` for questions given as tokens."""
    fused = reader.fusion.fuse(tokens)
    if keep_passages is not None:
        fused = [
            _most_attended(reader, f, [len(p) for p in t], keep_passages) for f, t in zip(fused, tokens, strict=True)
        ]
    return answer_fused(reader, fused, search)


def _most_attended(reader: Reader, fused: Tensor, lengths: Sequence[int], keep: int) -> Tensor:
    """Of a question's fused encodings those of the `keep` passages with the highest attention, in their order.

    Passages are encoded apart, so nothing needs to be encoded again (the experiment of the paper's section 3.2).
    """
    scores = torch.tensor(fused_scores(reader.fusion, fused, lengths)[FIRST])
    best = set(scores.argsort(descending=True, stable=True)[:keep].tolist())
    return torch.cat([part for i, part in enumerate(torch.split(fused, list(lengths))) if i in best])


def set_answers(question: Question, answers: Sequence[Answer], n_best: int | None) -> dict[str, Any]:
    """The question as written: with `prediction`, `log_probability`, and `predictions` when several are asked for."""
    question.prediction = answers[0].text
    line = question.to_json() | {"log_probability": answers[0].log_probability}
    return line if n_best is None else line | {"predictions": [asdict(answer) for answer in answers]}


def answer_fused(reader: Reader, fused: Sequence[Tensor], search: GenerationSettings) -> list[list[Answer]]:
    """For each question's fused encodings (tokens of all its passages, d) its `n_best` answers, best first."""
    output = reader.fusion.generate(
        fused,
        past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
        max_new_tokens=search.max_tokens,
        min_length=0,
        num_beams=search.beams,
        num_return_sequences=search.n_best,
        do_sample=False,
        eos_token_id=reader.eos,
        pad_token_id=reader.fusion.pad,
        return_dict_in_generate=True,
        output_logits=search.beams == 1,
        output_scores=search.beams > 1,
    )
    new_tokens = output.sequences[:, 1:]
    log_probabilities = _log_probabilities(reader, output, new_tokens)
    found = [
        Answer(reader.text(tokens), round(value, 4))
        for tokens, value in zip(new_tokens.tolist(), log_probabilities.tolist(), strict=True)
    ]
    return [found[i : i + search.n_best] for i in range(0, len(found), search.n_best)]


def _log_probabilities(reader: Reader, output: Any, new_tokens: Tensor) -> Tensor:
    """The summed log-probability of each output up to its first `</s>`: (outputs,)."""
    greedy = output.scores is None
    steps = reader.fusion.model.compute_transition_scores(
        output.sequences,
        output.logits if greedy else output.scores,
        None if greedy else output.beam_indices,
        normalize_logits=greedy,
    )
    ended = (new_tokens == reader.eos).long().cumsum(1) - (new_tokens == reader.eos).long() > 0  # after the first </s>
    totals: Tensor = steps[:, : new_tokens.shape[1]].float().masked_fill(ended, 0.0).sum(1)
    return totals


def gold_answers(question: Question) -> list[str]:
    """The accepted answers of a question: `answers`, else its `target`; none when it is unlabelled."""
    return question.answers or ([] if question.target is None else [question.target])
