"""What benchmarks/gpu.sh measures on: models of random weights, and texts of made-up words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from benchmarks.reader_memory import T5_BASE

ANSWER = 5  # tokens
NAMES = ["question:", "title:", "context:", "question", "title", "context", ":"]
BERT_BASE = {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072}


@dataclass(frozen=True)
class Sizes:
    """How large everything is. Rates come from the difference of `few` and `many`, so that start-up cancels out."""

    reader: dict[str, int] = field(default_factory=lambda: T5_BASE)
    encoder: dict[str, int] = field(default_factory=lambda: BERT_BASE)
    passages: int = 100  # of a question
    words: int = 250  # of a passage
    length: int = 250  # tokens of a passage in a reader, its limit
    few_questions: int = 16
    many_questions: int = 144
    batch: int = 16  # questions in a reader's update
    retriever_batch: int = 64
    few_passages: int = 4096
    many_passages: int = 36864
    product: int = 8192  # rows and columns of the matrices whose product is the peak
    rows: tuple[int, ...] = (2_000_000, 21_000_000)  # of the searches
    dim: int = 768
    searched: int = 4096  # questions of a search
    k: int = 100


FULL = Sizes()
TINY = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "vocab_size": 500}
DRY = Sizes(
    reader=TINY,
    encoder={"vocab_size": 500, "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    | {"num_attention_heads": 2},
    passages=3,
    words=20,
    length=34,
    few_questions=2,
    many_questions=4,
    batch=2,
    retriever_batch=2,
    few_passages=4,
    many_passages=8,
    product=256,
    rows=(3000,),
    dim=16,
    searched=64,
    k=5,
)


def write_all(folder: Path, sizes: Sizes) -> None:
    """The models `reader` and `encoder`; `few.jsonl` and `many.jsonl`, and `few` and `many` passages."""
    write_reader(folder / "reader", sizes.reader)
    write_encoder(folder / "encoder", sizes.encoder)
    draw = np.random.default_rng(0)
    words = made_up(min(sizes.reader["vocab_size"], sizes.encoder["vocab_size"]))
    for name, questions, passages in (
        ("few", sizes.few_questions, sizes.few_passages),
        ("many", sizes.many_questions, sizes.many_passages),
        ("train", sizes.retriever_batch, 0),
    ):
        write_lines(folder / f"{name}.jsonl", questions_of(draw, words, questions, sizes))
        write_lines(folder / f"{name}-passages.jsonl", passages_of(draw, words, passages, sizes.words))


def made_up(vocabulary: int) -> list[str]:
    """As many words as leave a vocabulary room for the special tokens, the prefixes' words and single characters."""
    return [f"w{i}" for i in range(vocabulary - 64)]


def questions_of(draw: np.random.Generator, words: list[str], count: int, sizes: Sizes) -> Iterator[dict[str, Any]]:
    """Questions with scored passages that all fill the reader's input length."""
    for number in range(count):
        scores = draw.normal(size=sizes.passages).round(4).tolist()
        ctxs = [
            {"id": f"{number}-{i}", "title": text(draw, words, 2), "text": text(draw, words, sizes.words)}
            | {"score": score, "scores": {"attention": score}}
            for i, score in enumerate(scores)
        ]
        answer = text(draw, words, ANSWER - 1)
        yield {"id": str(number), "question": text(draw, words, 9), "target": answer, "answers": [answer], "ctxs": ctxs}


def passages_of(draw: np.random.Generator, words: list[str], count: int, longest: int) -> Iterator[dict[str, Any]]:
    """Passages of unequal length, as those of Wikipedia in a hundred words are (about 140 tokens)."""
    lengths = draw.normal(0.54 * longest, 0.08 * longest, count).clip(0.36 * longest, 0.74 * longest)
    for number, length in enumerate(lengths):
        yield {"id": str(number), "title": text(draw, words, 2), "text": text(draw, words, int(length))}


def text(draw: np.random.Generator, words: list[str], count: int) -> str:
    return " ".join(map(words.__getitem__, draw.integers(0, len(words), count).tolist()))


def write_lines(path: Path, records: Iterator[dict[str, Any]]) -> None:
    with open(path, "w") as out:
        out.writelines(json.dumps(record) + "\n" for record in records)


def write_reader(folder: Path, config: dict[str, int]) -> None:
    """A T5 whose answers never end by themselves, with a tokenizer of T5's kind (Unigram)."""
    torch.manual_seed(0)
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    model = T5ForConditionalGeneration(T5Config(**config, **ids))
    model.generation_config.suppress_tokens = [1]  # or some random models would end at once
    model.save_pretrained(folder)
    pieces = ["<pad>", "</s>", "<unk>", *(f"▁{word}" for word in [*NAMES, *made_up(config["vocab_size"])])]
    scores = [(piece, 0.0 if piece[0] == "<" else -9.0) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram([*scores, *((c, -12.0) for c in "▁w:0123456789")], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def write_encoder(folder: Path, config: dict[str, int]) -> None:
    """A BERT with a tokenizer of BERT's kind (WordPiece)."""
    torch.manual_seed(0)
    BertModel(BertConfig(**config)).save_pretrained(folder)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *NAMES, *made_up(config["vocab_size"])]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special).save_pretrained(folder)
