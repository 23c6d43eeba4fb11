"""Cross-encoders, which read question and passage together: any sequence classifier, and the coattention BiLSTM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import orjson
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fidtools.compute.batching import pad_sequences, padding_id
from fidtools.compute.device import Compute
from fidtools.compute.hub import loading, resolve_model
from fidtools.compute.lengths import CutCounter, dropped_tokens, limited, shorten_text
from fidtools.compute.loading import load_config, load_network, max_positions
from fidtools.compute.tokenizers import load_tokenizer, save_tokenizer
from fidtools.data.folder_settings import read_settings
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.data.prompt_templates import check_format
from fidtools.encoders.word_tokenizer import WordTokenizer, check_vocabulary
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.logs import log
from fidtools.teachers.coattention import Coattention
from fidtools.training.lora import save_merged

KINDS = ("transformer", "coattention")
NEW_PARTS = {
    "classifier",
    "classification_head",
    "pre_classifier",
    "score",
    "sequence_summary",
    "logits_proj",
    "pooler",
}
"""What a model for sequence classification may have beyond the encoder."""
MIN_ROOM = 4
"""At least one token in so many of a pair is kept for the passage, however long the question."""
TokenPair = tuple[list[int], list[int]]
"""A tokenised pair: token ids and segment ids for a transformer, question's and passage's word ids for the BiLSTM."""


@dataclass(frozen=True)
class TeacherSettings:
    """How a pair is formatted and truncated: the passage is truncated when both do not fit. Lengths are in tokens."""

    kind: str = "transformer"
    passage_format: str = "{title} {text}"
    maxlength: int = 256
    question_maxlength: int = 64

    def passage_text(self, title: str, text: str) -> str:
        """The passage as the model reads it."""
        return self.passage_format.format(title=title, text=text).strip()


class Teacher(Protocol):
    """What training and scoring need of a cross-encoder."""

    compute: Compute
    settings: TeacherSettings
    module: nn.Module
    cuts: CutCounter
    """Of the questions and passages that were longer than the teacher reads."""

    def tokenize(self, questions: Sequence[str], passages: Sequence[str]) -> list[TokenPair]:
        """Tokenised pairs."""

    def logits(self, pairs: Sequence[TokenPair]) -> Tensor:
        """One relevance score per pair, (n,), before the sigmoid."""

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""


class CrossEncoder:
    """A transformer with a classification head; the score of a head of two classes is the difference of their logits.

    Saved as transformers writes it, so that sentence-transformers' CrossEncoder loads it too.
    """

    def __init__(
        self, model: Any, tokenizer: Any, settings: TeacherSettings, *, compute: Compute | None = None
    ) -> None:
        self.compute = compute or Compute.float32()
        self.module: nn.Module = model.to(self.compute.device)
        for part in self.module.modules():
            if isinstance(part, nn.Linear) and part.out_features == model.config.num_labels:
                part.register_forward_hook(_in_float32)
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.cuts = CutCounter()

    def tokenize(self, questions: Sequence[str], passages: Sequence[str]) -> list[TokenPair]:
        """Token ids of `[CLS] question [SEP] passage [SEP]` and their segment ids, truncated to `maxlength`."""
        if not questions:
            return []
        limit = self.settings.maxlength
        asked = self._fitting(questions, passages)
        options = {"truncation": "only_second", "max_length": limit, "padding": False}
        encoded = self.tokenizer(asked, list(passages), **options, return_attention_mask=False)
        self.cuts.add("passages", len(passages), dropped_tokens(self.tokenizer, encoded, [], limit))
        segments = encoded.get("token_type_ids") or [[] for _ in questions]  # only models that know segments have them
        return list(zip(encoded["input_ids"], segments, strict=True))

    def _fitting(self, questions: Sequence[str], passages: Sequence[str]) -> list[str]:
        """The questions, cut where one would leave its passage less than a quarter of the pair."""
        limit = self.settings.maxlength - self.tokenizer.num_special_tokens_to_add(pair=True)
        room = limit // MIN_ROOM
        found: dict[str, tuple[str, int]] = {}
        for question in dict.fromkeys(questions):
            fitting, lost = shorten_text(self.tokenizer, question, limit - room)
            if lost:  # unless all its passages need less
                own = [passage for asked, passage in zip(questions, passages, strict=True) if asked == question]
                needed = max(map(len, self.tokenizer(own, add_special_tokens=False)["input_ids"]))
                fitting, lost = shorten_text(self.tokenizer, question, limit - min(needed, room))
            found[question] = fitting, lost
        self.cuts.add("questions", len(found), [lost for _, lost in found.values() if lost])
        return [found[question][0] for question in questions]

    def logits(self, pairs: Sequence[TokenPair]) -> Tensor:
        """One score per pair, (n,)."""
        device = self.compute.device
        ids, mask = (t.to(device) for t in pad_sequences([pair[0] for pair in pairs], padding_id(self.tokenizer)))
        inputs = {"input_ids": ids, "attention_mask": mask}
        if pairs[0][1]:
            inputs["token_type_ids"] = pad_sequences([pair[1] for pair in pairs], 0)[0].to(device)
        with self.compute.autocast():
            scores: Tensor = self.model(**inputs).logits.float()
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def save(self, folder: Path) -> None:
        """Model, tokenizer and settings."""
        save_merged(self.model, folder)
        save_tokenizer(self.tokenizer, folder)
        write_json(folder / "teacher.json", asdict(self.settings))


class CoattentionTeacher:
    """The coattention teacher of the literature: one BiLSTM over both texts, which attend to each other."""

    def __init__(
        self,
        module: Coattention,
        tokenizer: WordTokenizer,
        settings: TeacherSettings,
        *,
        compute: Compute | None = None,
    ) -> None:
        self.compute = compute or Compute.float32()
        self.module: nn.Module = module.to(self.compute.device)
        self.network, self.tokenizer, self.settings = module, tokenizer, settings
        self.cuts = CutCounter()

    def tokenize(self, questions: Sequence[str], passages: Sequence[str]) -> list[TokenPair]:
        """Word ids of question and passage."""
        asked, limit = self.settings.question_maxlength, self.settings.maxlength
        whole = {text: self.tokenizer.tokenize(text, len(text) + 1) for text in {*questions, *passages}}
        for kind, texts, most in (("questions", set(questions), asked), ("passages", passages, limit)):
            self.cuts.add(kind, len(texts), [extra for text in texts if (extra := len(whole[text]) - most) > 0])
        return [(whole[q][:asked], whole[p][:limit]) for q, p in zip(questions, passages, strict=True)]

    def logits(self, pairs: Sequence[TokenPair]) -> Tensor:
        """One score per pair, (n,)."""
        pad = self.tokenizer.pad_token_id
        sides = [pad_sequences([pair[side] for pair in pairs], pad) for side in (0, 1)]
        with self.compute.autocast():
            scores: Tensor = self.network(*(t.to(self.compute.device) for side in sides for t in side))
        return scores

    def save(self, folder: Path) -> None:
        """Weights, vocabulary and settings."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        save_file(tensors, folder / "model.safetensors")
        (folder / "vocabulary.json").write_bytes(orjson.dumps(self.tokenizer.vocabulary))
        write_json(folder / "config.json", {"model_type": "coattention", "hidden": self.network.hidden})
        write_json(folder / "teacher.json", asdict(self.settings))


def report_cuts(teacher: Teacher, *, shared: bool = False) -> None:
    """Warn once of the texts that were cut. With `shared` every rank has counted texts of its own."""
    teacher.cuts.report("teacher", "--maxlength of train-teacher, --tokens of chunk", shared=shared)


def _in_float32(head: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The scores of a classification head in float32 even under autocast: in bf16 many would tie."""
    assert isinstance(head, nn.Linear)
    with torch.autocast(output.device.type, enabled=False):
        return nn.functional.linear(inputs[0].float(), head.weight, head.bias)


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
            teacher = _load_coattention(folder, replace(settings, **changes), compute)
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
    return model, load_tokenizer(name, folder, config, rows=rows)


def _is_new(is_classifier: bool) -> Callable[[str], bool]:
    """Which weights may be missing: none of a trained classifier's, the head's (and the pooler's) of any encoder."""
    return lambda weight: not is_classifier and (weight.split(".")[0] in NEW_PARTS or ".pooler." in weight)


def _read_settings(path: Path) -> TeacherSettings:
    settings = read_settings(TeacherSettings, read_json_object(path), path)
    check_format("passage_format", settings.passage_format, path)
    if settings.kind not in KINDS:
        raise DataError(f"must be one of {', '.join(KINDS)}", path=path, field="kind", value=settings.kind)
    return settings


def _load_coattention(folder: Path, settings: TeacherSettings, compute: Compute | None) -> CoattentionTeacher:
    hidden = read_json_object(folder / "config.json")["hidden"]
    tensors = load_file(folder / "model.safetensors")
    vocabulary = orjson.loads((folder / "vocabulary.json").read_bytes())
    check_vocabulary(vocabulary, len(tensors["words.weight"]), folder)
    if list(tensors["affinity.weight"].shape) != [2 * hidden, 2 * hidden]:  # before memory is allocated for it
        raise DataError("the weights are not those of config.json", path=folder, field="hidden", value=hidden)
    network = Coattention(tensors["words.weight"], hidden)
    network.load_state_dict(tensors)
    return CoattentionTeacher(network.eval(), WordTokenizer(vocabulary), settings, compute=compute)
