"""The likelihood of a target (an answer, or a question) under a causal language model, in nats.

log p(answer | passage, question) is the teacher of Atlas (Izacard et al., section 2.2, perplexity distillation) and of
REPLUG; log p(question | passage) is ART's (Sachan et al., section 2.2), which needs no answers and no trained reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fidtools.compute.batching import budget_batches, pad_sequences
from fidtools.compute.selected_logits import logits_only_at
from fidtools.language_models.prompts import Encoded
from fidtools.language_models.shared_heads import can_share, share_heads, tails

Inputs = dict[str, Any]


@torch.inference_mode()
def log_likelihoods(
    model: Any, prompts: Sequence[Encoded], token_budget: int, *, per_token: bool = False
) -> list[float]:
    """log p(target | prompt) of every prompt, summed over the target's tokens, or their mean with `per_token`.

    Prompts of similar length are computed together, at most `token_budget` tokens with their padding. Where several
    begin with the same tokens (questions about one passage), those are computed once.
    """
    values = [0.0] * len(prompts)
    for rows, inputs, skipped in _batches(model, prompts, token_budget):
        batch = [prompts[row] for row in rows]
        for row, value in zip(rows, _values(model, batch, inputs, skipped, per_token), strict=True):
            values[row] = value
    return values


def _batches(
    model: Any, prompts: Sequence[Encoded], token_budget: int
) -> Iterator[tuple[list[int], Inputs, list[int]]]:
    """The prompts' numbers, what the model gets, and how many of each prompt's tokens it has seen before.

    Rows are padded on the right, which a causal model never sees: the tokenizer's padding side does not matter.
    """
    groups, alone = share_heads(prompts) if can_share(model) else ([], list(range(len(prompts))))
    for places in budget_batches([len(prompts[row]) for row in alone], token_budget):
        rows = [alone[place] for place in places]
        ids, _ = pad_sequences([prompts[row].ids for row in rows], 0)
        yield rows, {"input_ids": ids.to(model.device), "use_cache": False}, [0] * len(rows)
    for batch in tails(model, prompts, groups, token_budget):
        yield batch.rows, batch.inputs, batch.head_lengths


def _values(
    model: Any, prompts: Sequence[Encoded], inputs: Inputs, skipped: Sequence[int], per_token: bool
) -> list[float]:
    width = inputs["input_ids"].shape[1]
    # the logits at position i predict token i + 1
    places = [
        row * width + i - seen - 1
        for row, (prompt, seen) in enumerate(zip(prompts, skipped, strict=True))
        for i in range(prompt.start, len(prompt.ids))
    ]
    tokens = [token for prompt in prompts for token in prompt.target]
    targets = torch.tensor(tokens, dtype=torch.long, device=model.device)
    with logits_only_at(model, torch.tensor(places, dtype=torch.long, device=model.device)):
        logits: Tensor = model(**inputs).logits
    if logits.shape[:2] != (1, len(places)):
        raise RuntimeError(f"{type(model).__name__} does not compute its logits by its output embeddings")
    chosen = logits[0].float().log_softmax(-1).gather(1, targets[:, None]).squeeze(1)  # (target tokens,)
    parts = torch.split(chosen.cpu(), [len(prompt.target) for prompt in prompts])
    return [float((part.mean() if per_token and len(part) else part.sum()).item()) for part in parts]
