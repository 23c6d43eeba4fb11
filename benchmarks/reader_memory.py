"""What training a reader and reading with it need of memory, counted without a machine that has it.

    python benchmarks/reader_memory.py [--passages 100] [--length 250] [--answer 16] [--questions 16]

Two training steps of T5-base on one question run on tensors without content, and every storage is counted from the
operation that makes it until nothing holds it: weights, gradients, Adam's moments, what autograd keeps, and what is
only passed through. The peak is that of the second step, in which Adam's moments exist from the start. Reading is one
decoder step, which fills the cache, over the encodings of several questions.
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary
from transformers import DynamicCache, EncoderDecoderCache, T5Config, T5ForConditionalGeneration

from fidtools.compute.device import Compute
from fidtools.reader.absorption import EncodingsCache
from fidtools.reader.fusion import Fusion, fused_inputs
from fidtools.reader.network import Batch

T5_BASE = {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "vocab_size": 32128}


class Live(TorchDispatchMode):
    """Inside the block, `now` is the bytes of all storages made in it that are still held, `peak` the most so far."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._note, result)
        return result

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known[storage] = True
        self._add(storage.nbytes())
        weakref.finalize(storage, self._add, -storage.nbytes())

    def _add(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)


@dataclass(frozen=True)
class Account:
    """Bytes: at the peak of a training step, and of these the weights with Adam's two moments for each."""

    peak: int
    state: int


def training_account(
    config: T5Config, passages: list[list[int]], target: list[int], *, checkpointing: bool, token_budget: int
) -> Account:
    """The account of a training step in bf16 autocast on one question, on whatever tensors are made now."""
    with Live() as live:
        fusion = Fusion(T5ForConditionalGeneration(config)).train()
        fusion.checkpoint_encoder, fusion.token_budget = checkpointing, token_budget
        optimizer = torch.optim.Adam(fusion.parameters(), lr=1e-4)
        batch = Batch([passages], [target])
        step(fusion, optimizer, batch)
        live.peak = state = live.now
        step(fusion, optimizer, batch)
        return Account(live.peak, state)


def step(fusion: Fusion, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """One update, as `train-reader` makes it."""
    with torch.autocast("cpu", torch.bfloat16):
        loss = fusion(batch) / len(batch.targets[0])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(fusion.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def decoding_account(config: T5Config, questions: int, tokens: int, *, absorb: bool) -> Account:
    """The account of one decoder step in bf16 over several questions of so many fused tokens, with its cache.

    The state is the weights and the encodings. Without `absorb` keys and values of all tokens are made.
    """
    compute = Compute(torch.device("cpu"), torch.bfloat16, "the benchmark's")
    with Live() as live, torch.inference_mode():
        fusion = Fusion(T5ForConditionalGeneration(config).eval(), compute=compute)
        if not absorb:
            fusion.recorder.projections = {}
        fused = [torch.zeros(tokens, config.d_model, dtype=torch.bfloat16) for _ in range(questions)]
        live.peak = state = live.now
        with compute.autocast(), fusion.recorder.absorbing() as absorbed:
            cache = EncoderDecoderCache(DynamicCache(), EncodingsCache() if absorbed else DynamicCache())
            start = torch.zeros(questions, 1, dtype=torch.long)
            fusion.model(**fused_inputs(fused), decoder_input_ids=start, past_key_values=cache, use_cache=True)
        return Account(live.peak, state)


def without_content(make: Callable[[], Account]) -> Account:
    """What `make` gives when its tensors have shapes and no content."""
    with FakeTensorMode():
        return make()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--passages", type=int, default=100)
    arguments.add_argument("--length", type=int, default=250)
    arguments.add_argument("--answer", type=int, default=16)
    arguments.add_argument("--questions", type=int, default=16, help="read together")
    given = arguments.parse_args()
    training_table(given)
    decoding_table(given)


def training_table(given: argparse.Namespace) -> None:
    passages, target = [[7] * given.length] * given.passages, [8] * given.answer
    print(f"T5-base, {given.passages} passages x {given.length} tokens, bf16 autocast\n")
    print("| | at the peak | weights and Adam | activations and gradients |\n|---|---|---|---|")
    for name, checkpointing, budget in (
        ("plain", False, 16384),
        ("--gradient-checkpointing", True, 16384),
        ("--gradient-checkpointing --token-budget 4096", True, 4096),
    ):
        config = T5Config(**T5_BASE, decoder_start_token_id=0)
        found = without_content(
            lambda c=config, k=checkpointing, b=budget: training_account(
                c, passages, target, checkpointing=k, token_budget=b
            )
        )
        peak, state = found.peak / 1e9, found.state / 1e9
        print(f"| {name} | {peak:.1f} GB | {state:.1f} GB | {peak - state:.1f} GB |")


def decoding_table(given: argparse.Namespace) -> None:
    tokens = given.passages * given.length
    print(f"\nT5-base, a decoder step over {given.questions} questions of {tokens} fused tokens, bf16\n")
    print("| | at the peak | weights and encodings | cache and the rest |\n|---|---|---|---|")
    for name, absorb in (("keys and values of all tokens", False), ("their weights absorbed", True)):
        config = T5Config(**T5_BASE, decoder_start_token_id=0)
        found = without_content(lambda c=config, a=absorb: decoding_account(c, given.questions, tokens, absorb=a))
        peak, state = found.peak / 1e9, found.state / 1e9
        print(f"| {name} | {peak:.1f} GB | {state:.1f} GB | {peak - state:.1f} GB |")


if __name__ == "__main__":
    main()
