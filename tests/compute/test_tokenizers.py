"""A folder's tokenizer is the one that its files describe, whatever the type of the model beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from fidtools.compute.tokenizers import load_tokenizer, save_tokenizer
from tests.models import VOCABULARY, word_tokenizer


@pytest.mark.parametrize("kind", ["Qwen2", "Llama", "T5", "Bert"])
def test_a_vocabulary_of_words_stays_one(kind: str, tmp_path: Path) -> None:
    config = getattr(transformers, f"{kind}Config")()
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        config.save_pretrained(folder)
    word_tokenizer().save_pretrained(first)
    save_tokenizer(load_tokenizer("model", first, config), second)
    for folder in (first, second):
        tokenizer = load_tokenizer("model", folder, config)
        assert tokenizer("who founded w1")["input_ids"] == [VOCABULARY.index(word) for word in ("who", "founded", "w1")]
        assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (0, 1, 2)
