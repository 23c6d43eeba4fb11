"""A reader: the model, its tokenizer and its settings, in one folder that `transformers` loads as it is.

The model is an encoder–decoder or a causal language model; its configuration says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import GenerationConfig

from fidtools.compute.device import Compute
from fidtools.compute.hub import is_causal, loading, resolve_model
from fidtools.compute.special_tokens import leading_special_tokens
from fidtools.data.records import Question
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.reader.causal_fusion import CausalFusion
from fidtools.reader.causal_prompt import CausalReaderSettings
from fidtools.reader.fusion import Fusion
from fidtools.reader.lora import save_merged
from fidtools.reader.network import ReaderNetwork, first_token_id
from fidtools.reader.prompt import (
    ReaderSettings,
    Tokens,
    answer_text,
    read_passages_of,
)

BIAS_FILE = "cross_attention_bias.safetensors"
WITHOUT_SPECIAL_TOKENS = ("t5", "mt5", "umt5", "longt5")


@dataclass
class Reader:
    """A Fusion-in-Decoder reader."""

    fusion: ReaderNetwork[Any]
    tokenizer: Any
    settings: ReaderSettings

    @property
    def eos(self) -> int:
        """The id of the token that ends an answer. Raises DataError when neither model nor tokenizer has one."""
        known = first_token_id(self.fusion.model, "eos_token_id")
        candidates = (known, self.tokenizer.eos_token_id, self.tokenizer.sep_token_id)
        found = next((token for token in candidates if token is not None), None)
        if found is None:
            raise DataError("the reader has no end-of-sequence token", field="eos_token_id")
        return int(found)

    def passages(self, question: Question) -> list[list[int]]:
        """The token ids of each passage of a question that is read; without passages, of the question alone.

        Raises DataError for a question without the field `ctxs`, or one too long for the model.
        """
        passages = read_passages_of(question, self.settings.n_context)
        tokens = self.settings.inputs(self.tokenizer, question, passages)
        if (problem := self.fusion.problem(tokens, self.settings.answer_maxlength)) is not None:
            raise question.error(problem, "question", question.question, "lower --text-maxlength")
        return tokens

    def without_passages(self, question: Question) -> list[list[int]]:
        """The token ids of the question alone, as it is read when it has no passages."""
        return self.settings.inputs(self.tokenizer, question, [])

    def question_lengths(self, question: Question, passages: Sequence[Sequence[int]]) -> list[int]:
        """How many tokens at the beginning of each passage's tokens are the question's."""
        (asked,) = self.without_passages(question)
        return [_common_length(asked, tokens) for tokens in passages]

    def tokens(self, questions: Sequence[Question]) -> Tokens:
        """`passages` of each question."""
        return [self.passages(question) for question in questions]

    def target(self, answer: str) -> list[int]:
        """The token ids of an answer, end token included."""
        return self.settings.target(self.tokenizer, answer, self.eos)

    def text(self, tokens: Sequence[int]) -> str:
        """The answer that output tokens decode to."""
        return answer_text(self.tokenizer, tokens)

    def save(self, folder: Path) -> None:
        """Write model, tokenizer and settings into an existing folder."""
        save_merged(self.fusion.model, folder)
        self.tokenizer.save_pretrained(folder)
        self.settings.write(folder)
        if isinstance(self.fusion, Fusion) and self.fusion.bias is not None:
            save_file({"weight": self.fusion.bias.weight.detach().cpu().contiguous()}, folder / BIAS_FILE)


def load_reader(name: str | Path, *, compute: Compute | None = None, **changes: Any) -> Reader:
    """A reader from a folder or a model name, in float32 weights; `changes` that are not None replace settings.

    Raises UsageError when there is no model of that name, FidtoolsError when it is neither an encoder–decoder nor a
    causal language model that can be fused.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would overwrite ours
    source, causal = resolve_model(name), is_causal(name)
    kind: Any = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    with loading(name):
        model = kind.from_pretrained(source, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source)
    settings_type = CausalReaderSettings if causal else ReaderSettings
    settings, bias = settings_type.read(Path(source)), _saved_bias(Path(source))
    reader = reader_from_model(model, tokenizer, settings, bias, compute=compute)
    known = {key: value for key, value in changes.items() if value is not None}
    reader.settings = replace(reader.settings, **known)
    return reader


def load_inference_reader(name: str | Path, token_budget: int, compute: Compute, **changes: Any) -> Reader:
    """`load_reader`, on the device of `compute`, ready to answer and to score in its precision."""
    reader = load_reader(name, compute=compute, **changes)
    reader.fusion.to(compute.device).eval().requires_grad_(False)
    reader.fusion.token_budget = token_budget
    cast_linear_weights(reader.fusion.model, compute.dtype)
    return reader


def cast_linear_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of linear layers (and of embeddings tied to one) in `dtype`: autocast need not cast them."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(dtype)


def reader_from_model(
    model: Any,
    tokenizer: Any,
    settings: ReaderSettings | None = None,
    bias: nn.Embedding | None = None,
    *,
    compute: Compute | None = None,
) -> Reader:
    """A reader from a model in memory. The default settings are the paper's, adapted to the type of model."""
    if not model.config.is_encoder_decoder:
        return _causal_reader(model, tokenizer, settings, compute)
    if settings is None:
        t5_like = model.config.model_type in WITHOUT_SPECIAL_TOKENS
        settings = ReaderSettings(special_tokens=not t5_like)
    fusion = Fusion(model, bias, compute=compute)
    if fusion.start is None:
        model.config.decoder_start_token_id = tokenizer.cls_token_id
    return Reader(fusion, tokenizer, settings)


def _causal_reader(model: Any, tokenizer: Any, settings: ReaderSettings | None, compute: Compute | None) -> Reader:
    settings = settings or CausalReaderSettings()
    if not isinstance(settings, CausalReaderSettings):
        raise TypeError("a causal language model needs CausalReaderSettings")
    tokenizer.truncation_side = "right"
    fusion = CausalFusion(model, leading_special_tokens(tokenizer), settings.positions, compute=compute)
    return Reader(fusion, tokenizer, settings)


def set_plain_generation(reader: Reader) -> None:
    """Reset the generation configuration of a model that is going to be trained.

    A checkpoint may come with that of summarization or translation: a forced first token, a minimum length, no repeated
    n-grams. The answers it learns here have none of these.
    """
    model = reader.fusion.model
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        decoder_start_token_id=reader.fusion.start, eos_token_id=reader.eos, pad_token_id=reader.fusion.pad
    )


def set_dropout(model: nn.Module, rate: float) -> None:
    """Set every dropout rate of a model: that of its layers, and the one that attention modules store."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)


def _common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many elements at the beginning are equal."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _saved_bias(folder: Path) -> nn.Embedding | None:
    path = folder / BIAS_FILE
    if not path.is_file():
        return None
    log.debug("%s: has the cross-attention position bias of transformers 3", folder)
    weight = load_file(path)["weight"]  # (buckets, heads)
    return nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
