"""Tiny random causal language models of four families, and a byte-pair tokenizer trained on a few sentences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

SENTENCES = [
    "Title: Ada Lovelace\nAda wrote the first program.\n\nQuestion: who wrote the first program?\nAnswer: Ada Lovelace",
    "Passage: Paris is the capital of France.\nPlease write a question based on this passage.\nQuestion: what is it?",
]
FAMILIES = ("llama", "qwen3", "gemma2", "gpt2")


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(SENTENCES, vocab_size=400, special_tokens=["<bos>", "<eos>"])
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token="<bos>", eos_token="<eos>")


def tiny_network(family: str, vocabulary: int) -> Any:
    """A random model of two layers in float32."""
    import transformers

    torch.manual_seed(1)
    if family == "gpt2":
        config: Any = transformers.GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=4, n_positions=256, attn_pdrop=0, resid_pdrop=0
        )
        return transformers.GPT2LMHeadModel(config).eval()
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
    }
    kinds = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
        "gemma2": (transformers.Gemma2Config, transformers.Gemma2ForCausalLM),
    }
    make_config, make_model = kinds[family]
    network = make_model(make_config(**sizes)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3) if parameter.ndim > 1 else parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


@pytest.fixture(scope="session", params=FAMILIES)
def network(request: pytest.FixtureRequest, tokenizer: Any) -> Any:
    return tiny_network(request.param, len(tokenizer))
