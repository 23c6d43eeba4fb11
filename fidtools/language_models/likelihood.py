"""The likelihood of a target (an answer, or a question) under a causal language model, in nats.

log p(answer | passage, question) is the teacher of Atlas (Izacard et al., section 2.2, perplexity distillation) and of
REPLUG; log p(question | passage) is ART's (Sachan et al., section 2.2), which needs no answers and no trained reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fidtools.compute.batching import budget_batches
from fidtools.compute.selected_logits import logits_only_at
from fidtools.language_models.prompts import Encoded


@torch.inference_mode()
def log_likelihoods(
    model: Any, prompts: Sequence[Encoded], token_budget: int, *, per_token: bool = False
) -> list[float]:
    """log p(target | prompt) of every prompt, summed over the target's tokens, or their mean with `per_token`.

    Prompts of similar length are computed together, at most `token_budget` tokens with their padding. Rows are padded
    on the right, which a causal model never sees: no mask is needed and the tokenizer's padding side does not matter.
    """
    values = [0.0] * len(prompts)
    for rows in budget_batches([len(prompt.ids) for prompt in prompts], token_budget):
        batch = [prompts[row] for row in rows]
        for row, value in zip(rows, _batch(model, batch, per_token), strict=True):
            values[row] = value
    return values


def _batch(model: Any, prompts: Sequence[Encoded], per_token: bool) -> list[float]:
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt.ids)] = torch.tensor(prompt.ids)
    # the logits at position i predict token i + 1
    places = [row * longest + i - 1 for row, prompt in enumerate(prompts) for i in range(prompt.start, len(prompt.ids))]
    targets = torch.tensor([token for prompt in prompts for token in prompt.target], device=model.device)
    with logits_only_at(model, torch.tensor(places, device=model.device)):
        logits: Tensor = model(input_ids=ids.to(model.device), use_cache=False).logits
    if logits.shape[:2] != (1, len(places)):
        raise RuntimeError(f"{type(model).__name__} does not compute its logits by its output embeddings")
    chosen = logits[0].float().log_softmax(-1).gather(1, targets[:, None]).squeeze(1)  # (target tokens,)
    parts = torch.split(chosen.cpu(), [len(prompt.target) for prompt in prompts])
    return [float((part.mean() if per_token else part.sum()).item()) for part in parts]
