"""The special tokens that a tokenizer puts around a text."""

from __future__ import annotations

from typing import Any


def leading_special_tokens(tokenizer: Any) -> list[int]:
    """The ids in front of every text that `tokenizer` encodes: a beginning-of-sequence token, or none."""
    with_special, without = (tokenizer("a", add_special_tokens=add)["input_ids"] for add in (True, False))
    return with_special[: with_special.index(without[0])] if without else []


def adds_end_token(tokenizer: Any) -> bool:
    """Whether `tokenizer` puts a special token, such as the end of a sequence, behind every text."""
    found = tokenizer("a")["input_ids"]
    return bool(found) and found[-1] in tokenizer.all_special_ids


def end_tokens(tokenizer: Any, network: Any) -> set[int]:
    """The ids that end a generated text: the tokenizer's end of sequence, and those of the model's generation."""
    given = getattr(getattr(network, "generation_config", None), "eos_token_id", None)
    ids = [tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])]
    return {token for token in ids if token is not None}
