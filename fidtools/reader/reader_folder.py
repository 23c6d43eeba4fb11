"""Loading a reader: an encoder–decoder or a causal language model; its configuration says which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.lengths import limited
from fidtools.compute.loading import is_causal_config, load_config, load_network
from fidtools.compute.model_files import refuse_other_kinds
from fidtools.compute.special_tokens import leading_special_tokens
from fidtools.compute.tokenizers import load_tokenizer
from fidtools.errors import DataError
from fidtools.logs import log
from fidtools.reader.causal_fusion import CausalFusion
from fidtools.reader.causal_prompt import CausalReaderSettings
from fidtools.reader.fusion import Fusion
from fidtools.reader.independence import check_independence
from fidtools.reader.prompt import ReaderSettings
from fidtools.reader.reader import BIAS_FILE, Reader

WITHOUT_SPECIAL_TOKENS = ("t5", "mt5", "umt5", "longt5")


def load_reader(
    name: str | Path, *, compute: Compute | None = None, default_text_maxlength: int | None = None, **changes: Any
) -> Reader:
    """A reader from a folder or a model name, in float32 weights; `changes` that are not None replace settings.

    `default_text_maxlength` does too, but is clamped where the model reads less.

    Raises UsageError when there is no model of that name or a length is more than it reads, FidtoolsError when it is
    neither an encoder–decoder nor a causal language model that can be fused, or its folder is not whole.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    folder = resolve_model(name)
    with loading(name):
        config = load_config(name, folder)
        refuse_other_kinds(name, folder, "reader")
        causal = is_causal_config(name, config)
        model = load_network(name, folder, AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM, config)
        rows = model.get_input_embeddings().num_embeddings
        tokenizer = load_tokenizer(name, folder, config, rows=rows)
        settings = (CausalReaderSettings if causal else ReaderSettings).read(folder)
        reader = reader_from_model(model, tokenizer, settings, _saved_bias(folder), compute=compute)
        _check_token_ids(reader, rows)
        _try(reader)
        if isinstance(reader.fusion, Fusion):
            check_independence(name, reader.fusion, rows)
    if default_text_maxlength is not None:
        reader.settings = replace(reader.settings, text_maxlength=default_text_maxlength)
    known = {key: value for key, value in changes.items() if value is not None}
    reader.settings = _within_positions(reader, known)
    return reader


def _check_token_ids(reader: Reader, rows: int) -> None:
    known = {"eos_token_id": reader.eos, "pad_token_id": reader.fusion.pad}
    if isinstance(reader.fusion, Fusion):
        known["decoder_start_token_id"] = reader.fusion.start
    for name, token in known.items():
        if token is None or not 0 <= token < rows:
            raise DataError(f"must be the id of one of the model's {rows:,} tokens", field=name, value=token)


@torch.inference_mode()
def _try(reader: Reader) -> list[Any]:
    """Read one token, so that a model that cannot compute is known before any work; returns the fused encoding."""
    fused = reader.fusion.eval().fuse([reader.settings.shortest_input(reader.eos)])
    reader.fusion.logits(fused, [[reader.eos]])
    return fused


def _within_positions(reader: Reader, changes: dict[str, Any]) -> ReaderSettings:
    """The settings with `changes`, and lengths that the model has positions for."""
    limits = {"text_maxlength": reader.fusion.max_input, "answer_maxlength": reader.fusion.max_output}
    for name, limit in limits.items():
        default = getattr(reader.settings, name)
        changes = changes | {name: limited(name.replace("_", " "), default, changes.get(name), limit)}
    return replace(reader.settings, **changes)


def load_inference_reader(name: str | Path, token_budget: int, compute: Compute, **changes: Any) -> Reader:
    """`load_reader`, on the device of `compute`, ready to answer and to score in its precision."""
    reader = load_reader(name, compute=compute, **changes)
    reader.fusion.to(compute.device).eval().requires_grad_(False)
    reader.fusion.token_budget = token_budget
    cast_linear_weights(reader.fusion.model, compute.dtype)
    with loading(name), torch.inference_mode():  # its generation settings may be damaged too
        reader.fusion.generate(_try(reader), max_new_tokens=1, do_sample=False, eos_token_id=reader.eos)
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
    """A reader from a model in memory. The default settings are the paper's, adapted to the type of model.

    Lengths are clamped to what the model has positions for. Texts are cut at their end: the question is in front.
    """
    tokenizer.truncation_side = "right"
    if not model.config.is_encoder_decoder:
        return _causal_reader(model, tokenizer, settings, compute)
    if settings is None:
        t5_like = model.config.model_type in WITHOUT_SPECIAL_TOKENS
        settings = ReaderSettings(special_tokens=not t5_like)
    fusion = Fusion(model, bias, compute=compute)
    if fusion.start is None:
        model.config.decoder_start_token_id = tokenizer.cls_token_id
    return _clamped(Reader(fusion, tokenizer, settings))


def _causal_reader(model: Any, tokenizer: Any, settings: ReaderSettings | None, compute: Compute | None) -> Reader:
    settings = settings or CausalReaderSettings()
    if not isinstance(settings, CausalReaderSettings):
        raise TypeError("a causal language model needs CausalReaderSettings")
    fusion = CausalFusion(model, leading_special_tokens(tokenizer), settings.positions, compute=compute)
    return _clamped(Reader(fusion, tokenizer, settings))


def _clamped(reader: Reader) -> Reader:
    reader.settings = _within_positions(reader, {})
    return reader


def _saved_bias(folder: Path) -> nn.Embedding | None:
    path = folder / BIAS_FILE
    if not path.is_file():
        return None
    log.debug("%s: has the cross-attention position bias of transformers 3", folder)
    weight = load_file(path)["weight"]  # (buckets, heads)
    return nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)
