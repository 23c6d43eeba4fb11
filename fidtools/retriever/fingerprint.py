"""Fingerprints of encoders: short descriptions that tell whether two sets of vectors can be compared."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from torch import nn

from fidtools.encoders.word_tokenizer import WordTokenizer
from fidtools.retriever.tower import Tower

PASSAGE_SETTINGS = ("passage_format", "passage_maxlength", "pad_passages")
QUESTION_SETTINGS = ("question_format", "question_maxlength", "pad_questions")


def passage_fingerprint(tower: Tower) -> dict[str, Any]:
    """Everything that determines a passage's vector: hashes of weights and tokenizer, and the passage settings."""
    return _fingerprint(tower, PASSAGE_SETTINGS)


def question_fingerprint(tower: Tower) -> dict[str, Any]:
    """Everything that determines a question's vector: hashes of weights and tokenizer, and the question settings."""
    return _fingerprint(tower, QUESTION_SETTINGS)


def _fingerprint(tower: Tower, names: tuple[str, ...]) -> dict[str, Any]:
    settings = tower.settings
    return {
        "weights": _hash_weights(tower.encoder),
        "tokenizer": _hash_tokenizer(tower.tokenizer),
        "pooling": settings.pooling,
        "normalize": settings.normalize,
        **{name: getattr(settings, name) for name in names},
    }


def _hash_weights(encoder: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        if ".pooler." not in name:
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


def _hash_tokenizer(tokenizer: Any) -> str:
    if isinstance(tokenizer, WordTokenizer):
        about: Any = tokenizer.vocabulary
    elif hasattr(tokenizer, "backend_tokenizer"):
        about = orjson.loads(tokenizer.backend_tokenizer.to_str())
        about |= {"truncation": None, "padding": None}  # set by the last call, not a property of the tokenizer
    else:
        about = sorted(tokenizer.get_vocab().items())
    return hashlib.sha256(orjson.dumps(about, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
