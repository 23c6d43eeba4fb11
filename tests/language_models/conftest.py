"""Tiny random causal language models of four families, and a byte-pair tokenizer trained on a few sentences."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models import CAUSAL_FAMILIES, tiny_causal_model

SENTENCES = [
    "Title: Ada Lovelace\nAda wrote the first program.\n\nQuestion: who wrote the first program?\nAnswer: Ada Lovelace",
    "Passage: Paris is the capital of France.\nPlease write a question based on this passage.\nQuestion: what is it?",
]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(SENTENCES, vocab_size=400, special_tokens=["<bos>", "<eos>"])
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token="<bos>", eos_token="<eos>")


@pytest.fixture(scope="session", params=CAUSAL_FAMILIES)
def network(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    return tiny_causal_model(request.param, len(tokenizer))
