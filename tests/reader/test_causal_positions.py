"""Causal language models whose positions or windows are their own: read as they are meant to be, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from fidtools.data.records import Question
from fidtools.errors import FidtoolsError, UsageError
from fidtools.reader.answering import answer_questions
from fidtools.reader.causal_prompt import CausalReaderSettings
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import load_reader, reader_from_model
from tests.models import VOCABULARY, word_tokenizer

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
IDS = {"vocab_size": len(VOCABULARY), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [9.0] * 4}


def model_of(kind: str, **changes: Any) -> Any:
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}TextConfig", getattr(transformers, f"{kind}Config"))(**IDS | SIZES | changes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3) if parameter.ndim > 1 else parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def reader_of(kind: str, **changes: Any) -> Reader:
    return reader_from_model(model_of(kind, **changes), word_tokenizer(), CausalReaderSettings())


@pytest.mark.parametrize("beams", [1, 2])
def test_more_tokens_than_phi_has_short_positions(beams: int, questions: list[Question]) -> None:
    """Its way of generating would drop the keys and values of all passages at 40 tokens, however long each one is."""
    search = GenerationSettings(beams=beams, max_tokens=4)
    few, many = (
        [answer_questions(reader_of("Phi3", original_max_position_embeddings=limit), [q], search) for q in questions]
        for limit in (40, 4096)
    )
    assert few == many


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 48, "max_position_embeddings": 96}),
        (
            "Llama4",
            {
                "attention_chunk_size": 48,
                "max_position_embeddings": 96,
                "num_local_experts": 2,
                "num_key_value_heads": 2,
            },
        ),
    ],
)
def test_no_block_is_longer_than_its_positions_mean_one_thing(
    kind: str, changes: dict[str, Any], tmp_path: Any
) -> None:
    reader = reader_of(kind, **changes)
    assert (reader.fusion.max_input, reader.settings.text_maxlength) == (48, 48)
    reader.save(tmp_path)
    with pytest.raises(UsageError, match="text maxlength 60: this model reads at most 48 tokens"):
        load_reader(tmp_path, text_maxlength=60)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Roberta", {"is_decoder": True}),
        ("XLMRoberta", {"is_decoder": True}),
        ("GPTNeo", {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}),
    ],
)
def test_a_model_that_counts_tokens_in_its_own_way_is_refused(kind: str, changes: dict[str, Any]) -> None:
    """From a padding id, or in a window over all passages: the first of them would be out of sight."""
    with pytest.raises(FidtoolsError, match=f"{kind}ForCausalLM: counts positions itself"):
        reader_of(kind, **changes)


def test_gpt_neo_without_windows_is_read(questions: list[Question]) -> None:
    reader = reader_of("GPTNeo", num_layers=2, num_heads=2, attention_types=[[["global"], 2]])
    tokens = reader.passages(questions[2])
    targets = [[40, 41, 1]]
    with torch.no_grad():
        (fused,) = reader.fusion.fuse([tokens])
        turned = reader.fusion.select(fused, [len(block) for block in tokens], [3, 1, 0, 2])
        expected, found = (reader.fusion.logits([states], targets) for states in (fused, turned))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
