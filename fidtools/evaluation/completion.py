"""What is evaluated: a file in any format, completed with what it lacks from the questions and the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from fidtools.data.corpus import Corpus, open_passages
from fidtools.data.files import STANDARD, PathLike
from fidtools.data.records import Question
from fidtools.errors import DataError, MismatchError
from fidtools.formats.lookup import input_format, read_all


@dataclass
class Inputs:
    """How files are read. `questions` brings answers and gold by question id, `passages` the texts by passage id;
    `rank_by` names a score to sort by, `prediction` the field that holds the predictions.
    """

    format_name: str | None = None
    questions: PathLike | None = None
    passages: PathLike | None = None
    rank_by: str | None = None
    prediction: str | None = None
    disorder: int = field(default=0, init=False)

    def read(self, path: PathLike) -> tuple[str, Iterator[Question]]:
        """The format's name and the completed questions of a file, one at a time. Lines that only `questions` has come
        last, without passages and prediction.
        """
        name = self.format_name or ("jsonl" if str(path) == STANDARD else None)
        found = input_format(path, name, "questions")
        if found.name == "kilt" and self.questions:
            found = input_format(path, "kilt-guess")
        lines: Iterator[Question] = found.read(path) if found.read else iter(())
        return found.name, self._completed(lines, path)

    def notes(self) -> list[str]:
        """What is worth saying about the file just read."""
        said = f"the passages of {self.disorder} questions are not by falling score: they are ranked as listed"
        return [said + " (--rank-by score ranks by the score)"] if self.disorder else []

    def _completed(self, lines: Iterable[Question], path: PathLike) -> Iterator[Question]:
        known = _by_id(self.questions) if self.questions else {}
        corpus = open_passages(self.passages) if self.passages else None
        self.disorder = 0
        empty, predicted, texts = True, False, set[str]()
        for question in lines:
            empty = False
            if self.questions:
                question = _joined(question, known, path, self.questions)
            if corpus is not None:
                _fill(question, corpus, path)
            if self.prediction:
                texts |= {name for name, value in question.extra.items() if isinstance(value, str)}
                predicted |= _predicted(question, self.prediction, path)
            if self.rank_by:
                question.rank_by(self.rank_by)
            self.disorder += not in_order(question)
            yield question
        if empty:
            raise DataError("no questions in it: the file is empty", path=path)
        if self.prediction and not predicted:
            hint = f"fields with a text are {', '.join(sorted(texts))}" if texts else None
            raise DataError("on no line", path=path, field=self.prediction, hint=hint)
        for rest in known.values():
            rest.ctxs, rest.prediction = None, None
            yield rest


def in_order(question: Question) -> bool:
    """Whether the passages stand by falling score, as far as they have one."""
    scores = [passage.score for passage in question.ctxs or () if passage.score is not None]
    return all(a >= b for a, b in pairwise(scores))


def _by_id(path: PathLike) -> dict[str, Question]:
    known: dict[str, Question] = {}
    for question in read_all(path, "questions"):
        if question.id in known:
            raise DataError("twice in the questions", path=path, field="id", value=question.id)
        known[question.id] = question
    return known


def _joined(question: Question, known: dict[str, Question], path: PathLike, source: PathLike) -> Question:
    """The question as its own file has it, with the system's passages and prediction."""
    label = known.pop(question.id, None)
    if label is None:
        hint = "ids fall back to the line number, from 0, where a file has none"
        raise MismatchError(
            f"no such question in {source}, or twice", path=path, field="id", value=question.id, hint=hint
        )
    if question.question and label.question and question.question != label.question:
        raise MismatchError(f"another question than in {source}", path=path, field=question.id, value=question.question)
    label.ctxs = question.ctxs if question.ctxs is not None else label.ctxs
    label.prediction = question.prediction if question.prediction is not None else label.prediction
    label.extra = {**question.extra, **label.extra}
    return label


def _fill(question: Question, corpus: Corpus, path: PathLike) -> None:
    for passage in question.ctxs or ():
        if passage.text or passage.id is None:
            continue
        row = corpus.row_of(passage.id)
        if row is None:
            raise MismatchError(f"no such passage in {corpus.path}", path=path, field="ctxs.id", value=passage.id)
        found = corpus[row]
        passage.text, passage.title = found.text, passage.title or found.title


def _predicted(question: Question, name: str, path: PathLike) -> bool:
    """Take the prediction from the field of that name; whether it is there."""
    value = question.extra.get(name)
    if value is not None and not isinstance(value, str):
        raise DataError(f"must be a text in question {question.id}", path=path, field=name, value=value)
    if name != "prediction":
        question.prediction = value
    return question.prediction is not None
