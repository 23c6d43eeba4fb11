"""The checks of questions and of passages, one record at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from fidtools.data.corpus import Corpus
from fidtools.data.grades import gold_ids
from fidtools.data.records import Passage, Question
from fidtools.errors import DataError, shorten
from fidtools.metrics.answer_match import AnswerMatcher, usable
from fidtools.validation.cuts import BATCH, Model
from fidtools.validation.similarity import SimilarTexts, normal_form
from fidtools.validation.tally import Finding, Repeats, repeats

SHOWN = 60


class Cuts:
    """Counts texts that a model cuts, in batches."""

    def __init__(self, model: Model) -> None:
        self._model, self._waiting = model, list[tuple[int, Question | Passage]]()
        self.finding = Finding(f"texts longer than {model.name} reads")

    def add(self, line: int, record: Question | Passage) -> None:
        """Check a record, now or with the next ones."""
        self._waiting.append((line, record))
        if len(self._waiting) == BATCH:
            self.finish()

    def finish(self) -> Finding:
        """Check what waits."""
        over = self._model.tokens_over([record for _, record in self._waiting]) if self._waiting else []
        for (line, record), tokens in zip(self._waiting, over, strict=True):
            self.finding.of += 1
            if tokens:
                self.finding.add(line, id=record.id, tokens_too_many=tokens)
        self._waiting.clear()
        return self.finding


class PassageChecks:
    """Empty texts, repeated ids and texts, and texts that a model cuts. Needs about 50 bytes per passage."""

    def __init__(self, model: Model | None = None) -> None:
        self._empty = Finding("empty texts")
        self._ids, self._texts = Repeats(), Repeats()
        self._cuts = None if model is None else Cuts(model)

    def check(self, line: int, passage: Passage) -> None:
        """Check one passage."""
        self._empty.of += 1
        self._ids.add(line, str(passage.id))
        if normal := unicodedata.normalize("NFC", " ".join(passage.text.split())):
            self._texts.add(line, normal)
        else:
            self._empty.add(line, id=passage.id)
        if self._cuts:
            self._cuts.add(line, passage)

    def findings(self) -> Iterator[Finding]:
        """What was found."""
        yield self._empty
        yield repeats("ids that occur before", self._ids)
        yield repeats("texts that occur before", self._texts)
        if self._cuts:
            yield self._cuts.finish()


class QuestionChecks:
    """What may be wrong with questions, their answers and their passages. Needs about 50 bytes per question.

    With a `corpus`, ids of passages are looked up in it; with `similar` texts, questions are compared with them.
    """

    def __init__(
        self,
        model: Model | None = None,
        corpus: Corpus | None = None,
        similar: SimilarTexts | None = None,
        others: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._ids, self._texts = Repeats(), Repeats()
        self._cuts = None if model is None else Cuts(model)
        self._corpus, self._similar, self._others = corpus, similar, others
        self._found: dict[str, Finding] = {}

    def check(self, line: int, question: Question) -> None:
        """Check one question."""
        self._ids.add(line, question.id)
        self._texts.add(line, normal_form(question.question) or question.question)
        if self._cuts:
            self._cuts.add(line, question)
        self._check_answers(line, question)
        if self._similar:
            self._compare(line, question, self._similar)
        if question.ctxs is not None:
            self._check_passages(line, question, question.ctxs)
        self._check_gold(line, question)

    def findings(self) -> Iterator[Finding]:
        """What was found."""
        yield repeats("ids that occur before", self._ids)
        yield repeats("questions that occur before, in normal form", self._texts)
        yield from self._found.values()
        if self._cuts:
            yield self._cuts.finish()

    def _note(self, what: str, wrong: bool, line: int, question: Question, **more: object) -> None:
        finding = self._found.setdefault(what, Finding(what))
        finding.of += 1
        if wrong:
            finding.add(line, id=question.id, **more)

    def _check_answers(self, line: int, question: Question) -> None:
        self._note("questions without an answer", not question.gold_answers, line, question)
        target_only = bool(question.gold_answers and not question.answers)
        self._note("questions with a `target` only: eval judges by `answers`", target_only, line, question)
        if question.gold_answers:
            odd = not usable(question.gold_answers)
            self._note("questions whose answers have no letter, digit or sign", odd, line, question)

    def _compare(self, line: int, question: Question, similar: SimilarTexts) -> None:
        found = similar.most_similar(question.question)
        same, near = found is not None and found.same, found is not None and not found.same
        more: dict[str, object] = {}
        if found is not None:
            other, text = self._others[found.row]
            more = {"other_id": other, "other": shorten(text, SHOWN), "similarity": round(found.similarity, 3)}
        self._note("questions that occur in the other file, in normal form", same, line, question, **more)
        self._note("questions similar to one in the other file", near, line, question, **more)

    def _check_passages(self, line: int, question: Question, passages: list[Passage]) -> None:
        self._note("questions without passages", not passages, line, question)
        ids = [passage.id for passage in passages if passage.id is not None]
        self._note("lists with a passage id twice", len(set(ids)) < len(ids), line, question)
        empty = sum(not passage.text.strip() for passage in passages)
        self._note("lists with passages without text", empty > 0, line, question)
        if passages and usable(question.gold_answers):
            hits = AnswerMatcher(question.gold_answers).hits([passage.text for passage in passages])
            self._note("lists in which no passage holds an answer", not any(hits), line, question)
        if self._corpus is not None:
            lost = [identifier for identifier in ids if self._corpus.row_of(identifier) is None]
            self._note("lists with passages that the corpus lacks", bool(lost), line, question, passages=lost[:3])

    def _check_gold(self, line: int, question: Question) -> None:
        try:
            gold = gold_ids(question)
        except DataError as error:
            self._note("`gold` that cannot be read", True, line, question, problem=error.problem)
            return
        if not gold:
            return
        if question.ctxs is not None:
            absent = gold.isdisjoint(passage.id for passage in question.ctxs)
            self._note("lists without a passage of `gold`", absent, line, question)
        if self._corpus is not None:
            lost = sorted(identifier for identifier in gold if self._corpus.row_of(identifier) is None)
            self._note("`gold` passages that the corpus lacks", bool(lost), line, question, passages=lost[:3])
