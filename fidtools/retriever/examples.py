"""Training examples: questions, their passages and targets, tokenized once and kept as flat arrays."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fidtools.data.batched import batched
from fidtools.data.files import PathLike
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, several
from fidtools.logs import log, track
from fidtools.metrics.labels import Labels
from fidtools.metrics.relevance import known_relevance, relevance
from fidtools.retriever.encoding import Retriever
from fidtools.training.likelihoods import likelihoods, require_likelihoods
from fidtools.training.source_passage import SourcePassage
from fidtools.training.targets import teacher_scores, without_source
from fidtools.typing import Floats

TOKENIZED_TOGETHER = 256
"""Questions that are tokenized in one call."""


class TokenStore:
    """Token ids of many texts, one after the other in one array of 32-bit integers."""

    def __init__(self) -> None:
        self._tokens, self._ends = array("i"), array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, rows: Sequence[Sequence[int]]) -> None:
        """Append token ids of texts."""
        for row in rows:
            self._tokens.extend(row)
            self._ends.append(len(self._tokens))

    def __getitem__(self, number: int) -> list[int]:
        return self._tokens[self._ends[number] : self._ends[number + 1]].tolist()

    def length(self, number: int) -> int:
        """The number of tokens of one text."""
        return self._ends[number + 1] - self._ends[number]


@dataclass(frozen=True)
class Example:
    """One question: its index, the indices of its passages (n,), teacher scores G (n,), labels (n,) to learn from.

    `relevant` (n,) are labels to measure by, where some passages are relevant and others not.
    """

    question: int
    passages: NDArray[np.int32]
    teacher: Floats
    labels: NDArray[np.bool_] | None
    relevant: NDArray[np.bool_] | None = None


@dataclass
class Examples:
    """All questions of a file. A passage of several questions is stored once."""

    questions: TokenStore = field(default_factory=TokenStore)
    passages: TokenStore = field(default_factory=TokenStore)
    items: list[Example] = field(default_factory=list)
    _indices: dict[bytes, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def add_passages(self, passages: Sequence[Passage], retriever: Retriever) -> list[int]:
        """The indices of the passages; new ones are tokenized and stored."""
        keys = [hashlib.blake2b(f"{p.title}\0{p.text}".encode(), digest_size=16).digest() for p in passages]
        new = {key: p for key, p in zip(keys, passages, strict=True) if key not in self._indices}
        for key in new:
            self._indices[key] = len(self._indices)
        self.passages.add(retriever.tokenize_passages(new.values()))
        return [self._indices[key] for key in keys]


def read_examples(
    path: PathLike,
    retriever: Retriever,
    teachers: Mapping[str, float],
    n_passages: int,
    labels: Labels | None = None,
    *,
    need_positive: bool = False,
    source: SourcePassage = "keep",
    measured: bool = False,
) -> Examples:
    """The questions of a file with the teacher scores of their first `n_passages` passages.

    Without teachers the target is zero everywhere, for losses on labels alone. `need_positive` skips questions without
    a relevant passage and warns of their number. `source` is what synthetic questions' own passages teach. `measured`
    examples have `relevant` where it is known. Raises DataError for missing scores or labels, several together, and
    where no passage is relevant.
    """
    examples = Examples()
    errors: list[DataError] = []
    skipped = n_errors = 0
    for block in batched(track(read_questions(path), "questions read"), TOKENIZED_TOGETHER):
        kept: list[tuple[Question, Floats, NDArray[np.bool_] | None]] = []
        for question in block:
            try:
                if source == "drop":
                    without_source(question)
                target = _target(question, n_passages, teachers, source)
                relevant = None if labels is None else relevance(question, labels)[: len(target)]
            except DataError as error:
                n_errors += 1
                errors = [*errors, error][:5]
                continue
            if need_positive and (relevant is None or not relevant.any()):
                skipped += 1
            elif not n_errors:
                kept.append((question, target, relevant))
        _add(examples, kept, retriever)
        if measured:
            _add_relevant(examples, [question for question, _, _ in kept])
    if n_errors:
        raise several(errors, n_errors)
    if labels is not None and not any(np.any(item.labels) for item in examples.items):
        hint = f"--labels {labels} learns from relevant passages: are they among those that are listed?"
        raise DataError("no passage of any question is relevant", path=path, hint=hint)
    if skipped:
        log.warning("%s: skipped %d questions without a relevant passage", path, skipped)
    return examples


def learn_likelihoods(examples: Examples, path: PathLike) -> None:
    """Replace the targets, logarithms of likelihoods, by the likelihoods.

    Raises DataError where they are infinite, and where most questions have none above 0, in single precision.
    """
    found = [likelihoods(item.teacher, path) for item in examples.items]
    require_likelihoods(found, path)
    examples.items[:] = [replace(item, teacher=target) for item, target in zip(examples.items, found, strict=True)]


def require_negatives(examples: Examples, batch: int, path: PathLike) -> None:
    """Raise DataError where no update of `batch` questions has a passage that is not relevant, for labels' losses."""
    own = any(item.labels is None or not item.labels.all() for item in examples.items)
    if own or (batch > 1 and len({frozenset(item.passages.tolist()) for item in examples.items}) > 1):
        return
    hint = "give questions passages that are not relevant, or set `batch` above 1 with questions about other passages"
    raise DataError("no update has a passage that is not relevant, so there is nothing to learn", path=path, hint=hint)


def _target(question: Question, count: int, teachers: Mapping[str, float], source: SourcePassage) -> Floats:
    if teachers:
        return teacher_scores(question, count, teachers, source)
    if not question.ctxs:
        raise question.error("question without passages", "ctxs", question.id)
    return np.zeros(len(question.ctxs[:count]))


def _add(
    examples: Examples, kept: list[tuple[Question, Floats, NDArray[np.bool_] | None]], retriever: Retriever
) -> None:
    first = len(examples.questions)
    examples.questions.add(retriever.tokenize_questions(question.question for question, _, _ in kept))
    chosen = [(question.ctxs or [])[: len(target)] for question, target, _ in kept]
    passages = iter(examples.add_passages([p for ctxs in chosen for p in ctxs], retriever))
    for i, (_, target, relevant) in enumerate(kept):
        indices = np.fromiter((next(passages) for _ in target), dtype=np.int32, count=len(target))
        examples.items.append(Example(first + i, indices, target, relevant))


def _add_relevant(examples: Examples, questions: Sequence[Question]) -> None:
    """Say of the last examples, which are these questions', what is relevant: by their labels, or gold, or answers."""
    for place, question in enumerate(questions, len(examples) - len(questions)):
        item = examples.items[place]
        relevant = known_relevance(question) if item.labels is None else item.labels
        if relevant is not None and (first := relevant[: len(item.passages)]).any() and not first.all():
            examples.items[place] = replace(item, relevant=first)
