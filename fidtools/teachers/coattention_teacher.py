"""The coattention BiLSTM as a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fidtools.compute.batching import pad_sequences
from fidtools.compute.device import Compute
from fidtools.compute.lengths import CutCounter
from fidtools.data.jsonl import read_json_object, write_json
from fidtools.encoders.word_tokenizer import WordTokenizer, check_vocabulary
from fidtools.errors import DataError
from fidtools.teachers.coattention import Coattention
from fidtools.teachers.interface import TeacherSettings, TokenPair


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


def load_coattention(folder: Path, settings: TeacherSettings, compute: Compute | None) -> CoattentionTeacher:
    """The teacher that `save` wrote. Raises DataError when its weights are not those of its configuration."""
    hidden = read_json_object(folder / "config.json")["hidden"]
    tensors = load_file(folder / "model.safetensors")
    vocabulary = orjson.loads((folder / "vocabulary.json").read_bytes())
    check_vocabulary(vocabulary, len(tensors["words.weight"]), folder)
    if list(tensors["affinity.weight"].shape) != [2 * hidden, 2 * hidden]:  # before memory is allocated for it
        raise DataError("the weights are not those of config.json", path=folder, field="hidden", value=hidden)
    network = Coattention(tensors["words.weight"], hidden)
    network.load_state_dict(tensors)
    return CoattentionTeacher(network.eval(), WordTokenizer(vocabulary), settings, compute=compute)
