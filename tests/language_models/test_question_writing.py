"""Written questions: what is read from replies, why drafts are dropped, and what the prompts show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fidtools.data.prompt_templates import CHAT_WRITING_PROMPT, WRITING_PROMPT, check_writing_template
from fidtools.data.records import Passage, Question
from fidtools.errors import FidtoolsError, UsageError
from fidtools.language_models.continuation import Decoding, Named
from fidtools.language_models.model import LanguageModel
from fidtools.language_models.question_writing import (
    Draft,
    QuestionWriter,
    WritingPrompt,
    is_complete,
    parse_reply,
    sentences,
)
from fidtools.language_models.round_trip import DUPLICATE, RoundTrip, Written, draft_problem, drop_duplicates
from tests.models import tiny_causal_model

MILL = Passage("p1", "The mill was built in 1742. A flood broke its wheel in 1891. It is a museum now.", "Old Mill")


@pytest.mark.parametrize(
    ("reply", "question", "answer"),
    [
        ("Question: When was it built?\nAnswer: 1742\n", "When was it built?", "1742"),
        ("Answer: 1742\nQuestion: When was it built?", "When was it built?", "1742"),
        ('**Question:** When was it built?\n\n**Answer:** "in 1742."', "When was it built?", "in 1742"),
        ("question : When?\nANSWER: 1742\nQuestion: Where?\nAnswer: there", "When?", "1742"),
        ("1. When was it built?", None, None),
        ("Question: When was it built?", "When was it built?", None),
        ("Question:\nAnswer: .", None, None),
        ("", None, None),
    ],
)
def test_replies_are_read_by_their_labels(reply: str, question: str | None, answer: str | None) -> None:
    assert parse_reply(reply) == Draft(reply, question, answer)


@pytest.mark.parametrize(
    ("reply", "complete"),
    [
        ("Question: When?\nAnswer: 1742\n", True),
        ("Answer: 1742\nQuestion: When?\n", True),
        ("Question: When?\nAnswer: 1742", False),
        ("Question: When?\nAnswer:\n", False),
        ("Question: When?\n", False),
    ],
)
def test_a_reply_is_complete_when_both_lines_have_ended(reply: str, complete: bool) -> None:
    assert is_complete(reply) is complete


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One sentence that is long enough to count.", ["One sentence that is long enough to count."]),
        ("Too short.", ["Too short."]),
        ("cut off. This one is whole and long enough. Dr. and", ["This one is whole and long enough."]),
        (
            "これは最初の文です。これが二番目の文で、質問にできるほど十分に長いと思われます。三番目",
            ["これが二番目の文で、質問にできるほど十分に長いと思われます。"],
        ),
        ("", [""]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("draft", "problem"),
    [
        (Draft("", "When did a flood break the wheel?", "1891"), None),
        (Draft("", "When did a flood break the wheel?", "in 1891"), None),
        (Draft("", "When did a flood break the wheel？", "1891"), None),
        (Draft("", None, "1891"), "no question with an answer in the reply"),
        (Draft("", "When?", None), "no question with an answer in the reply"),
        (Draft("", "The flood.", "1891"), "question without a question mark"),
        (Draft("", "When did a flood break the wheel?", "189"), "answer not in the passage"),
        (Draft("", "When did a flood break the wheel?", "\u200b"), "answer not in the passage"),
        (Draft("", "Was the wheel broken in 1891?", "1891"), "answer in the question"),
        (
            Draft("", "What happened?", "The mill was built in 1742. A flood broke its wheel in 1891"),
            "answer too long",
        ),
    ],
)
def test_why_a_draft_is_dropped(draft: Draft, problem: str | None) -> None:
    assert draft_problem(draft, MILL) == problem


def test_the_round_trip_finds_the_passage_and_prefers_it() -> None:
    passages = [MILL, Passage("p2", "A ferry sails in 1891."), Passage("p3", "In 1891 it rained."), MILL]
    drafts = [Draft("", f"question {i}?", "1891") for i in range(3)] + [Draft("", "no answer?", None)]
    found = {"question 0?": ["p2", "p1"], "question 1?": ["p1", "p3"], "question 2?": ["p2", "p3"]}
    asked = []

    def rank(questions: Iterable[Question]) -> Iterator[Question]:
        for question in questions:
            asked.append(question.question)
            question.ctxs = [Passage(identifier, "") for identifier in found[question.question]]
            yield question

    class Likelihoods:
        def score(self, questions: list[Question]) -> None:
            assert [q.question for q in questions] == ["question 0?", "question 2?"]
            for question in questions:
                question.ctxs = sorted(question.ctxs or [], key=lambda passage: str(passage.id))

    plain = RoundTrip(rank).problems(passages, drafts)
    missed, unlikely = "passage not found by the question", "question more likely from another passage"
    assert plain == [None, missed, None, "no question with an answer in the reply"]
    assert asked == ["question 0?", "question 1?", "question 2?"]
    assert RoundTrip(rank, Likelihoods()).problems(passages, drafts)[:3] == [None, missed, unlikely]  # type: ignore[arg-type]


def test_the_first_of_equal_questions_is_kept() -> None:
    asked = ["Who built the mill?", "Where?", "who built  mill", "Where?"]
    dropped = [None, "answer not in the passage", None, None]
    written = [Written("p", i, "", q, "a", d, "doc", None) for i, (q, d) in enumerate(zip(asked, dropped, strict=True))]
    drop_duplicates(written)
    assert [each.dropped for each in written] == [None, "answer not in the passage", DUPLICATE, None]


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> LanguageModel:
    return LanguageModel(tiny_causal_model("llama", len(tokenizer)), tokenizer, 256)


def shown(monkeypatch: pytest.MonkeyPatch, writer: QuestionWriter, attempts: list[tuple[Passage, int]]) -> list[str]:
    """The prompts that a writer gives to the model."""
    found: list[str] = []

    def record(model: LanguageModel, prompts: list[Named], *rest: Any) -> list[str]:
        found.extend(model.tokenizer.decode(prompt.ids) for prompt in prompts)
        return [""] * len(prompts)

    monkeypatch.setattr("fidtools.language_models.question_writing.continuations", record)
    writer.write(attempts)
    return found


def test_attempts_are_about_different_sentences(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "cut off. The mill was built in 1742 by Dunn. A flood broke the wheel in 1891. It is a museum of farming. And"
    )
    passage = Passage("p", text, "Mill")
    writer = QuestionWriter(model, WritingPrompt("{title}: {sentence}"), Decoding(8))
    prompts = shown(monkeypatch, writer, [(passage, number) for number in range(4)])
    assert sorted(prompts[:3]) == [f"Mill: {sentence}" for sentence in sorted(sentences(text))]
    assert prompts[3] == prompts[0]
    other = QuestionWriter(model, WritingPrompt("{title}: {sentence}"), Decoding(8, seed=3))
    assert {shown(monkeypatch, other, [(passage, 0)])[0]} <= set(prompts)


def test_texts_are_cut_to_what_the_model_reads_and_counted(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Passage("p", "Ada wrote the first program. " * 100, "Ada")
    writer = QuestionWriter(model, WritingPrompt("{text}\nQuestion:", text_maxlength=5000), Decoding(20))
    (prompt,) = shown(monkeypatch, writer, [(long, 0)])
    assert prompt.endswith("\nQuestion:")
    assert 200 < len(model.tokenizer(prompt)["input_ids"]) <= 256 - 20
    assert writer.cuts.kinds["passages"].cut == 1
    with pytest.raises(FidtoolsError, match="more than the model's 256"):
        QuestionWriter(model, WritingPrompt("x y z " * 200 + "{text}"), Decoding(20)).write([(long, 0)])


def test_chat_prompts_go_through_the_models_template(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no chat template"):
        QuestionWriter(model, WritingPrompt(CHAT_WRITING_PROMPT, chat=True), Decoding())
    template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
    monkeypatch.setattr(model.tokenizer, "chat_template", template)
    writer = QuestionWriter(model, WritingPrompt("{text}\nQuestion:", chat=True), Decoding(8))
    assert shown(monkeypatch, writer, [(MILL, 0)]) == [f"<user>{MILL.text}\nQuestion:<assistant>"]
    assert writer.prompt.label == ""


def test_the_reply_continues_the_label_that_the_template_ends_with(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = lambda *_: [" When?\nAnswer: 1742"]  # noqa: E731
    monkeypatch.setattr("fidtools.language_models.question_writing.continuations", replies)
    (draft,) = QuestionWriter(model, WritingPrompt("{text}\nQuestion:"), Decoding(8)).write([(MILL, 0)])
    assert (draft.question, draft.answer) == ("When?", "1742")
    (draft,) = QuestionWriter(model, WritingPrompt("{text}\n"), Decoding(8)).write([(MILL, 0)])
    assert (draft.question, draft.answer) == (None, "1742")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{title}", "the field {text} or {sentence} is missing"),
        ("{text} {question}", "unknown field {question}"),
        ("{text!r}", "neither a format nor a conversion"),
        ("{text} {", "malformed template"),
    ],
)
def test_templates_take_named_fields_only(template: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_writing_template(template)
    assert problem in str(caught.value)


@pytest.mark.parametrize("template", [WRITING_PROMPT, CHAT_WRITING_PROMPT])
def test_our_templates_are_templates(template: str) -> None:
    check_writing_template(template)
