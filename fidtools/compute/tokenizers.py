"""Tokenizers of model folders: loaded with checks, saved as they were loaded."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from fidtools.errors import DataError, FidtoolsError
from fidtools.logs import log

FILES = ("tokenizer*.json", "vocab*", "*.model", "*.spm", "*.tiktoken", "tekken.json", "merges.txt", "*.bpe")
"""What tokenizers are kept in; a folder without any of them has none."""
SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Files beside them that hold one JSON object each, where there are any."""
CASED = 0.05
"""A vocabulary is cased when more than this share of its entries has capital letters."""
CAPITALS = "A Is In The"
_LOADED = "_fidtools_loaded"


def load_tokenizer(name: str | Path, folder: Path, config: Any = None, *, rows: int | None = None) -> Any:
    """The tokenizer of a folder. `rows` is the number of its model's embeddings. Call inside `loading`.

    Raises FidtoolsError when the folder has no tokenizer's files (transformers then makes one that knows no word), or
    when a token's id is beyond the embeddings. Warns when the tokenizer and its vocabulary differ in case.
    """
    from transformers import AutoTokenizer

    hint = "copy the tokenizer files of the model it was trained from into it"
    held = {file.name for pattern in FILES for file in folder.glob(pattern)}
    if not held:
        raise FidtoolsError(f"{name}: no tokenizer in it", hint=hint)
    options = {} if config is None else {"config": config}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **options)
        tokenizer = _of_the_kind_in_its_file(tokenizer, folder)
    except Exception as error:
        if held == {"tokenizer_config.json"}:  # enough for a tokenizer of bytes only
            raise FidtoolsError(f"{name}: no tokenizer in it, only its settings", hint=hint) from error
        _name_damaged_settings(folder)
        raise
    vocabulary = tokenizer.get_vocab()
    files = set(type(tokenizer).vocab_files_names.values())
    found = not files or any((folder / file).is_file() for file in {"tokenizer.json", *files})
    if not found or vocabulary.keys() <= set(tokenizer.all_special_tokens):
        raise FidtoolsError(f"{name}: no tokenizer in it, or one without words", hint=hint)
    if rows is not None and (most := 1 + max(vocabulary.values())) > rows:
        hint = "it is another model's tokenizer, or tokens were added without resizing the model"
        raise FidtoolsError(f"{name}: the tokenizer has {most:,} tokens, the model {rows:,}", hint=hint)
    remember_state(tokenizer)
    _check_case(name, tokenizer, vocabulary)
    return tokenizer


def _of_the_kind_in_its_file(tokenizer: Any, folder: Path) -> Any:
    """The tokenizer, or the one in tokenizer.json where transformers made another kind of its vocabulary.

    A model of some types (Qwen2) always gets byte pairs, which cut words of another kind of vocabulary into unknown
    bytes, or nothing.
    """
    from transformers import PreTrainedTokenizerFast

    file = folder / "tokenizer.json"
    if not (tokenizer.is_fast and file.is_file()):
        return tokenizer
    kind = json.loads(file.read_bytes())["model"].get("type")
    if kind is None or kind == type(tokenizer.backend_tokenizer.model).__name__:
        return tokenizer
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _name_damaged_settings(folder: Path) -> None:
    """Raise DataError for a file of settings that holds no JSON object."""
    for file in SETTINGS_FILES:
        with contextlib.suppress(FileNotFoundError):
            try:
                found = json.loads((folder / file).read_bytes())
            except ValueError as error:
                raise DataError(f"malformed JSON: {error}", path=folder / file) from error
            if not isinstance(found, dict):
                raise DataError("expected a JSON object", path=folder / file, value=found)


def _check_case(name: str | Path, tokenizer: Any, vocabulary: dict[str, int]) -> None:
    special = set(tokenizer.all_special_tokens)
    words = [word for word in vocabulary if word not in special and any(map(str.isalpha, word))]
    capitals = sum(word != word.lower() for word in words)
    normalizer = getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None)
    lowers = normalizer is not None and normalizer.normalize_str(CAPITALS).islower()
    if lowers and capitals > CASED * len(words):
        log.warning("%s: the tokenizer lower-cases texts, but its vocabulary is cased (do_lower_case)", name)
    if not lowers and not capitals and _has_unknown(tokenizer, CAPITALS) > _has_unknown(tokenizer, CAPITALS.lower()):
        log.warning("%s: the vocabulary is lower-cased, but the tokenizer keeps capitals (do_lower_case)", name)


def _has_unknown(tokenizer: Any, text: str) -> bool:
    return tokenizer.unk_token_id in tokenizer(text, add_special_tokens=False)["input_ids"]


def lower_case(tokenizer: Any) -> None:
    """Let a tokenizer lower-case texts before anything else (sentence-transformers' `do_lower_case`).

    Raises FidtoolsError for a tokenizer written in Python.
    """
    from tokenizers import normalizers

    if not tokenizer.is_fast:
        raise FidtoolsError("do_lower_case needs a tokenizer of the tokenizers library")
    backend = tokenizer.backend_tokenizer
    before = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])


def remember_state(tokenizer: Any) -> None:
    """Keep the side, truncation and padding that a tokenizer was loaded with, for `save_tokenizer`."""
    fast = tokenizer.backend_tokenizer if tokenizer.is_fast else None
    state = (None, None) if fast is None else (fast.truncation, fast.padding)
    setattr(tokenizer, _LOADED, (tokenizer.truncation_side, *state))


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer as it was loaded. A call leaves its truncation and padding behind, which would be saved too."""
    used = tokenizer.truncation_side
    tokenizer.truncation_side, truncation, padding = getattr(tokenizer, _LOADED, (used, None, None))
    if tokenizer.is_fast:
        backend = tokenizer.backend_tokenizer
        backend.no_truncation() if truncation is None else backend.enable_truncation(**truncation)
        backend.no_padding() if padding is None else backend.enable_padding(**padding)
    tokenizer.save_pretrained(folder)
    tokenizer.truncation_side = used
