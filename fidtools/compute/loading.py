"""The one way to load a model: configuration, weights and tokenizer of a folder, checked before any work.

Nothing in a model folder is ever run, and nobody is asked whether to: code that comes with a model is not loaded.
Weights are read from safetensors where there are any, else from pickles that hold tensors only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.weight_files import count_weights
from fidtools.data.jsonl import read_json_object
from fidtools.errors import FidtoolsError, UsageError
from fidtools.logs import log

LAYERS = (
    *("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers", "n_layer"),
    *("n_layers", "num_encoder_layers"),
)
SPARE = 2
"""A model may have so many times the parameters that its files hold: tied weights, a new head, float16 as bytes."""
SMALL = 5_000_000
"""Parameters that may be missing whatever the files hold; what is missing is named later."""
HEADS = re.compile(
    r"(^|\.)(cls|lm_head|classifier|classification_head|pre_classifier|pooler|qa_outputs|score|predictions|logit_scale"
    r"|vocab_\w+|final_logits_bias|discriminator_predictions|generator_\w+|sop_classifier|mlm_head|masked_bias"
    r"|position_ids|inv_freq|mask_predictions|lm_predictions)(\.|$)"
)
"""Weights that a model may leave unread: heads of another task, and constants that older checkpoints store."""


def load_config(name: str | Path, folder: Path) -> Any:
    """The configuration of a model folder. Raises what a library raises: to be called inside `loading`.

    Raises FidtoolsError for a folder that is an adapter of another model.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    if (folder / "adapter_config.json").exists():
        hint = "merge it into its model (peft's merge_and_unload) and save that"
        raise FidtoolsError(f"{name}: an adapter of another model, not a model", hint=hint)
    about = read_json_object(folder / "config.json")
    if "auto_map" in about and about.get("model_type") not in CONFIG_MAPPING:
        hint = "only models that transformers itself knows can be loaded"
        raise FidtoolsError(f"{name}: it comes with code of its own, which is never run", hint=hint)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    for part in (config, getattr(config, "encoder", None), getattr(config, "decoder", None)):
        for request in ("auto_map", "custom_pipelines"):  # code that would come with the model, here and when saved
            if hasattr(part, request):
                delattr(part, request)
    return config


def is_causal(name: str | Path) -> bool:
    """Whether the model of that name is a causal language model rather than an encoder–decoder.

    Raises UsageError when it is an encoder, whose tokens see what follows them.
    """
    folder = resolve_model(name)
    with loading(name):
        return is_causal_config(name, load_config(name, folder))


def is_causal_config(name: str | Path, config: Any) -> bool:
    """`is_causal` of a model with this configuration."""
    if config.is_encoder_decoder:
        return False
    if is_decoder_only(config):
        return True
    hint = "give a reader, an encoder-decoder such as google-t5/t5-base, or a causal language model such as smollm"
    raise UsageError(f"{name}: a {config.model_type} model, which generates no text", hint=hint)


def is_decoder_only(config: Any) -> bool:
    """Whether a model of this configuration generates text without an encoder."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    kind = config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (
        kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or bool(getattr(config, "is_decoder", False))
    )


def load_network(
    name: str | Path,
    folder: Path,
    kind: Any,
    config: Any,
    *,
    may_be_new: Callable[[str], bool] = lambda weight: False,
    unread: tuple[str, ...] = (),
) -> Any:
    """The network of a folder, of an Auto class `kind` of transformers, on the CPU in float32. Call inside `loading`.

    Raises FidtoolsError when weights are missing (other than tied ones and those that `may_be_new`), of another size
    than the configuration says, left over from more layers than it says, or not numbers. Others that are left over are
    reported, except heads of other tasks and those whose names start with one of `unread`.
    """
    check_size(name, folder, kind, config)
    model, report = kind.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are named below
        trust_remote_code=False,
        local_files_only=True,
    )
    _check_missing(name, model, report, may_be_new)
    _check_leftovers(name, model, sorted(w for w in report["unexpected_keys"] if not w.startswith(unread)))
    _check_numbers(name, model)
    return model


def check_size(name: str | Path, folder: Path, kind: Any, config: Any) -> None:
    """Raise FidtoolsError when the configuration describes a much larger model than the files hold.

    The network is laid out without memory first, so a configuration of absurd size allocates nothing.
    """
    tensors, numbers = count_weights(folder)
    for part in (config, getattr(config, "encoder", None), getattr(config, "decoder", None)):
        for field in LAYERS:
            layers = getattr(part, field, None)
            if isinstance(layers, int) and layers > tensors:
                raise FidtoolsError(f"{name}: config.json has {field} {layers}, the weights only {tensors} tensors")
    with torch.device("meta"):
        planned = sum(parameter.numel() for parameter in kind.from_config(config, trust_remote_code=False).parameters())
    if planned > SPARE * numbers + SMALL:
        problem = f"config.json describes {planned:,} parameters, the weights have at most {numbers:,}"
        raise FidtoolsError(f"{name}: {problem}", hint="config.json and the weights are of different models")


def _check_missing(name: str | Path, model: Any, report: Any, may_be_new: Callable[[str], bool]) -> None:
    missing = sorted(set(report["missing_keys"]) - set(getattr(model, "all_tied_weights_keys", ()) or ()))
    if missing := [weight for weight in missing if not may_be_new(weight)]:
        hint = None
        if any(re.search(r"encoder\.encoder\.|\.module\.", weight) for weight in report["unexpected_keys"]):
            hint = "a checkpoint of FiD's own code: fidtools convert reader"
        raise FidtoolsError(f"{name}: {_weights(missing, 'is', 'are')} missing, such as {missing[0]}", hint=hint)
    if wrong := sorted(report["mismatched_keys"]):
        weight, found, expected = wrong[0]
        sizes = f"{tuple(found)} instead of {tuple(expected)}"
        raise FidtoolsError(f"{name}: {_weights(wrong, 'does', 'do')} not fit config.json, such as {weight}: {sizes}")


def _check_leftovers(name: str | Path, model: Any, unexpected: Sequence[str]) -> None:
    known = {_pattern(weight, model) for weight in model.state_dict()}
    if layers := [weight for weight in unexpected if _pattern(weight, model) in known]:
        problem = f"{_weights(layers, 'is', 'are')} of layers that config.json does not have, such as {layers[0]}"
        raise FidtoolsError(f"{name}: {problem}")
    if others := [weight for weight in unexpected if not HEADS.search(weight)]:
        log.warning("%s: %s not used, such as %s", name, _weights(others, "is", "are"), others[0])


def _weights(found: Sequence[Any], one: str, several: str) -> str:
    return f"1 weight {one}" if len(found) == 1 else f"{len(found)} weights {several}"


def _pattern(weight: str, model: Any) -> str:
    """A weight's name with its layer numbers left open, and without the prefix that a head's model adds."""
    return re.sub(r"\.\d+\.", ".N.", weight.removeprefix(f"{model.base_model_prefix}."))


def _check_numbers(name: str | Path, model: Any) -> None:
    for weight, value in model.named_parameters():
        if not torch.isfinite(value.detach().sum()) and not torch.isfinite(value.detach()).all():
            raise FidtoolsError(f"{name}: the weight {weight} has values that are infinite or not numbers")
