"""The account of training's memory in benchmarks/reader_memory.py."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import transformers as hf

from benchmarks.reader_memory import Account, Live, training_account, without_content
from fidtools.reader.fusion import Fusion
from tests.models import t5_config

LENGTH = 16


def account(passages: int, *, checkpointing: bool, token_budget: int = 8 * LENGTH) -> Account:
    config = t5_config(hf.T5Config)
    return training_account(
        config, [[7] * LENGTH] * passages, [8, 9, 1], checkpointing=checkpointing, token_budget=token_budget
    )


def test_live_bytes_by_hand() -> None:
    with Live() as live:
        first = torch.zeros(1000)
        second = first + 1
        view = second[:10]
        del second
        assert (live.now, live.peak) == (8000, 8000)
        del view
        assert (live.now, live.peak) == (4000, 8000)
        first.add_(1)
        assert (live.now, live.peak) == (4000, 8000)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_tensors_without_content_count_as_real_ones(checkpointing: bool) -> None:
    """Never as less, and as little more: some operations on real tensors do without a buffer."""
    real, counted = (make(lambda: account(6, checkpointing=checkpointing)) for make in (now, without_content))
    assert counted.state == real.state
    assert real.peak <= counted.peak <= 1.02 * real.peak


def now(make: Callable[[], Account]) -> Account:
    return make()


def test_weights_and_adam() -> None:
    """Four bytes a number: the weight and two moments; and a count of updates for every parameter."""
    parameters = list(Fusion(hf.T5ForConditionalGeneration(t5_config(hf.T5Config))).parameters())
    expected = 12 * sum(p.numel() for p in parameters) + 4 * len(parameters)
    assert account(1, checkpointing=False).state == expected


@pytest.mark.slow
def test_every_passage_costs_the_same_and_checkpointing_saves_its_layers() -> None:
    """Plain, more passages keep more encoder calls' activations; with checkpointing only their encodings."""

    def growth(checkpointing: bool) -> list[int]:
        peaks = [account(n, checkpointing=checkpointing).peak for n in (16, 24, 32)]
        return [b - a for a, b in pairwise(peaks)]

    plain, checkpointed = growth(False), growth(True)
    assert plain[0] == pytest.approx(plain[1], rel=0.02)
    assert max(checkpointed) < plain[0] / 2  # not constant: where in the step the peak lies can move
