"""Models that read question and passage together: any sequence classifier, and the coattention BiLSTM."""

from __future__ import annotations

from collections.abc import Sequence
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
from fidtools.data.jsonl import write_json
from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.errors import DataError, UsageError
from fidtools.logs import log
from fidtools.teachers.coattention import Coattention

Row = tuple[list[int], list[int]]
"""A tokenised pair: for a transformer its ids and their segments; for the BiLSTM the question's and the passage's."""


@dataclass(frozen=True)
class TeacherSettings:
    """How a pair is written and cut: the passage gives way when both do not fit."""

    kind: str = "transformer"
    passage_format: str = "{title} {text}"
    maxlength: int = 256
    question_maxlength: int = 64

    def passage_text(self, title: str, text: str) -> str:
        """The passage as the model reads it."""
        return self.passage_format.format(title=title, text=text).strip()


class Teacher(Protocol):
    """What training and scoring need of a model of pairs."""

    compute: Compute
    settings: TeacherSettings
    module: nn.Module

    def rows(self, questions: Sequence[str], passages: Sequence[str]) -> list[Row]:
        """Tokenised pairs."""

    def logits(self, rows: Sequence[Row]) -> Tensor:
        """One relevance score per pair, (n,), before the sigmoid."""

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""


class CrossEncoder:
    """A transformer with a classification head; two classes count as their difference.

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

    def rows(self, questions: Sequence[str], passages: Sequence[str]) -> list[Row]:
        """Ids of `[CLS] question [SEP] passage [SEP]` and their segments."""
        if not questions:
            return []
        options = {"truncation": "only_second", "max_length": self.settings.maxlength, "padding": False}
        cut = self.tokenizer(list(questions), list(passages), **options, return_attention_mask=False)
        segments = cut.get("token_type_ids") or [[] for _ in questions]  # only models that know segments have them
        return list(zip(cut["input_ids"], segments, strict=True))

    def logits(self, rows: Sequence[Row]) -> Tensor:
        """One score per pair, (n,)."""
        device = self.compute.device
        ids, mask = (t.to(device) for t in pad_sequences([row[0] for row in rows], padding_id(self.tokenizer)))
        inputs = {"input_ids": ids, "attention_mask": mask}
        if rows[0][1]:
            inputs["token_type_ids"] = pad_sequences([row[1] for row in rows], 0)[0].to(device)
        with self.compute.autocast():
            scores: Tensor = self.model(**inputs).logits.float()
        return scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0]

    def save(self, folder: Path) -> None:
        """Model, tokenizer and settings."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(folder / "teacher.json", asdict(self.settings))


class CoattentionTeacher:
    """The period-faithful teacher: two texts through one BiLSTM, each attending to the other."""

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

    def rows(self, questions: Sequence[str], passages: Sequence[str]) -> list[Row]:
        """Word ids of both sides."""
        asked, limit = self.settings.question_maxlength, self.settings.maxlength
        pairs = zip(questions, passages, strict=True)
        return [(self.tokenizer.tokenize(q, asked), self.tokenizer.tokenize(p, limit)) for q, p in pairs]

    def logits(self, rows: Sequence[Row]) -> Tensor:
        """One score per pair, (n,)."""
        pad = self.tokenizer.pad_token_id
        sides = [pad_sequences([row[side] for row in rows], pad) for side in (0, 1)]
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


def _in_float32(head: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """A head's scores in float32 under autocast too: in bf16 many of them would tie."""
    assert isinstance(head, nn.Linear)
    with torch.autocast(output.device.type, enabled=False):
        return nn.functional.linear(inputs[0].float(), head.weight, head.bias)


def load_teacher(name: str | Path, *, compute: Compute | None = None, **changes: Any) -> Teacher:
    """A teacher from its folder, or any model as the start of one: without a head for one score it gets a new one.

    `changes` replace settings. Raises FidtoolsError when it cannot be loaded.
    """
    path = resolve_model(name)
    own = Path(path) / "teacher.json"
    settings = replace(_read_settings(own) if own.exists() else TeacherSettings(), **changes)
    with loading(name):
        if settings.kind == "coattention":
            return _load_coattention(Path(path), settings, compute)
        from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

        config = AutoConfig.from_pretrained(path)
        is_classifier = any("SequenceClassification" in name for name in config.architectures or [])
        if not is_classifier:
            config.num_labels = 1
        if config.num_labels > 2:
            raise UsageError(
                f"{name}: tells {config.num_labels} classes apart; a teacher has one score, or two classes"
            )
        model, report = AutoModelForSequenceClassification.from_pretrained(
            path, config=config, dtype=torch.float32, output_loading_info=True
        )
        if report["missing_keys"]:
            log.info("%s: a new head, to be trained: %s", name, ", ".join(sorted(report["missing_keys"])))
        return CrossEncoder(model.eval(), AutoTokenizer.from_pretrained(path), settings, compute=compute)


def _read_settings(path: Path) -> TeacherSettings:
    try:
        return TeacherSettings(**orjson.loads(path.read_bytes()))
    except (TypeError, orjson.JSONDecodeError) as error:
        raise DataError(f"not a teacher's settings: {error}", path=path) from error


def _load_coattention(folder: Path, settings: TeacherSettings, compute: Compute | None) -> CoattentionTeacher:
    hidden = orjson.loads((folder / "config.json").read_bytes())["hidden"]
    tensors = load_file(folder / "model.safetensors")
    network = Coattention(tensors["words.weight"], hidden)
    network.load_state_dict(tensors)
    vocabulary = orjson.loads((folder / "vocabulary.json").read_bytes())
    return CoattentionTeacher(network.eval(), WordTokenizer(vocabulary), settings, compute=compute)
