"""A tiny retriever with random weights, and questions about it whose targets can be learned."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

torch.set_num_threads(1)  # these models are too small for two

WORDS = [f"w{i}" for i in range(60)]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: i for i, word in enumerate([*special, "question", "title", "context", ":", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, model_input_names=inputs, **names)


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT folder as transformers writes it, knowing nothing of retrieval."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=68, intermediate_size=32, max_position_embeddings=64, initializer_range=0.3, **sizes)
    folder = tmp_path_factory.mktemp("plain") / "bert"
    BertModel(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_questions(path: Path, count: int, passages: int = 6, *, seed: int = 0, **fields: Any) -> Path:
    """Questions of two words; a passage's score `attention` is the number of the question's words in it."""
    draw = random.Random(seed)
    lines = []
    for number in range(count):
        asked = draw.sample(WORDS, 2)
        ctxs = []
        for place in range(passages):
            words = draw.choices(WORDS, k=draw.randint(3, 9)) + asked[: place % 3]
            draw.shuffle(words)
            score = 2.0 * (place % 3) + draw.random()
            ctxs.append(
                {
                    "id": f"{number}-{place}",
                    "title": words[0],
                    "text": " ".join(words[1:]),
                    "score": score,
                    "scores": {"attention": score, "bm25": -score + draw.random()},
                }
            )
        line = {"id": f"q{number}", "question": " ".join(asked), "answers": asked[:1], "gold": [f"{number}-2"]}
        lines.append(line | {"ctxs": ctxs} | fields)
    path.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of scored questions."""

    def write(name: str = "train.jsonl", count: int = 12, passages: int = 6, **options: Any) -> Path:
        return write_questions(tmp_path / name, count, passages, **options)

    return write
