"""The size of a new LSTM, CNN or static encoder. Without torch, so that commands start fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from fidtools.errors import UsageError

StudentKind = Literal["lstm", "cnn", "static"]
STUDENTS: tuple[str, ...] = get_args(StudentKind)


@dataclass(frozen=True)
class StudentSize:
    """How large a new LSTM, CNN, static or coattention model is, and where its word vectors come from."""

    words: int = 50_000
    word_dim: int = 100
    hidden: int = 128
    word_vectors: str | None = None
    freeze_words: bool = False

    def check_unused(self, new: str) -> None:
        """Raise UsageError when word vectors are given for a model that already has its own.

        `new` is the setting that would create a new model.
        """
        for name, value in (("word_vectors", self.word_vectors), ("freeze_words", self.freeze_words)):
            if value:
                raise UsageError(f"`{name}` only applies to a new `{new}`; the given model already has word vectors")
