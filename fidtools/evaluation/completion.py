"""What is evaluated: a file in any format, completed with fields that it lacks from the questions and the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from fidtools.data.corpus import Corpus, open_passages
from fidtools.data.files import STANDARD, PathLike
from fidtools.data.records import Question
from fidtools.errors import DataError, MismatchError
from fidtools.evaluation.gold import Gold, are_other
from fidtools.formats.lookup import input_format, read_all

OTHER_LABELS = "{} questions have other answers or gold in --questions: those are used"
UNSORTED = (
    "the passages of {} questions are not in descending order of score; they are ranked as listed "
    "(--rank-by score sorts them)"
)
REPEATED = "{} questions list a passage twice: every place counts in R@k, the first one in measures of ir_measures"


@dataclass
class Inputs:
    """How files are read.

    `questions` has answers and gold by question id, used instead of the file's own, `passages` texts by passage id;
    `rank_by` names a score to sort by, `prediction` the field with the predictions. `counts` are the questions of the
    latest file that deserve a note, by its text.
    """

    format_name: str | None = None
    questions: PathLike | None = None
    passages: PathLike | None = None
    rank_by: str | None = None
    prediction: str | None = None
    counts: Counter[str] = field(default_factory=Counter, init=False)

    def read(self, path: PathLike) -> tuple[str, Iterator[Question]]:
        """The format's name and the completed questions of a file, one at a time.

        Questions that only `questions` has come last, without passages and prediction. Raises DataError for an empty
        file, and MismatchError for questions or passages that the other files do not have.
        """
        name = self.format_name or ("jsonl" if str(path) == STANDARD else None)
        found = input_format(path, name, "questions")
        if found.name == "kilt" and self.questions:
            found = input_format(path, "kilt-guess")
        lines: Iterator[Question] = found.read(path) if found.read else iter(())
        return found.name, self._completed(lines, path)

    def notes(self) -> list[str]:
        """Messages about the file read last."""
        return [note.format(count) for note in (OTHER_LABELS, UNSORTED, REPEATED) if (count := self.counts[note])]

    def _completed(self, lines: Iterable[Question], path: PathLike) -> Iterator[Question]:
        labels = _Labels(self.questions) if self.questions else None
        corpus = open_passages(self.passages) if self.passages else None
        predictions = _PredictionField(self.prediction) if self.prediction else None
        self.counts.clear()
        empty = True
        for question in lines:
            empty = False
            if labels:
                question = self._labelled(question, labels, path)
            if corpus is not None:
                _add_texts(question, corpus, path)
            if self.rank_by:
                question.rank_by(self.rank_by)
            if predictions:
                predictions.move(question)
            self.counts[UNSORTED] += not is_sorted(question)
            self.counts[REPEATED] += question.repeats_passages
            yield question
        if empty:
            raise DataError("contains no questions: the file is empty", path=path)
        if predictions:
            predictions.check_found(path)
        if labels:
            yield from labels.not_in_file()

    def _labelled(self, question: Question, labels: _Labels, path: PathLike) -> Question:
        own = Gold().labels_of(question)
        labelled = labels.join(question, path)
        self.counts[OTHER_LABELS] += are_other(own, Gold().labels_of(labelled))
        return labelled


def is_sorted(question: Question) -> bool:
    """Whether the passages that have a score are in descending order."""
    scores = [passage.score for passage in question.ctxs or () if passage.score is not None]
    return all(a >= b for a, b in pairwise(scores))


def _line(question: Question) -> int | None:
    return question.location.line if question.location else None


class _Labels:
    """The questions of --questions by id, each until it has been joined with the system's line."""

    def __init__(self, path: PathLike) -> None:
        self._path = path
        self._by_id: dict[str, Question] = {}
        for question in read_all(path, "questions"):
            if question.id in self._by_id:
                raise question.error("occurs twice in the questions", "id", question.id)
            self._by_id[question.id] = question

    def join(self, question: Question, path: PathLike) -> Question:
        """The question as labelled, with the system's passages, prediction and all fields that the labels lack."""
        label = self._by_id.pop(question.id, None)
        if label is None:
            problem = f"{self._path} has no such question, or the file has it twice"
            hint = "where a file has no ids, the line number from 0 is the id"
            raise MismatchError(problem, path=path, line=_line(question), field="id", value=question.id, hint=hint)
        if question.question and label.question and question.question != label.question:
            problem = f"differs from the question of that id in {self._path}"
            raise MismatchError(problem, path=path, line=_line(question), field="question", value=question.question)
        if question.ctxs is not None:
            label.ctxs, label.location = question.ctxs, question.location
        if not label.gold_answers:
            label.answers, label.target = question.answers, question.target
        label.doc_id = question.doc_id if label.doc_id is None else label.doc_id
        label.prediction = question.prediction if question.prediction is not None else label.prediction
        label.extra |= {name: value for name, value in question.extra.items() if label.extra.get(name) is None}
        return label

    def not_in_file(self) -> Iterator[Question]:
        """The questions that the system's file does not have, without passages and prediction."""
        for question in self._by_id.values():
            question.ctxs, question.prediction = None, None
            yield question


def _add_texts(question: Question, corpus: Corpus, path: PathLike) -> None:
    """Take texts and titles from the corpus where a passage has none."""
    for passage in question.ctxs or ():
        if passage.text or passage.id is None:
            continue
        row = corpus.row_of(passage.id)
        if row is None:
            problem = f"{corpus.path} has no such passage"
            raise MismatchError(problem, path=path, line=_line(question), field="ctxs.id", value=passage.id)
        found = corpus[row]
        passage.text, passage.title = found.text, passage.title or found.title


class _PredictionField:
    """The field that holds the predictions."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found = False
        self._string_fields: set[str] = set()

    def move(self, question: Question) -> None:
        """Make the field's value the prediction. Raises DataError when it is not a string."""
        self._string_fields |= {name for name, value in question.extra.items() if isinstance(value, str)}
        if self._name != "prediction":
            value = question.extra.get(self._name)
            if not isinstance(value, str | None):
                raise question.error("must be a string", self._name, value)
            question.prediction = value
        self._found |= question.prediction is not None

    def check_found(self, path: PathLike) -> None:
        """Raises DataError when no question has the field."""
        if not self._found:
            hint = f"fields with strings: {', '.join(sorted(self._string_fields))}" if self._string_fields else None
            raise DataError("does not occur in the file", path=path, field=self._name, hint=hint)
