"""Tiny models with random weights over one-word tokenizers: they make attention, scores and vectors exact and instant.

Readers (encoder-decoders of every kind) split at white space; encoders are BERTs whose vocabulary is WORDS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from fidtools.reader.causal_prompt import CausalReaderSettings
from fidtools.reader.reader import Reader
from fidtools.reader.reader_folder import reader_from_model

CAUSAL_FAMILIES = ("llama", "qwen3", "gemma2", "gpt2")
WORDS = [f"w{i}" for i in range(60)]
SPECIAL = ["<pad>", "</s>", "<s>", "<unk>"]
READER_WORDS = (
    "question: title: context: who what founded wrote is the of town river book red blue green by in alba bora cedo"
)
VOCABULARY = [*SPECIAL, *READER_WORDS.split(), *WORDS]


def word_tokenizer(vocabulary: Sequence[str] = VOCABULARY) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )


def tokenizer_of(kind: str) -> Any:
    """ByT5 reads bytes and needs no vocabulary."""
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer() if kind == "byt5" else word_tokenizer()


def t5_config(kind: Any, **changes: Any) -> Any:
    sizes = {"d_model": 16, "d_kv": 6, "d_ff": 32, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 2}
    return kind(
        **{"vocab_size": len(VOCABULARY), "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
        | sizes
        | changes
    )


def tiny_model(kind: str) -> Any:
    """A random model of a kind. Weights are larger than at a usual start, so that different inputs matter."""
    import transformers as hf

    torch.manual_seed(0)
    n = len(VOCABULARY)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    bart = {"vocab_size": n, "d_model": 16, "encoder_layers": 2, "decoder_layers": 3, "max_position_embeddings": 64}
    bart |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    bart |= {**ids, "decoder_start_token_id": 1, "forced_eos_token_id": None, "init_std": 0.3}
    gemma = {"vocab_size": n, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 4}
    gemma |= {"num_key_value_heads": 2, "intermediate_size": 32, **ids}
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision |= {"image_size": 28, "patch_size": 14}
    bert = hf.BertConfig(vocab_size=n, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    gated = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    build: dict[str, Callable[[], Any]] = {
        "t5": lambda: hf.T5ForConditionalGeneration(t5_config(hf.T5Config)),
        "flan-t5": lambda: hf.T5ForConditionalGeneration(t5_config(hf.T5Config, **gated)),
        "byt5": lambda: hf.T5ForConditionalGeneration(t5_config(hf.T5Config, vocab_size=384, **gated)),
        "mt5": lambda: hf.MT5ForConditionalGeneration(t5_config(hf.MT5Config)),
        "umt5": lambda: hf.UMT5ForConditionalGeneration(t5_config(hf.UMT5Config)),
        "longt5": lambda: hf.LongT5ForConditionalGeneration(t5_config(hf.LongT5Config)),
        "bart": lambda: hf.BartForConditionalGeneration(hf.BartConfig(**bart)),
        "mbart": lambda: hf.MBartForConditionalGeneration(hf.MBartConfig(**bart)),
        "pegasus": lambda: hf.PegasusForConditionalGeneration(hf.PegasusConfig(**bart)),
        "t5gemma": lambda: hf.T5GemmaForConditionalGeneration(
            hf.T5GemmaConfig(
                encoder=hf.T5GemmaModuleConfig(**gemma),
                decoder=hf.T5GemmaModuleConfig(**gemma, is_decoder=True, cross_attention_hidden_size=16),
                vocab_size=n,
                initializer_range=0.3,
                **ids,
            )
        ),
        "t5gemma2": lambda: hf.T5Gemma2ForConditionalGeneration(
            hf.T5Gemma2Config(
                encoder={"text_config": gemma, "vision_config": vision}, decoder=gemma, initializer_range=0.3, **ids
            )
        ),
        "encoder-decoder": lambda: hf.EncoderDecoderModel(
            hf.EncoderDecoderConfig.from_encoder_decoder_configs(
                bert, bert, decoder_start_token_id=2, pad_token_id=0, eos_token_id=1
            )
        ),
    }
    model = build[kind]()
    if kind.startswith("t5gemma"):
        model.config.decoder_start_token_id = 2
    return model.eval()


def tiny_reader(kind: str = "t5") -> Reader:
    reader = reader_from_model(tiny_model(kind), tokenizer_of(kind))
    reader.fusion.eval()
    return reader


def tiny_causal_model(family: str, vocabulary: int, **ids: int) -> Any:
    """A random causal language model of two layers in float32; `ids` are its special tokens."""
    import transformers

    torch.manual_seed(1)
    if family == "gpt2":
        config: Any = transformers.GPT2Config(
            vocab_size=vocabulary,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=256,
            attn_pdrop=0,
            resid_pdrop=0,
            embd_pdrop=0,
            **ids,
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
    network = make_model(make_config(**sizes, **ids)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3) if parameter.ndim > 1 else parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def tiny_causal_reader(family: str = "llama", positions: str = "begin", *, bos: bool = True) -> Reader:
    """A reader that decodes answers behind its passages; with `bos` the tokenizer begins every text by `<s>`."""
    vocabulary = [*VOCABULARY, "Question:", "Title:", "Answer:"]
    tokenizer = word_tokenizer(vocabulary)
    if bos:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 2)]
        )
    model = tiny_causal_model(family, len(vocabulary), pad_token_id=0, eos_token_id=1, bos_token_id=2)
    return reader_from_model(model, tokenizer, CausalReaderSettings(positions=positions))


def bert_tokenizer() -> PreTrainedTokenizerFast:
    """BERT's special tokens around single words, for single texts and for pairs; 64 tokens at most."""
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


def bert_folder(folder: Path, *, layers: int = 2, seed: int = 0) -> Path:
    """Write a BERT as transformers does: it has no settings of a retriever."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2}
    config = BertConfig(vocab_size=68, intermediate_size=32, max_position_embeddings=64, initializer_range=0.3, **sizes)
    BertModel(config).save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return folder
