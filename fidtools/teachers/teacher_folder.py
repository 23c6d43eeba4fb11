"""Loading a cross-encoder: any sequence classifier, or the coattention BiLSTM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fidtools.compute.batching import check_padding
from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.lengths import CutCounter, limited
from fidtools.compute.loading import load_config, load_network
from fidtools.compute.positions import max_positions
from fidtools.compute.tokenizers import load_tokenizer
from fidtools.data.folder_settings import read_settings
from fidtools.data.jsonl import read_json_object
from fidtools.data.prompt_templates import check_format
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.logs import log
from fidtools.teachers.coattention_teacher import load_coattention
from fidtools.teachers.cross_encoder import CrossEncoder
from fidtools.teachers.interface import KINDS, Teacher, TeacherSettings

NEW_PARTS = {
    "classifier",
    "classification_head",
    "pre_classifier",
    "score",
    "sequence_summary",
    "logits_proj",
    "pooler",
    "head",  # ModernBERT
    "dense",  # EuroBERT
}
"""What a model for sequence classification may have beyond the encoder."""


def load_teacher(
    name: str | Path, *, compute: Compute | None = None, new_head: bool = False, **changes: Any
) -> Teacher:
    """A teacher from its folder, or a sequence classifier; with `new_head` also any encoder, to be trained.

    `changes` replace settings. Raises FidtoolsError when it cannot be loaded, is not whole or has no trained head,
    UsageError for more than two classes and for a length that is more than the model reads.
    """
    folder = resolve_model(name)
    own = folder / "teacher.json"
    with loading(name):
        settings = _read_settings(own) if own.exists() else TeacherSettings()
        teacher: Teacher
        if settings.kind == "coattention":
            teacher = load_coattention(folder, replace(settings, **changes), compute)
        else:
            model, tokenizer = _load_classifier(name, folder, new_head)
            length = limited("maxlength", settings.maxlength, changes.get("maxlength"), max_positions(model))
            settings = replace(settings, **changes | {"maxlength": length})
            teacher = CrossEncoder(model.eval(), tokenizer, settings, compute=compute)
        with torch.inference_mode():  # a model that cannot compute is known before any work
            teacher.logits(teacher.tokenize(["a"], ["a"]))
    teacher.cuts = CutCounter()
    return teacher


def _load_classifier(name: str | Path, folder: Path, new_head: bool) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification

    config = load_config(name, folder)
    is_classifier = any("SequenceClassification" in kind for kind in config.architectures or [])
    if not is_classifier and not new_head:
        hint = "fidtools train-teacher trains one, starting from this model"
        raise FidtoolsError(f"{name}: no trained classification head, so its scores would be random", hint=hint)
    if not is_classifier:
        if config.is_encoder_decoder:
            raise UsageError(f"{name}: an encoder-decoder; a teacher is an encoder, such as bert-base-uncased")
        config.num_labels = 1
        log.info("%s: classification head newly initialised", name)
    if config.num_labels > 2:
        raise UsageError(f"{name}: a classifier of {config.num_labels} classes; a teacher has one output or two")
    model = load_network(name, folder, AutoModelForSequenceClassification, config, may_be_new=_is_new(is_classifier))
    rows = model.get_input_embeddings().num_embeddings
    if not config.is_encoder_decoder:
        check_padding(name, _first_states(model.eval()), getattr(config, "pad_token_id", None) or 0, rows)
    return model, load_tokenizer(name, folder, config, rows=rows)


def _first_states(model: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Token ids and mask (n, l) to the hidden states of the first three tokens (n, 3, hidden)."""
    return lambda ids, mask: model.base_model(input_ids=ids, attention_mask=mask)[0][:, :3]


def new_parts(model: torch.nn.Module) -> list[str]:
    """The names of a classifier's parts beyond its encoder. A pooler stands inside the encoder of some."""
    return sorted(NEW_PARTS & {name for name, _ in model.named_children()} | {"pooler"})


def _is_new(is_classifier: bool) -> Callable[[str], bool]:
    """Which weights may be missing: none of a trained classifier's, the head's (and the pooler's) of any encoder."""
    return lambda weight: not is_classifier and (weight.split(".")[0] in NEW_PARTS or ".pooler." in weight)


def _read_settings(path: Path) -> TeacherSettings:
    settings = read_settings(TeacherSettings, read_json_object(path), path)
    check_format("passage_format", settings.passage_format, path)
    if settings.kind not in KINDS:
        raise DataError(f"must be one of {', '.join(KINDS)}", path=path, field="kind", value=settings.kind)
    return settings
