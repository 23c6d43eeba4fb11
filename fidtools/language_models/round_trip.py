"""The round trip of a written question: from its passage to the question, and back to the passage and the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fidtools.data.records import Passage, Question
from fidtools.data.spread import document_name
from fidtools.language_models.question_writing import Draft, QuestionWriter
from fidtools.language_models.scoring import LikelihoodScorer
from fidtools.metrics.answer_match import has_answer, tokens, usable
from fidtools.metrics.answers import normalize_answer

QUESTION_MARKS = ("?", "？", "؟", "\N{GREEK QUESTION MARK}")
LONGEST_ANSWER = 10
"""Words and punctuation marks of a short answer."""
DUPLICATE = "duplicate question"
Rank = Callable[[Iterable[Question]], Iterator[Question]]
"""Gives questions their passages, best first, as `ctxs`."""


@dataclass(frozen=True)
class RoundTrip:
    """How a written question must lead back to its passage.

    `rank` finds passages for questions: the question's own must be among them. With `scorer`, it must also be the one
    that makes the question most likely.
    """

    rank: Rank
    scorer: LikelihoodScorer | None = None

    def problems(self, passages: Sequence[Passage], drafts: Sequence[Draft]) -> list[str | None]:
        """For each passage and its draft, why the question is dropped; None for one that is kept."""
        found = [draft_problem(draft, passage) for passage, draft in zip(passages, drafts, strict=True)]
        asked = [
            Question(str(row), draft.question or "")
            for row, (draft, problem) in enumerate(zip(drafts, found, strict=True))
            if problem is None
        ]
        reached = []
        for question in self.rank(asked):
            if passages[int(question.id)].id in {passage.id for passage in question.ctxs or ()}:
                reached.append(question)
            else:
                found[int(question.id)] = "passage not found by the question"
        if self.scorer is not None:
            self.scorer.score(reached)
            for question in reached:
                if (question.ctxs or [])[0].id != passages[int(question.id)].id:
                    found[int(question.id)] = "question more likely from another passage"
        return found


def draft_problem(draft: Draft, passage: Passage) -> str | None:
    """Why a draft is no question with a short answer from the passage, by its words alone; None for a good one."""
    if draft.question is None or draft.answer is None:
        return "no question with an answer in the reply"
    if not draft.question.endswith(QUESTION_MARKS):
        return "question without a question mark"
    if not usable([draft.answer]) or not has_answer([draft.answer], passage.text):
        return "answer not in the passage"
    if len(tokens(draft.answer)) > LONGEST_ANSWER:
        return "answer too long"
    if has_answer([draft.answer], draft.question):
        return "answer in the question"
    return None


@dataclass
class Written:
    """One attempt at a passage: what was written, and why it was dropped, if it was."""

    passage: str
    attempt: int
    reply: str
    question: str | None
    answer: str | None
    dropped: str | None
    document: str
    doc_id: str | None

    def to_json(self) -> dict[str, Any]:
        """The attempt as it is written to the file of dropped ones."""
        named = {"passage": self.passage, "question": self.question, "answer": self.answer, "reply": self.reply}
        return {**named, "dropped": self.dropped}

    def to_question(self, model: str, split: str) -> Question:
        """The question as it is written to the output."""
        assert self.question is not None, "only attempts with a question are kept"
        assert self.answer is not None, "only attempts with an answer are kept"
        facts = {"gold": [self.passage], "synthetic": True, "split": split, "generated_by": model}
        name = f"{self.passage}.q{self.attempt + 1}"
        return Question(name, self.question, [self.answer], doc_id=self.doc_id, extra=facts)


def attempt_all(
    writer: QuestionWriter, round_trip: RoundTrip, attempts: Sequence[tuple[Passage, int]]
) -> list[Written]:
    """Write a question for each passage and number of the attempt, and check it; attempts that repeat are left out."""
    attempts = [attempt for attempt in attempts if not writer.repeats(*attempt)]
    drafts = writer.write(attempts)
    problems = round_trip.problems([passage for passage, _ in attempts], drafts)
    return [
        Written(
            passage=str(passage.id),
            attempt=number,
            reply=draft.reply,
            question=draft.question,
            answer=draft.answer,
            dropped=problem,
            document=document_name(passage),
            doc_id=passage.doc_id,
        )
        for (passage, number), draft, problem in zip(attempts, drafts, problems, strict=True)
    ]


def drop_duplicates(written: Sequence[Written]) -> None:
    """Mark every question that an earlier one asks too, by SQuAD's normal form, as a duplicate."""
    seen: set[str] = set()
    for each in written:
        if each.dropped is None:
            normal = normalize_answer(each.question or "")
            each.dropped = DUPLICATE if normal in seen else None
            seen.add(normal)
