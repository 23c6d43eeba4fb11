"""What training and scoring need of a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from fidtools.compute.device import Compute
from fidtools.compute.lengths import CutCounter

KINDS = ("transformer", "coattention")
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


def report_cuts(teacher: Teacher, *, shared: bool = False) -> None:
    """Warn once of the texts that were cut. With `shared` every rank has counted texts of its own."""
    teacher.cuts.report("teacher", "--maxlength of train-teacher, --tokens of chunk", shared=shared)
