"""Beams, n-best, log-probabilities, and answering from the most attended passages."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from fidtools.data.records import Passage, Question
from fidtools.reader.answering import answer_questions
from fidtools.reader.attention_scores import attention_scores
from fidtools.reader.decoding import GenerationSettings
from fidtools.reader.fusion import passage_batches
from fidtools.reader.groups import in_groups
from fidtools.reader.network import Batch
from fidtools.reader.reader import Reader


def log_probability(reader: Reader, question: Question, tokens: list[int]) -> float:
    with torch.inference_mode():
        return -float(reader.fusion(Batch([reader.passages(question)], [tokens])))


def test_a_beam_as_wide_as_the_space_finds_the_most_probable(reader: Reader, questions: list[Question]) -> None:
    """Against every output of at most two tokens, each scored by itself."""
    question = questions[0]
    size = reader.fusion.model.config.vocab_size
    (found,) = answer_questions(reader, [question], GenerationSettings(beams=size, n_best=size, max_tokens=2))
    assert len(found) == size
    for answer in found[:5]:
        tokens = reader.tokenizer(answer.text, add_special_tokens=False).input_ids
        if len(tokens) == 2 and reader.text(tokens) == answer.text:
            assert answer.log_probability == pytest.approx(log_probability(reader, question, tokens), abs=1e-3)
    pairs = itertools.product(range(4, 24), repeat=2)
    best = max(log_probability(reader, question, list(pair)) for pair in pairs)
    assert max(a.log_probability for a in found) >= best - 1e-3


def test_greedy_log_probability_counts_the_end(reader: Reader, questions: list[Question]) -> None:
    """An answer of no words is `</s>` at once: its probability is that of one token."""
    with torch.no_grad():
        reader.fusion.model.lm_head.weight.zero_()
    (answer, *_), *_ = answer_questions(reader, questions, GenerationSettings(max_tokens=1))
    assert answer.log_probability == pytest.approx(-math.log(reader.fusion.model.config.vocab_size), abs=1e-4)


def test_n_best_is_in_order(reader: Reader, questions: list[Question]) -> None:
    for answers in answer_questions(reader, questions, GenerationSettings(beams=4, n_best=4, max_tokens=1)):
        values = [answer.log_probability for answer in answers]
        assert values == sorted(values, reverse=True)
        assert len({answer.text for answer in answers}) > 1


def test_the_most_attended_passages_are_read(reader: Reader, questions: list[Question]) -> None:
    question = questions[2]
    (scores,) = attention_scores(reader, [question])
    best = sorted(range(4), key=lambda i: -scores["attention"][i])[:2]
    fewer = Question(question.id, question.question, ctxs=[(question.ctxs or [])[i] for i in sorted(best)])
    search = GenerationSettings(max_tokens=6)
    assert answer_questions(reader, [question], search, keep_passages=2) == answer_questions(reader, [fewer], search)


def test_a_question_without_passages_is_read_alone(reader: Reader) -> None:
    assert reader.passages(Question("q", "who founded w1", ctxs=[])) == [
        reader.tokenizer("question: who founded w1").input_ids
    ]


def test_groups_hold_so_many_questions_or_passages() -> None:
    passages = [Passage("p", "text")]
    questions = [Question(str(i), "who", ctxs=passages * n) for i, n in enumerate([3, 3, 5, 1, 0, 9, 1])]
    by_passages = [[q.id for q in group] for group in in_groups(questions, 4, max_questions=9, max_passages=6)]
    assert by_passages == [["0", "1"], ["2", "3", "4"], ["5", "6"]]
    assert [len(g) for g in in_groups(questions, 4, max_questions=3, max_passages=99)] == [3, 3, 1]


def test_passage_batches_hold_like_lengths_within_the_budget() -> None:
    lengths = [5, 100, 97, 40, 33, 38, 300, 6]
    batches = passage_batches(lengths, token_budget=210)
    assert batches == [[6], [1, 2], [3, 5, 4], [7, 0]]
    assert sorted(i for batch in batches for i in batch) == list(range(8))
