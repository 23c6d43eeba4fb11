"""Answers in passages: the reference's hits, found without tokenising every passage."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidtools import cli
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_passages, read_questions
from fidtools.data.records import Passage, Question
from fidtools.data.words import set_apart
from fidtools.evaluation.recall import AnswerRecall
from fidtools.metrics.answer_match import AnswerMatcher, has_answer, regex_hits, tokens, usable
from tests import GOLDEN


def recall_at(questions: list[Question], ks: list[int]) -> dict[int, float]:
    """R@k as `eval` measures it, as a share of the questions with a usable answer."""
    measured = [values for values in AnswerRecall(ks).measure(questions) if isinstance(values, dict)]
    return {k: sum(values[f"R@{k}"] for values in measured) / (100 * len(measured)) for k in ks}


def slowly(answers: list[str], text: str) -> bool:
    """The definition: tokens of an answer follow one another among the tokens of the text.

    Each letter of a script without spaces is a token.
    """
    answers, text = [set_apart(answer) for answer in answers], set_apart(text)
    words = tokens(text)
    sequences = [sequence for sequence in map(tokens, answers) if sequence]
    return any(words[i : i + len(s)] == s for s in sequences for i in range(len(words)))


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "evaluation.json").read_text())


def test_hits_and_tokens_equal_the_reference(golden):
    for case in golden["has_answer"]:
        assert has_answer(case["answers"], case["text"], empty_matches=True) == case["has_answer"], case
        assert tokens(case["text"]) == case["text_tokens"], case


def test_an_answer_without_tokens_is_found_nowhere_unless_asked_for(golden):
    cases = [case for case in golden["has_answer"] if [] in case["answer_tokens"]]
    assert len(cases) >= 9
    for case in cases:
        assert case["has_answer"]
        assert not has_answer(case["answers"], case["text"])
        assert len(usable(case["answers"])) == len([t for t in case["answer_tokens"] if t])


def test_recall_equals_the_reference_where_lists_are_of_one_length(golden):
    for case in golden["top_k"]:
        questions = [
            Question(str(i), "?", row["answers"], ctxs=[Passage(None, c["text"] or "") for c in row["ctxs"]])
            for i, row in enumerate(case["data"])
        ]
        hits = [AnswerMatcher(q.answers).hits([p.text for p in q.ctxs]) for q in questions]
        assert hits == case["questions_doc_hits"]
        if not case["name"].startswith("ragged"):  # the reference cuts all lists to the length of the first
            found = recall_at(questions, [*range(1, len(case["top_k_hits"]) + 1)])
            assert [round(share * len(questions)) for share in found.values()] == case["top_k_hits"]


def test_recall_of_lists_of_several_lengths():
    short = Question("0", "?", ["b"], ctxs=[Passage(None, "a"), Passage(None, "b")])
    long = Question("1", "?", ["z"], ctxs=[Passage(None, "a")] * 4 + [Passage(None, "z")])
    unusable = Question("2", "?", ["\u200b"], ctxs=[Passage(None, "a")])
    assert recall_at([short, long, unusable], [1, 2, 5]) == {1: 0.0, 2: 0.5, 5: 1.0}


NASTY_LETTERS = "aAbBkK\u212aée\u0301ΣσςİiIı .,-'\u00a0\u200b\0\nß12½東\u037e;≠=\u0338"
NASTY = st.text(alphabet=st.sampled_from(NASTY_LETTERS), max_size=12)


@given(st.lists(NASTY, max_size=3), st.lists(NASTY, max_size=5))
def test_hits_equal_the_definition_on_nasty_texts(answers, texts):
    assert AnswerMatcher(answers).hits(texts) == [slowly(answers, text) for text in texts]


@given(
    st.lists(st.text(alphabet="東京都はa1 .", max_size=4), max_size=3),
    st.lists(st.text(alphabet="東京都はa1 .", max_size=8), max_size=4),
)
def test_hits_equal_the_definition_without_spaces_between_words(answers, texts):
    apart = ["".join(f" {letter} " if letter in "東京都は" else letter for letter in text) for text in texts]
    wanted = ["".join(f" {letter} " if letter in "東京都は" else letter for letter in answer) for answer in answers]
    assert AnswerMatcher(answers).hits(texts) == [slowly(wanted, text) for text in apart]


UNSPACED_CASES = [
    ("一九六四年十月一日", "新幹線は一九六四年十月一日に走り始めました。", True),
    ("2020年", "東京2020年大会", True),
    ("202年", "東京2020年大会", False),
    ("か", "がっこう", False),  # a mark belongs to its letter
    ("กรุงเทพ", "ฉันอยู่ที่กรุงเทพมหานคร", True),
    ("กร", "ฉันอยู่ที่กรุงเทพมหานคร", False),
    ("河流是", "世界最长的河流\n是尼罗河", True),
    ("1707", "富士山は1707年に噴火した。", True),
    ("707", "富士山は1707年に噴火した。", False),
    ("Ada", "AdaはPython3を書いた", True),
    ("Ad", "AdaはPython3を書いた", False),
    ("서울", "서울에서", False),  # Korean has spaces between words
]


@pytest.mark.parametrize(("answer", "text", "found"), UNSPACED_CASES)
def test_answers_in_scripts_without_spaces(answer, text, found):
    for form in ("NFC", "NFD"):
        written = [unicodedata.normalize(form, part) for part in (answer, text)]
        assert has_answer([written[0]], written[1]) == found
        assert not has_answer([written[0]], written[1], empty_matches=True)  # DPR's code
        assert recall_at([Question("q", "?", [written[0]], ctxs=[Passage("p", written[1])])], [1]) == {1: found}


@given(st.text(max_size=20), st.data())
def test_a_piece_of_a_text_is_judged_as_by_the_definition(text, data):
    start = data.draw(st.integers(0, len(text)))
    piece = data.draw(st.sampled_from([text[start:], text[:start], text[start:].upper(), text[start : start + 3]]))
    assert has_answer([piece], text) == slowly([piece], text)


def test_no_letter_but_the_kelvin_sign_becomes_an_ascii_word():
    """What the search in bytes relies on: decomposed letters are followed by a mark."""
    bare = []
    for code in range(0x80, 0x110000):
        parts = unicodedata.normalize("NFD", chr(code)) if not 0xD800 <= code < 0xE000 else ""
        alone = len(parts) == 1 or not unicodedata.category(parts[1]).startswith("M") if parts else False
        if alone and parts[0].lower().isascii() and parts[0].isalnum():
            bare.append(chr(code))
    assert bare == ["\u212a"]


def test_hits_equal_the_definition_on_real_passages(shared):
    with gzip.open(shared("data/squad-open/passages.jsonl.gz"), "rt") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(300), strict=False)]
    with gzip.open(shared("data/squad-open/test.jsonl.gz"), "rt") as lines:
        answers = [json.loads(line)["answers"] for line, _ in zip(lines, range(20), strict=False)]
    answers += [["a"], ["the"], ["–"], ["é"], ["in the"], ["1979", "5"]]
    words = [tokens(text) for text in texts]
    for group in answers:
        sequences = [tokens(answer) for answer in group]
        slow = [any(w[i : i + len(s)] == s for s in sequences for i in range(len(w))) for w in words]
        assert AnswerMatcher(group).hits(texts) == slow


def test_answers_as_regular_expressions(shared):
    with gzip.open(shared("data/qa-only/curatedtrec-test-regex.jsonl.gz"), "rt") as lines:
        answers = {row["question"]: row["answers"] for row in map(json.loads, lines)}
    mountain = answers["How tall is Mount McKinley?"]
    assert regex_hits(mountain, ["It is 20,320 feet high", "It is 6168 M high", "20 feet"]) == [True, True, False]
    assert not has_answer(mountain, "It is 20,320 feet high")


def test_a_broken_regular_expression_matches_nothing_and_is_counted():
    assert regex_hits(["(unclosed", "te?xt"], ["text", "(unclosed"]) == [True, False]
    recall = AnswerRecall([1], match="regex")
    passages = [Passage("p", "(unclosed")]
    assert recall.measure([Question("q", "?", answers=["(unclosed", "[", "x"], ctxs=passages)]) == [{"R@1": 0.0}]
    assert recall.finalize().notes == ["2 answers are not regular expressions: they match no passage, as in DPR"]


def test_annotated_passages_hold_their_answers(shared):
    """SQuAD's annotators marked the answer in the passage: the match must find it there, for all of 1,386 questions."""
    texts = {p.id: p.text for p in read_passages(shared("data/squad-open/passages.jsonl.gz"))}
    questions = [
        Question(q.id, q.question, q.answers, ctxs=[Passage(name, texts[name]) for name in q.extra["gold"]])
        for q in read_questions(shared("data/squad-open/test.jsonl.gz"))
        if not q.extra["gold_split"]
    ]
    assert len(questions) == 1386
    assert recall_at(questions, [100]) == {100: 1.0}


@pytest.mark.parametrize("pattern", ["(?R)", "a(?:b|(?1))", "(?P<x>a)(?&x)"])
def test_a_regular_expression_that_calls_itself_matches_nothing(pattern: str) -> None:
    assert regex_hits([pattern], ["aab", pattern]) == [False, False]


def test_a_regular_expression_without_end_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr("fidtools.metrics.answer_match.MOST_SECONDS", 0.05)
    slow = "a" * 60 + "b"
    lines = {"question": "q", "answers": ["(a|aa)+$"], "ctxs": [{"id": "1", "text": slow}], "prediction": slow}
    write_lines(tmp_path / "r.jsonl", [lines])
    for metric in ("R@1", "EM"):
        assert cli.run(["eval", f"{tmp_path}/r.jsonl", "--regex", "-m", metric]) == 1
        said = "r.jsonl:1: field 'answers': a regular expression that takes more than 0.05 s (got (a|aa)+$)"
        assert said in capsys.readouterr().err
