"""A model that reads padding gives results that depend on the batch: it is refused. Encoders of other kinds are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from fidtools.compute.batching import check_padding
from fidtools.errors import UsageError
from fidtools.retriever.model_folder import load_tower
from fidtools.teachers.teacher_folder import load_teacher, new_parts
from fidtools.training.lora import add_lora
from tests.models import VOCABULARY, word_tokenizer

SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 0,
}
WIDE = SIZES | {"initializer_range": 0.3, "max_position_embeddings": 64}
ENDS: dict[str, Any] = {"eos_token_id": 1, "bos_token_id": 2, "cls_token_id": 2, "sep_token_id": 1, "mask_token_id": 3}
READ_PADDING: dict[str, Callable[[], tuple[Any, Any]]] = {
    "fnet": lambda: (hf.FNetConfig(**WIDE), hf.FNetForSequenceClassification),
    "convbert": lambda: (hf.ConvBertConfig(**WIDE, embedding_size=16), hf.ConvBertForSequenceClassification),
    "nystromformer": lambda: (hf.NystromformerConfig(**WIDE), hf.NystromformerForSequenceClassification),
    "yoso": lambda: (hf.YosoConfig(**WIDE, use_expectation=True), hf.YosoForSequenceClassification),
}
MODERN = hf.ModernBertConfig(local_attention=8, **SIZES, **ENDS)
EURO = hf.EuroBertConfig(num_key_value_heads=2, **SIZES, **ENDS)


def write(folder: Path, config: Any, kind: Any) -> Path:
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", READ_PADDING)
@pytest.mark.parametrize("load", [load_tower, load_teacher])
def test_a_model_that_reads_padding_is_refused(kind: str, load: Callable[[Path], Any], tmp_path: Path) -> None:
    config, of_classes = READ_PADDING[kind]()
    config.num_labels = 1
    folder = write(tmp_path / kind, config, of_classes)
    with pytest.raises(UsageError, match=f"{kind}: what it says of a text depends on the padding beside it"):
        load(folder)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (MODERN, hf.ModernBertModel),
        (MODERN, hf.ModernBertForMaskedLM),
        (EURO, hf.EuroBertModel),
        (EURO, hf.EuroBertForMaskedLM),
    ],
)
def test_modern_encoders_become_retrievers_and_teachers(config: Any, kind: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "encoder", config, kind)
    assert load_tower(folder).encoder.dim == 16
    teacher = load_teacher(folder, new_head=True)
    pairs = teacher.tokenize(["w1", "w2 w3"], ["w4 w5 w6", "w7"])
    together = teacher.logits(pairs)
    torch.testing.assert_close(together, torch.cat([teacher.logits([pair]) for pair in pairs]), rtol=1e-4, atol=1e-6)
    head = {name for name, _ in teacher.module.named_children()} - {"model", "drop", "activation"}
    add_lora(teacher.module, 2, parts=new_parts(teacher.module))
    trained = {name for name, value in teacher.module.named_parameters() if value.requires_grad}
    assert {name.split(".")[0] for name in trained if "lora_" not in name} == head


def test_results_that_are_not_numbers_are_left_to_those_who_compute_them() -> None:
    check_padding("broken", lambda ids, mask: torch.full((len(ids), 2), float("nan")), 0, 9)
