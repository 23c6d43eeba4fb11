"""The reader's attention on the tokens of a question's passages, and the text that each token stands for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fidtools.data.records import Question
from fidtools.reader.network import F, ReaderNetwork
from fidtools.reader.prompt import read_passages_of, token_spans
from fidtools.reader.reader import Reader

Span = tuple[int, int]


@torch.inference_mode()
def first_step_attention(fusion: ReaderNetwork[F], fused: F) -> Tensor:
    """The attention scores at the first output token, before the softmax: (input tokens, layers, heads), float32.

    `fused` are the encodings of one question's passages. Raises FidtoolsError when the model's attention cannot be
    recorded.
    """
    layers = fusion.attention(fused, ())
    return torch.cat([layer.scores for layer in layers])[:, :, 0].permute(2, 0, 1).float().cpu()


def text_spans(reader: Reader, question: Question, tokens: Sequence[Sequence[int]]) -> list[list[Span] | None]:
    """For each passage that is read, where its tokens lie in the passage's text: (start, end) in characters.

    `tokens` are the question's, as `Reader.passages` gives them. A token outside of the text (of the question, the
    title or a prefix) has an empty span (0, 0). None for a passage whose tokenizer does not know offsets.
    """
    passages = read_passages_of(question, reader.settings.n_context)
    if not passages:
        return []
    inputs = reader.texts(question, passages)
    spans = token_spans(reader.tokenizer, inputs, reader.settings_for(question))
    if spans is None or [len(row) for row in spans] != [len(row) for row in tokens]:
        return [None] * len(passages)
    ends = [len(whole) - len(reader.settings.after_text) for whole in inputs]
    bounds = [(end - len(passage.text), end) for end, passage in zip(ends, passages, strict=True)]
    return [[_within(span, *bound) for span in row] for row, bound in zip(spans, bounds, strict=True)]


def _within(span: Span, start: int, end: int) -> Span:
    first, last = max(span[0], start), min(span[1], end)
    return (first - start, last - start) if last > first else (0, 0)
