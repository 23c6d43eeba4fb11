"""A cross-encoder: a transformer that reads question and passage together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fidtools.compute.batching import pad_sequences
from fidtools.compute.device import Compute
from fidtools.compute.lengths import CutCounter, dropped_tokens, shorten_text
from fidtools.compute.tokenizers import save_tokenizer
from fidtools.data.jsonl import write_json
from fidtools.teachers.interface import MIN_ROOM, TeacherSettings, TokenPair
from fidtools.training.lora import save_merged


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
        self.pad = _model_padding_id(model, tokenizer)
        self.cuts = CutCounter()

    def tokenize(self, questions: Sequence[str], passages: Sequence[str]) -> list[TokenPair]:
        """Token ids of `[CLS] question [SEP] passage [SEP]` and their segment ids, truncated to `maxlength`."""
        if not questions:
            return []
        limit = self.settings.maxlength
        asked = self._fitting(questions, passages)
        options = {"truncation": "only_second", "max_length": limit, "padding": False}
        encoded = self.tokenizer(asked, list(passages), **options, return_attention_mask=False)
        pairs = list(zip(asked, passages, strict=True))
        self.cuts.add("passages", len(passages), dropped_tokens(self.tokenizer, encoded, pairs, limit))
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
        ids, mask = (t.to(device) for t in pad_sequences([pair[0] for pair in pairs], self.pad))
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


def _model_padding_id(model: Any, tokenizer: Any) -> int:
    """The id that the model takes for padding, whatever the tokenizer's: a causal one scores the last token before it.

    A model without one gets the tokenizer's, else its end of sequence.
    """
    config, rows = model.config.get_text_config(), model.get_input_embeddings().num_embeddings
    candidates = (config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    config.pad_token_id = next((token for token in candidates if token is not None and 0 <= token < rows), 0)
    return int(config.pad_token_id)


def _in_float32(head: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The scores of a classification head in float32 even under autocast: in bf16 many would tie."""
    assert isinstance(head, nn.Linear)
    with torch.autocast(output.device.type, enabled=False):
        return nn.functional.linear(inputs[0].float(), head.weight, head.bias)
