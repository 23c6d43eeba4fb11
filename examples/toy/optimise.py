"""One training loop for both checkpoints."""

import logging
import time
from collections.abc import Callable, Iterator

import torch

WIDTH = 128
HEADS = 4

log = logging.getLogger("pretrain")


def steps(model: torch.nn.Module, lr: float, losses: Iterator[torch.Tensor], total: int) -> None:
    """Adam over a stream of losses: a short warm-up, then level, then down to nothing over the second half."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    began, sum_of_losses = time.monotonic(), 0.0
    for step in range(total):
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 50, 0.05 + 2 * (1 - step / total))
        loss = next(losses)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sum_of_losses += loss.item()
        if (step + 1) % 50 == 0:
            log.info("step %d loss %.3f %.0fs", step + 1, sum_of_losses / 50, time.monotonic() - began)
            sum_of_losses = 0.0


def encoder_of(tokenizer) -> Callable:  # type: ignore[no-untyped-def]
    """Texts -> padded tensors."""
    return lambda texts: tokenizer(texts, padding=True, return_tensors="pt")
