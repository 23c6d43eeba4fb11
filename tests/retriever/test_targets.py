"""Teachers are mixed as documented, and targets that would teach nothing are refused before training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from fidtools.cli import run
from fidtools.data.records import Location, Passage, Question
from fidtools.errors import DataError, FidtoolsError, UsageError
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.examples import read_examples
from fidtools.training.targets import check_targets, parse_teacher, perplexity, teacher_scores, without_source

HERE = Location("train.jsonl", 7)


def question(*scores: dict[str, float], score: list[float] | None = None) -> Question:
    own = score or [None] * len(scores)  # type: ignore[list-item]
    ctxs = [Passage(str(i), "text", score=own[i], scores=dict(s)) for i, s in enumerate(scores)]
    return Question("q1", "who?", ctxs=ctxs, location=HERE)


def test_one_teacher_is_taken_as_it_is() -> None:
    asked = question({"attention": 2.5, "bm25": 9}, {"attention": -1.0, "bm25": 3}, {"bm25": 3})
    assert teacher_scores(asked, 2, {"attention": 1.0}).tolist() == [2.5, -1.0]


def test_several_teachers_are_mixed_as_weighted_z_scores() -> None:
    asked = question({"a": 1, "b": 300}, {"a": 2, "b": 100}, {"a": 3, "b": 200})
    a, b = np.array([-1, 0, 1]) / np.sqrt(2 / 3), np.array([1, -1, 0]) / np.sqrt(2 / 3)
    found = teacher_scores(asked, 3, {"a": 3.0, "b": 1.0})
    np.testing.assert_allclose(found, 0.75 * a + 0.25 * b, rtol=1e-12)


def test_teachers_are_read_from_the_option() -> None:
    assert parse_teacher("attention") == {"attention": 1.0}
    assert parse_teacher("attention=0.7, bm25=0.3") == {"attention": 0.7, "bm25": 0.3}
    for wrong in ("", "attention=x", "a=0", "a,,b", "a=-1", "a=1_0", "a=0.7,b=1,a=0.3"):
        with pytest.raises(UsageError, match="--teacher"):
            parse_teacher(wrong)


def test_a_missing_score_stops_and_says_where() -> None:
    asked = question({"attention": 2.5}, {"attention": 1.0}, {"bm25": 3})
    with pytest.raises(DataError) as caught:
        teacher_scores(asked, 3, {"attention": 1.0})
    assert str(caught.value) == (
        "train.jsonl:7: field 'ctxs[2].scores.attention': missing\n"
        "  only the first 2 passages are scored: use --n-passages 2, or score all passages"
    )


def test_scores_of_two_tools_under_score_stop() -> None:
    mixed = question({"attention": 2.5}, {"attention": 1.0, "bm25": 7}, {"bm25": 3}, score=[2.5, 1.0, 3])
    with pytest.raises(DataError, match="scores of different tools, on different scales"):
        teacher_scores(mixed, 3, {"score": 1.0})
    alike = question({"attention": 2.5}, {"attention": 1.0, "bm25": 7}, score=[2.5, 1.0])
    assert teacher_scores(alike, 2, {"score": 1.0}).tolist() == [2.5, 1.0]


def test_uniform_targets_are_refused() -> None:
    # what the reference makes of a file without scores: 1 / (number of the question)
    with pytest.raises(DataError, match="uniform targets: all passages have the same score in 9 of 9 questions"):
        check_targets([np.full(5, 1 / (k + 1)) for k in range(9)], 1.0, "t")


def test_scores_that_differ_in_double_precision_only_are_refused() -> None:
    targets = [np.array([1_700_000_000.25, 1_700_000_000.5, 1_700_000_001.0])] * 3
    with pytest.raises(DataError, match="same score in 3 of 3 questions, in single precision"):
        check_targets(targets, None, "train.jsonl")
    check_targets([scores - 1_700_000_000 for scores in targets], None, "train.jsonl")


def test_a_score_beyond_single_precision_stops_and_says_where() -> None:
    assert teacher_scores(question({"a": 3e38}, {"a": 0.0}), 2, {"a": 1.0}).tolist() == [3e38, 0.0]
    with pytest.raises(DataError) as caught:
        teacher_scores(question({"a": 4e38}, {"a": 0.0}), 2, {"a": 1.0})
    assert str(caught.value).startswith("train.jsonl:7: field 'ctxs[].a': scores must be finite, and at most 3.4e38")


@pytest.mark.parametrize(
    ("logarithms", "problem"),
    [
        ([-200.0, -210.0], "--probabilities: exp(score) is 0 for all passages in 4 of 4 questions"),
        ([100.0, 3.0], "--probabilities: exp(score) is infinite"),
    ],
)
def test_logarithms_without_a_likelihood_are_refused(
    logarithms: list[float], problem: str, plain_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = tmp_path / "t.jsonl"
    ctxs = [{"text": f"w{i}", "scores": {"likelihood": value}} for i, value in enumerate(logarithms)]
    train.write_bytes((orjson.dumps({"question": "w1", "ctxs": ctxs}) + b"\n") * 4)
    options = ["--retriever", str(plain_model), "--teacher", "likelihood", "--probabilities"]
    assert run(["train-retriever", str(train), *options, "-o", str(tmp_path / "r"), "-q"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == f"fidtools: {train}: {problem}"
    assert run(["teacher-report", str(train), *options[2:]]) == 1
    assert capsys.readouterr().err.splitlines()[0] == f"fidtools: {train}: {problem}"


@pytest.mark.parametrize(
    ("batch", "passages", "refused"),
    [
        ("1", [["w1"], ["w2"]], True),
        ("2", [["w1"], ["w1"]], True),
        ("2", [["w1"], ["w2"]], False),
        ("1", [["w1", "w3"], ["w2"]], False),
    ],
)
def test_labels_without_a_passage_that_is_not_relevant_are_refused(
    batch: str, passages: list[list[str]], refused: bool, plain_model: Path, tmp_path: Path, capsys
) -> None:
    train = tmp_path / "t.jsonl"
    lines = [
        {"question": "w5", "gold": ["0"], "ctxs": [{"id": str(i), "text": text} for i, text in enumerate(texts)]}
        for texts in passages
    ]
    train.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    options = ["--retriever", str(plain_model), "--loss", "infonce", "--labels", "gold", "--batch", batch]
    code = run(["train-retriever", str(train), *options, "--steps", "1", "-o", str(tmp_path / "r"), "-q"])
    said = f"fidtools: {train}: no update has a passage that is not relevant, so there is nothing to learn"
    assert (code, capsys.readouterr().err.splitlines()[:1]) == ((1, [said]) if refused else (0, []))


def test_nearly_uniform_targets_are_refused_with_the_temperature_that_would_do() -> None:
    draw = np.random.default_rng(0)
    targets = [draw.normal(size=20) * 0.01 for _ in range(5)]
    for temperature in (1.0, 0.08):
        with pytest.raises(FidtoolsError, match=r"(?s)nearly uniform targets: .* try --teacher-temperature 0.0094"):
            check_targets(targets, temperature, "t")
    check_targets(targets, None, "t")  # of a loss that makes no softmax of them


@pytest.mark.parametrize(("temperature", "warned"), [(0.05, ["98.18%"]), (0.01, [])])
def test_faint_targets_are_warned_of(temperature: float, warned: list[str], caplog: pytest.LogCaptureFixture) -> None:
    draw = np.random.default_rng(0)
    with caplog.at_level("WARNING", logger="fidtools"):
        check_targets([draw.normal(size=20) * 0.01 for _ in range(5)], temperature, "t")
    assert re.findall(r"[\d.]+%", caplog.text) == warned


def test_defaults_mixed_with_scores_are_refused() -> None:
    # what the reference writes when the reader has read 3 of 8 passages: attention logits, then the default 1.0
    targets = [np.array([-0.1, -0.3, -0.2, 1, 1, 1, 1, 1]) + 0 * k for k in range(4)]
    with pytest.raises(DataError, match="mixed scales: in 4 of 4 questions many passages share one score"):
        check_targets(targets, 1.0, "t")


def test_ties_of_low_precision_are_no_defaults() -> None:
    draw = np.random.default_rng(0)
    check_targets([np.round(draw.normal(size=10), 1) for _ in range(30)], 1.0, "t")


def test_the_perplexity_of_a_target() -> None:
    assert perplexity(np.zeros(7)) == pytest.approx(7)
    assert perplexity(np.array([100.0, 0, 0])) == pytest.approx(1)
    assert perplexity(np.log([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)
    assert perplexity(2 * np.log([0.5, 0.25, 0.25]), 2.0) == pytest.approx(2**1.5)


def test_examples_keep_what_the_file_says(plain_model: Path, questions: Callable[..., Path]) -> None:
    path = questions(count=3, passages=4)
    retriever = load_retriever(plain_model)
    examples = read_examples(path, retriever, {"attention": 1.0}, 3, "gold")
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    for item, line in zip(examples.items, lines, strict=True):
        assert item.teacher.tolist() == [ctx["scores"]["attention"] for ctx in line["ctxs"][:3]]
        assert item.labels is not None
        assert item.labels.tolist() == [False, False, True]
        assert [examples.questions[item.question]] == retriever.tokenize_questions([line["question"]])
        texts = [Passage(None, ctx["text"], ctx["title"]) for ctx in line["ctxs"][:3]]
        assert [examples.passages[int(number)] for number in item.passages] == retriever.tokenize_passages(texts)


def test_the_same_passage_met_again_is_kept_once(plain_model: Path, tmp_path: Path) -> None:
    ctxs = [{"text": "w1 w2", "scores": {"a": 1}}, {"text": "w3", "scores": {"a": 2}}]
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"question": "w1", "ctxs": ctxs}) + b"\n" for _ in range(3)))
    examples = read_examples(path, load_retriever(plain_model), {"a": 1.0}, 9)
    assert len(examples.passages) == 2
    assert [item.passages.tolist() for item in examples.items] == [[0, 1]] * 3


def test_labels_by_answer(plain_model: Path, tmp_path: Path) -> None:
    ctxs = [{"text": "w1 w2", "score": 1}, {"text": "w3", "score": 2}]
    path = tmp_path / "t.jsonl"
    path.write_bytes(orjson.dumps({"question": "w1", "answers": ["W3"], "ctxs": ctxs}))
    labels = read_examples(path, load_retriever(plain_model), {}, 9, "answer").items[0].labels
    assert labels is not None
    assert labels.tolist() == [False, True]


def test_labels_without_a_relevant_passage_teach_nothing(plain_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    question = {"question": "w1", "answers": ["W3"], "gold": ["a"], "ctxs": [{"id": "b", "text": "w3"}]}
    path.write_bytes(orjson.dumps(question))
    for need_positive in (False, True):  # as in bce, and in infonce
        with pytest.raises(DataError, match="no passage of any question is relevant"):
            read_examples(path, load_retriever(plain_model), {}, 9, "gold", need_positive=need_positive)
    assert len(read_examples(path, load_retriever(plain_model), {}, 9, "answer").items) == 1


def test_faults_are_reported_together(plain_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    good = {"question": "w1", "ctxs": [{"text": "w1", "scores": {"attention": 1}}]}
    bad = {"question": "w1", "ctxs": [{"text": "w1"}]}
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in (good, *[bad] * 7)))
    with pytest.raises(FidtoolsError) as caught:
        read_examples(path, load_retriever(plain_model), {"attention": 1.0}, 9)
    assert str(caught.value).count("field 'ctxs[0].scores.attention': missing") == 5
    assert str(caught.value).endswith("… and 2 more")


def synthetic(scores: list[dict[str, float]], gold: list[str], flag: object = True) -> Question:
    asked = question(*scores)
    asked.extra = {"gold": gold, "synthetic": flag}
    return asked


CAPPED = float(np.nextafter(-7.0, -np.inf))  # just below the best other passage
LIKELY = [{"question-likelihood": value, "bm25": bm25} for value, bm25 in [(-9.0, 1.0), (-2.0, 5.0), (-7.0, 3.0)]]


def test_the_likelihood_of_the_passage_a_question_was_written_from_is_capped() -> None:
    teachers = {"question-likelihood": 1.0}
    written = synthetic(LIKELY, ["1"])
    assert teacher_scores(written, 3, teachers, "cap").tolist() == [-9.0, CAPPED, -7.0]
    assert teacher_scores(written, 3, teachers).tolist() == [-9.0, -2.0, -7.0]
    assert teacher_scores(written, 3, {"bm25": 1.0}, "cap").tolist() == [1.0, 5.0, 3.0]
    assert teacher_scores(synthetic(LIKELY, ["0"]), 3, teachers, "cap").tolist() == [-9.0, -2.0, -7.0]  # no raise
    assert teacher_scores(synthetic(LIKELY[:1], ["0"]), 3, teachers, "cap").tolist() == [-9.0]
    mean = [{"question-likelihood-per-token": p["question-likelihood"]} for p in LIKELY]
    assert teacher_scores(synthetic(mean, ["1"]), 3, {"question-likelihood-per-token": 1.0}, "cap")[1] == CAPPED


def test_the_cap_reaches_a_score_that_is_the_likelihood() -> None:
    asked = synthetic(LIKELY, ["1"])
    asked.rank_by("question-likelihood")
    assert teacher_scores(asked, 3, {"score": 1.0}, "cap").tolist() == [CAPPED, -7.0, -9.0]
    asked.rank_by("bm25")
    assert teacher_scores(asked, 3, {"score": 1.0}, "cap").tolist() == [5.0, 3.0, 1.0]


def test_capped_scores_are_not_taken_for_defaults() -> None:
    values = [-2.0, -7.0, -9.0, -12.0, -15.0, -20.0, -21.0, -30.0]
    asked = synthetic([{"question-likelihood": value} for value in values], ["0"])
    targets = [teacher_scores(asked, 8, {"question-likelihood": 1.0}, "cap")] * 4
    check_targets(targets, 1.0, "train.jsonl")


@pytest.mark.parametrize("flag", [False, None, "true"])
def test_questions_that_people_asked_keep_their_scores(flag: object) -> None:
    asked = synthetic(LIKELY, ["1"], flag)
    assert teacher_scores(asked, 3, {"question-likelihood": 1.0}, "cap").tolist() == [-9.0, -2.0, -7.0]
    without_source(asked)
    assert len(asked.ctxs or []) == 3


def test_a_capped_mixture_is_of_capped_z_scores() -> None:
    found = teacher_scores(synthetic(LIKELY, ["1"]), 3, {"question-likelihood": 1.0, "bm25": 3.0}, "cap")
    likelihood, bm25 = np.array([-9.0, -7.0, -7.0]), np.array([1.0, 5.0, 3.0])
    z = [(column - column.mean()) / column.std() for column in (likelihood, bm25)]
    assert found == pytest.approx((z[0] + 3 * z[1]) / 4)


def test_the_passage_a_question_was_written_from_is_dropped() -> None:
    asked = synthetic(LIKELY, ["1"])
    without_source(asked)
    assert [passage.id for passage in asked.ctxs or []] == ["0", "2"]
    with pytest.raises(DataError, match=r"^train.jsonl:7: field 'ctxs': no passage but the one"):
        without_source(synthetic(LIKELY[:1], ["0"]))
