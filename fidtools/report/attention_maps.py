"""The reader's cross-attention on every token of a question's passages, by layer and head, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fidtools.data.records import Question
from fidtools.evaluation.completion import Inputs
from fidtools.logs import track
from fidtools.report.blocks import Block, pack

if TYPE_CHECKING:
    from torch import Tensor

    from fidtools.reader.reader import Reader

TOKEN_BUDGET = 16384
LEAST = 1e-4
"""Smaller weights are 0 on the page: invisible beside those that matter, and they would be most of its size."""


def attention_blocks(path: Path, rows: dict[str, int], prefix: str, reader: str, shown: int) -> Iterator[Block]:
    """A block "<prefix><row>" for each of the questions of a file whose ids are in `rows`: the attention of `reader`.

    Weights are softmaxed over all passages that are read; those of the first `shown` are kept. Raises DataError and
    UsageError as loading a reader does, FidtoolsError when its cross-attention cannot be told apart.
    """
    from fidtools.compute.device import Compute
    from fidtools.reader.reader_folder import load_inference_reader

    model = load_inference_reader(reader, TOKEN_BUDGET, Compute.choose("auto"))
    model.fusion.recorder.check()
    for question in track(_wanted(path, rows), "attention", len(rows)):
        if question.ctxs:
            yield attention_block(model, question, f"{prefix}{rows[question.id]}", shown)


def _wanted(path: Path, rows: dict[str, int]) -> Iterable[Question]:
    left = len(rows)
    for question in Inputs().read(path)[1]:
        if question.id in rows:
            yield question
            left -= 1
            if not left:
                return


def attention_block(reader: Reader, question: Question, name: str, shown: int) -> Block:
    """One question: its tokens and scores as JSON, then one byte a weight, (passages' tokens, layers, heads).

    A byte b is the weight exp((b − 255) / 16), 0 is less than `LEAST`. "scores" are the means over layers and heads
    before the softmax; a passage's mean of them is the teacher's score (`attention`).
    """
    ids = reader.passages(question)
    alpha = recorded_scores(reader, ids)
    weights = alpha.softmax(0)
    lengths = [len(tokens) for tokens in ids]
    kept = sum(lengths[:shown])
    header = {
        "layers": alpha.shape[1],
        "heads": alpha.shape[2],
        "read": len(ids),
        "tokens": token_texts(reader, question, ids)[:shown],
        "scores": [part.round(3).tolist() for part in parted(alpha.mean((1, 2)).numpy(), lengths)[:shown]],
        "shares": [round(float(part.sum()), 5) for part in parted(weights.mean((1, 2)).numpy(), lengths)],
    }
    return pack(name, header, weight_bytes(weights.numpy()[:kept]).tobytes())


def parted(values: NDArray[np.float32], lengths: Sequence[int]) -> list[NDArray[np.float32]]:
    """The tokens of each passage."""
    return np.split(values, np.cumsum(lengths)[:-1])


def recorded_scores(reader: Reader, ids: Sequence[Sequence[int]]) -> Tensor:
    """The attention before the softmax at the first output token: (tokens of all passages, layers, heads)."""
    import torch

    from fidtools.reader.token_attention import first_step_attention

    with torch.inference_mode():
        return first_step_attention(reader.fusion, reader.fusion.fuse([ids])[0])


def weight_bytes(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Weights as bytes on a scale of logs: 255 is 1, one less is a factor e^(1/16), 0 is less than `LEAST`."""
    logs = np.log(np.maximum(weights, LEAST))
    return np.where(weights < LEAST, 0, np.round(255 + 16 * logs)).astype(np.uint8)


def token_texts(reader: Reader, question: Question, ids: Sequence[Sequence[int]]) -> list[list[str]]:
    """What each token stands for, with the space before it: of the input where the tokenizer knows offsets."""
    from fidtools.reader.prompt import read_passages_of

    texts = reader.texts(question, read_passages_of(question, reader.settings.n_context))
    settings = reader.settings_for(question)
    return [_pieces(reader.tokenizer, text, row, settings) for text, row in zip(texts, ids, strict=True)]


def _pieces(tokenizer: Any, text: str, ids: Sequence[int], settings: Any) -> list[str]:
    from fidtools.reader.prompt import token_spans

    spans = token_spans(tokenizer, [text], settings)
    if spans is not None and len(spans[0]) == len(ids):
        return _slices(text, spans[0], tokenizer.convert_ids_to_tokens(ids))
    return [str(piece).replace("▁", " ").replace("Ġ", " ") for piece in tokenizer.convert_ids_to_tokens(ids)]


def _slices(text: str, offsets: Sequence[tuple[int, int]], names: Sequence[str]) -> list[str]:
    """The text between tokens goes to the later one; a token that stands for no text (</s>) is shown by its name."""
    pieces, end = [], 0
    for (start, stop), name in zip(offsets, names, strict=True):
        pieces.append(text[end:stop] if stop > start else f" {name}")
        end = max(end, stop)
    return pieces
