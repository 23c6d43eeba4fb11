"""Encoder–decoders whose results would depend on the batch or on later tokens: read as meant, or refused.

The expected logits are those of the model as it is built, before its attention is routed through the recorder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from transformers.modeling_outputs import BaseModelOutput

from fidtools.errors import UsageError
from fidtools.reader.reader_folder import load_reader, reader_from_model
from tests.models import VOCABULARY, tiny_model, word_tokenizer

IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "decoder_start_token_id": 2}
SIZES: dict[str, Any] = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 64, "init_std": 0.3, "dropout": 0.0}
SIZES |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, **IDS}
BART = {**SIZES, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "forced_eos_token_id": None}
BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
PROPHET = {"hidden_size": 16, "num_encoder_layers": 1, "num_decoder_layers": 1}
PROPHET |= {"num_encoder_attention_heads": 2, "num_decoder_attention_heads": 2}
MODELS: dict[str, Callable[[], Any]] = {
    "pegasus-x": lambda: hf.PegasusXForConditionalGeneration(
        hf.PegasusXConfig(**BART, block_size=4, num_global_tokens=2)
    ),
    "bigbird-pegasus": lambda: hf.BigBirdPegasusForConditionalGeneration(
        hf.BigBirdPegasusConfig(**BART, attention_type="original_full")
    ),
    "prophetnet": lambda: hf.ProphetNetForConditionalGeneration(hf.ProphetNetConfig(**SIZES, **PROPHET)),
}


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[kind]().eval() if kind in MODELS else tiny_model(kind)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


@pytest.mark.parametrize("kind", ["pegasus-x", "pegasus", "longt5", "bart"])
def test_an_answers_token_is_predicted_from_earlier_ones(kind: str) -> None:
    model, tokens, target = model_of(kind), [30, 31, 32, 33, 34], [40, 41, 42, 1]
    ids, mask = torch.tensor([tokens]), torch.ones(1, 5, dtype=torch.long)
    with torch.inference_mode():
        encoded = BaseModelOutput(last_hidden_state=model.get_encoder()(ids, attention_mask=mask).last_hidden_state)
        start = model.config.decoder_start_token_id
        expected = [
            model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=torch.tensor([[start, *target[:n]]]))
            for n in range(4)
        ]
        reader = reader_from_model(model, word_tokenizer())
        found = reader.fusion.logits(reader.fusion.fuse([[tokens]]), [target])[0]
    torch.testing.assert_close(found, torch.stack([e.logits[0, -1] for e in expected]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("bigbird-pegasus", "depends on the padding beside it"),
        ("prophetnet", "its decoder sees the tokens of an answer that it should predict"),
    ],
)
def test_a_reader_whose_answers_depend_on_the_batch_is_refused(kind: str, said: str, tmp_path: Path) -> None:
    model_of(kind).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=said):
        load_reader(tmp_path)
