"""Model folders of every kind that commands load, tiny and whole, and ways to damage them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file, save_file

from fidtools.encoders.word_encoders import new_word_encoder
from fidtools.encoders.word_tokenizer import PADDING, WordTokenizer
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.model_folder import save_tower
from fidtools.retriever.settings import RetrieverSettings
from fidtools.retriever.tower import Tower
from fidtools.teachers.coattention import Coattention
from fidtools.teachers.coattention_teacher import CoattentionTeacher
from fidtools.teachers.interface import TeacherSettings
from fidtools.teachers.teacher_folder import load_teacher
from tests.models import WORDS, bert_folder, tiny_reader

QUESTION = {
    "id": "q",
    "question": "w1 w2",
    "answers": ["w1"],
    "ctxs": [
        {"id": f"p{i}", "title": "w4", "text": f"w5 w{i} w3", "score": -i, "scores": {"attention": -i}}
        for i in range(3)
    ],
}


def config(folder: Path, **changes: Any) -> Path:
    """Change a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def weights(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Rewrite a folder's weights."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})
    return folder


def write_reader(folder: Path, kind: str = "t5") -> None:
    folder.mkdir()
    tiny_reader(kind).save(folder)


def write_retriever(folder: Path) -> None:
    bert_folder(folder)
    retriever = load_retriever(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    retriever.save(folder)


def write_sentence_transformer(folder: Path, length: int = 16, **limits: Any) -> None:
    """As sentence-transformers writes a BERT with mean pooling."""
    bert_folder(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(POOLING))
    kind = "sentence_transformers.models."
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind + name} for i, path, name in MODULES]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length} | limits))


POOLING = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
MODULES = [(0, "", "Transformer"), (1, "1_Pooling", "Pooling")]


def write_word_retriever(folder: Path) -> None:
    vectors = torch.randn(len(WORDS) + 1, 6)
    encoder = new_word_encoder("lstm", vectors, 4)
    folder.mkdir()
    save_tower(folder, Tower(encoder, WordTokenizer([PADDING, *WORDS]), RetrieverSettings(pooling="max")))


def write_teacher(folder: Path) -> None:
    bert_folder(folder)
    teacher = load_teacher(folder, new_head=True)
    shutil.rmtree(folder)
    folder.mkdir()
    teacher.save(folder)


def write_coattention(folder: Path) -> None:
    folder.mkdir()
    network, words = Coattention(torch.randn(len(WORDS) + 1, 6), 4), WordTokenizer([PADDING, *WORDS])
    CoattentionTeacher(network, words, TeacherSettings(kind="coattention")).save(folder)


def write_language_model(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.models import VOCABULARY, word_tokenizer

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(VOCABULARY), intermediate_size=32, max_position_embeddings=64, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)


Arguments = Callable[[Path, Path], list[str]]
KINDS: dict[str, tuple[Callable[[Path], None], Arguments]] = {
    "reader": (write_reader, lambda model, file: ["read", str(file), "--reader", str(model)]),
    "retriever": (
        write_retriever,
        lambda model, file: ["embed", "--questions", str(file), "--retriever", str(model)],
    ),
    "sentence-transformers": (
        write_sentence_transformer,
        lambda model, file: ["embed", "--questions", str(file), "--retriever", str(model)],
    ),
    "LSTM": (
        write_word_retriever,
        lambda model, file: ["embed", "--questions", str(file), "--retriever", str(model)],
    ),
    "teacher": (write_teacher, lambda model, file: ["score-cross", str(file), "--teacher", str(model)]),
    "coattention": (write_coattention, lambda model, file: ["score-cross", str(file), "--teacher", str(model)]),
    "language model": (
        write_language_model,
        lambda model, file: ["score-likelihood", str(file), "--reader", str(model), "--of", "question"],
    ),
}
"""How a kind of model is written, and a command that loads it."""
NOT_JSON = [b"", b"{", b"[]", b"null", b"3", b'"x"', b"{}", b"\xff\xfe", b"[" * 5000]
ODD = [None, -1, 0, 10**9, 10**18, 1.5, "x", "", [], {}, True, [[1]], "../../x", float("inf")]


def damage(folder: Path, choice: random.Random) -> str:
    """Damage one file of a folder; returns what was done."""
    path = choice.choice(sorted(file for file in folder.rglob("*") if file.is_file()))
    actions = [_remove, _truncate, _flip]
    if path.suffix == ".json":
        actions = [_remove, _truncate, _replace, _change_value, _change_value, _rename_key, _remove_key]
    elif path.suffix == ".safetensors":
        actions += [_rename_weight, _resize_weight, _remove_weight, _retype_weight]
    action = choice.choice(actions)
    return f"{action.__name__} {path.relative_to(folder)}: {action(path, choice)}"


def _remove(path: Path, choice: random.Random) -> None:
    path.unlink()


def _truncate(path: Path, choice: random.Random) -> int:
    size = choice.randrange(path.stat().st_size)
    path.write_bytes(path.read_bytes()[:size])
    return size


def _flip(path: Path, choice: random.Random) -> int:
    data = bytearray(path.read_bytes())
    place = choice.randrange(min(len(data), 400))
    data[place] ^= 1 << choice.randrange(8)
    path.write_bytes(data)
    return place


def _replace(path: Path, choice: random.Random) -> bytes:
    content = choice.choice(NOT_JSON)
    path.write_bytes(content)
    return content[:9]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))[:5]
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _change_json(path: Path, choice: random.Random, change: Callable[[Any, Any], object]) -> object:
    value = orjson.loads(path.read_bytes())
    shallow = [(value, key) for key in value] if isinstance(value, dict) else []
    places = choice.choice([shallow, _places(value)]) or _places(value)
    if not places:
        return None
    holder, key = choice.choice(places)
    found = change(holder, key)
    path.write_text(json.dumps(value))
    return key, found


def _change_value(path: Path, choice: random.Random) -> object:
    odd = choice.choice(ODD)

    def change(holder: Any, key: Any) -> object:
        holder[key] = odd
        return odd

    return _change_json(path, choice, change)


def _rename_key(path: Path, choice: random.Random) -> object:
    def change(holder: Any, key: Any) -> object:
        if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        return None

    return _change_json(path, choice, change)


def _remove_key(path: Path, choice: random.Random) -> object:
    return _change_json(path, choice, lambda holder, key: holder.pop(key))


def _change_weight(path: Path, choice: random.Random, change: Callable[[torch.Tensor], torch.Tensor | None]) -> str:
    tensors = load_file(path)
    name = choice.choice(sorted(tensors))
    changed = change(tensors.pop(name))
    if changed is not None:
        tensors[name] = changed.contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    return name


def _rename_weight(path: Path, choice: random.Random) -> str:
    tensors = load_file(path)
    name = choice.choice(sorted(tensors))
    tensors[f"{name}x"] = tensors.pop(name)
    save_file(tensors, path, metadata={"format": "pt"})
    return name


def _resize_weight(path: Path, choice: random.Random) -> str:
    return _change_weight(path, choice, lambda value: torch.cat([value, value[:1]]))


def _remove_weight(path: Path, choice: random.Random) -> str:
    return _change_weight(path, choice, lambda value: None)


def _retype_weight(path: Path, choice: random.Random) -> str:
    return _change_weight(path, choice, lambda value: value.to(torch.int64))
