"""A reader that answers with its attention: on every passage, and on every token of a passage's text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from fidtools.data.records import Question
from fidtools.reader.decoding import GenerationSettings, answer_fused
from fidtools.reader.groups import in_groups
from fidtools.reader.reader import Reader
from fidtools.reader.token_attention import first_step_attention, text_spans
from fidtools.serving.readings import Attention, Reading, TokenShare


class QuestionReader:
    """A reader, asked group by group: the groups, and so the answers, are those of `fidtools read`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.n_context: int | None = reader.settings.n_context

    def readings(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        """The readings of questions with passages (`ctxs`), in order, one group at a time."""
        for group in in_groups(questions, self.n_context):
            yield self._read(group)

    @torch.inference_mode()
    def _read(self, questions: list[Question]) -> list[Reading]:
        reader = self._reader
        tokens = reader.tokens(questions)
        fused = reader.fusion.fuse(tokens)
        answers = answer_fused(reader, fused, GenerationSettings(max_tokens=reader.settings.answer_maxlength))
        return [
            Reading(best.text, best.log_probability, self._attention(question, own, encodings))
            for (best, *_), question, own, encodings in zip(answers, questions, tokens, fused, strict=True)
        ]

    def _attention(self, question: Question, tokens: Sequence[Sequence[int]], fused: Any) -> Attention | None:
        if self._reader.fusion.recorder.problem is not None:
            return None
        if not question.ctxs:
            return Attention([], [])
        weights = first_step_attention(self._reader.fusion, fused).softmax(0).mean((1, 2))  # (tokens)
        parts = torch.split(weights, [len(passage) for passage in tokens])
        spans = text_spans(self._reader, question, tokens)
        placed = [
            [TokenShare(*span, share) for span, share in zip(own or (), part.tolist(), strict=False) if span[1]]
            for own, part in zip(spans, parts, strict=True)
        ]
        return Attention([float(part.sum()) for part in parts], placed)
