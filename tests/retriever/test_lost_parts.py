"""A retriever folder of which something was lost on the way is refused: what is left would give other vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import DPRConfig, DPRContextEncoder, DPRQuestionEncoder

from fidtools.encoders.transformer import TokenProjection, TransformerEncoder
from fidtools.errors import DataError, UsageError
from fidtools.retriever.encoding import Retriever, load_retriever
from fidtools.retriever.tower import Tower
from tests.models import bert_folder, bert_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two encoders with a projection each."""
    towers = []
    for seed in (0, 1):
        plain = load_retriever(bert_folder(tmp_path / f"bert{seed}", seed=seed)).question_tower
        assert isinstance(plain.encoder, TransformerEncoder)
        encoder = TransformerEncoder(plain.encoder.model, "mean", TokenProjection(16, 8)).eval()
        towers.append(Tower(encoder, plain.tokenizer, plain.settings))
    (tmp_path / "r").mkdir()
    Retriever(*towers).save(tmp_path / "r")
    return tmp_path / "r"


def test_a_whole_folder_is_read(folder: Path) -> None:
    retriever = load_retriever(folder)
    assert (retriever.dim, retriever.passage_tower is retriever.question_tower) == (8, False)


@pytest.mark.parametrize(
    "part", ["passages", "projection.safetensors", "modules.json", "passages/projection.safetensors"]
)
def test_a_missing_part_is_named(part: str, folder: Path) -> None:
    lost = folder / part
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(DataError, match=f"{lost.parent.name}: {lost.name} is missing, which retriever.json names"):
        load_retriever(folder)


@pytest.mark.parametrize("kind", [DPRQuestionEncoder, DPRContextEncoder])
def test_encoders_of_dpr_are_refused_in_words(kind: type, tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    kind(DPRConfig(vocab_size=68, max_position_embeddings=64, **sizes)).save_pretrained(tmp_path)
    bert_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="an encoder of DPR, which gives no vectors of tokens"):
        load_retriever(tmp_path)
