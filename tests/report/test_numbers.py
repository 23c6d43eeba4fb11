"""What a report says about a run: the numbers, the causes, the conditions."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from fidtools.data.jsonl import write_lines
from fidtools.errors import DataError, FidtoolsError, MismatchError, UsageError
from fidtools.report import systems
from fidtools.report.building import Choices, build_report
from fidtools.report.conditions import Condition, failures, parse_condition
from fidtools.report.headline import beside_the_headline
from fidtools.report.outcomes import Judged, count_outcomes, interest_order, outcome_codes, varied
from fidtools.report.sources import file_names, find_sources
from fidtools.report.teacher import grouped, teacher_sections, warnings
from tests.report.conftest import QUESTIONS, question


def numbers(*paths, baselines=(), **chosen) -> dict:
    return build_report(find_sources(paths, "test", baselines), Choices(**chosen), with_questions=False).numbers


def test_a_run_is_its_iterations_in_numeric_order(run_folder):
    (run_folder / "10").mkdir()
    (run_folder / "10" / "test.jsonl").write_bytes((run_folder / "1" / "test.answered.jsonl").read_bytes())
    found = find_sources([run_folder], "test")
    assert [source.name for source in found.systems] == ["BM25", "iteration 1", "iteration 10"]
    assert found.systems[2].path == run_folder / "10" / "test.jsonl"
    assert found.title == "myrun"


def test_files_are_named_by_what_tells_them_apart(tmp_path):
    assert file_names([tmp_path / "a.answered.jsonl", tmp_path / "b.jsonl"]) == ["a", "b"]
    assert file_names([tmp_path / "0" / "t.jsonl", tmp_path / "1" / "t.jsonl"]) == ["0", "1"]
    twice = [tmp_path / "x" / "0" / "t.jsonl", tmp_path / "y" / "0" / "t.jsonl"]
    assert file_names(twice) == [str(path) for path in twice]


def test_a_folder_without_iterations_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no iteration with test\.answered\.jsonl"):
        find_sources([tmp_path], "test")
    with pytest.raises(UsageError, match="give one folder of a run, or files"):
        find_sources([tmp_path, tmp_path / "a.jsonl"], "test")


def test_what_became_of_every_question_and_why(run_folder):
    found = numbers(run_folder)
    assert found["metric"] == "EM"
    (change,) = found["changes"]
    assert {name: change[name] for name in ("from", "to", "won", "lost", "both", "neither", "unmeasured")} == {
        "from": 0, "to": 1, "won": 1, "lost": 3, "both": 1, "neither": 1, "unmeasured": 0
    }  # fmt: skip
    assert change["won_by"] == {"passages": 1, "reader": 0, "guess": 0}
    assert change["lost_by"] == {"passages": 1, "reader": 1, "guess": 1}
    reasons = {lost["id"]: lost["reason"] for lost in change["examples_lost"]}
    assert reasons == {
        "lost-passages": "The first passage with an answer fell from rank 2 to rank 3; "
        "the reader reads only the first 2.",
        "lost-reader": "An answer stands at rank 2 (before: rank 1), but the reader gives another answer.",
        "lost-guess": "The reader reads a passage with an answer neither before nor after: it was a guess.",
    }


def test_where_gold_is_known_a_passage_with_the_answers_word_alone_does_not_blame_the_reader(tmp_path):
    # (rank of gold before, after) of three passages, two of them read; the first one always has the answer's word
    cases = {"fell": (1, 3), "gone": (1, None), "read": (1, 2), "unread": (3, 3), "no-gold": None}
    for iteration in (0, 1):
        lines = []
        for name, case in cases.items():
            line = question(name, 1, ("Paris", "Rome")[iteration])
            place = case and case[iteration]
            lines.append(line | ({} if case is None else {"gold": [f"{name}-{place}" if place else "elsewhere"]}))
        folder = tmp_path / "gold" / str(iteration)
        (folder / "reader").mkdir(parents=True)
        (folder / "reader" / "fidtools.json").write_text('{"reader": {"n_context": 2}}')
        write_lines(folder / "test.answered.jsonl", lines)
    (change,) = numbers(tmp_path / "gold")["changes"]
    assert change["lost_by"] == {"passages": 2, "reader": 2, "guess": 1}
    assert {lost["id"]: (lost["cause"], lost["reason"]) for lost in change["examples_lost"]} == {
        "fell": ("passages", "The right passage fell from rank 1 to rank 3; the reader reads only the first 2."),
        "gone": ("passages", "The right passage was at rank 1 and is not retrieved any more."),
        "read": (
            "reader",
            "The right passage stands at rank 2 (before: rank 1), but the reader gives another answer.",
        ),
        "unread": ("guess", "The reader reads the right passage neither before nor after: it was a guess."),
        "no-gold": ("reader", "An answer stands at rank 1 (before: rank 1), but the reader gives another answer."),
    }


def test_metrics_recall_and_the_step_that_helped_most(run_folder):
    found = numbers(run_folder)
    before, after = found["systems"]
    assert before["metrics"]["EM"]["value"] == pytest.approx(100 * 4 / 6)
    assert after["metrics"]["EM"]["value"] == pytest.approx(100 * 2 / 6)
    assert [(k, value) for k, value, *_ in before["recall"]["R@"]] == [
        (1, pytest.approx(100 * 2 / 6)),
        (2, pytest.approx(100 * 3 / 6)),
        (3, pytest.approx(100 * 3 / 6)),
    ]
    best = found["helped_most"]
    assert (best["from"], best["to"], best["wins"], best["losses"]) == (0, 1, 1, 3)
    assert best["difference"] == pytest.approx(-100 * 2 / 6)


def three_iterations(numbers_of: dict[str, list[float]], helped: int) -> dict:
    """The numbers of BM25 and two iterations, as far as the headline needs them."""
    names = ["BM25", "iteration 1", "iteration 2"]
    tests = [
        {"metric": metric, "unit": "%", "from": a, "to": a + 1, "b": names[a + 1]}
        | {"difference": values[a + 1] - values[a], "b_means": [values[a + 1]]}
        for metric, values in numbers_of.items()
        for a in (0, 1)
    ]
    measured = [{m: {"value": values[at], "unit": "%"} for m, values in numbers_of.items()} for at in range(3)]
    found = [{"name": name, "metrics": metrics} for name, metrics in zip(names, measured, strict=True)]
    head = {"metric": "EM", "steps": [(0, 1), (1, 2)], "helped_most": {"from": helped - 1, "to": helped}}
    return {**head, "systems": found, "comparisons": tests}


@pytest.mark.parametrize(
    ("values", "helped", "said"),
    [
        (
            {"EM": [66.7, 91.4, 98.6], "R@1": [31.4, 46.4, 90.8]},
            1,
            [
                "Iteration 2 added +7.2 points of EM, to 98.6 %, the best.",
                "By R@1, iteration 2 helped most: +44.4 points, to 90.8 %.",
            ],
        ),
        (
            {"EM": [60.0, 80.0, 79.0], "R@1": [10.0, 30.0, 40.0]},
            1,
            ["Iteration 2 lost 1.0 points of EM, to 79.0 %.", "The best is iteration 1 with 80.0 %."],
        ),
        ({"EM": [60.0, 61.0, 80.0]}, 2, []),
        ({"EM": [60.0, 50.0, 55.0]}, 2, ["The best is BM25 with 60.0 %."]),
    ],
)
def test_what_stands_beside_the_headline(values, helped, said):
    assert beside_the_headline(three_iterations(values, helped)) == said


def test_one_step_has_nothing_beside_the_headline(run_folder):
    assert beside_the_headline(numbers(run_folder)) == []


def test_recall_as_the_metric_counts_the_cutoff_as_what_is_read(run_folder):
    (change,) = numbers(run_folder, metric="R@2")["changes"]
    assert change["lost_by"] == {"passages": 1, "reader": 0, "guess": 0}
    assert change["won_by"] == {"passages": 1, "reader": 0, "guess": 0}


def test_an_unknown_metric_is_refused_with_the_known_ones(run_folder):
    with pytest.raises(UsageError, match=r"--metric R@9: not measured in every system\n  measured in all are R@1, R@2"):
        numbers(run_folder, metric="R@9")


def test_systems_in_another_order_are_aligned_and_others_refused(run_folder, tmp_path):
    lines = [question(name, *case[2:]) for name, case in QUESTIONS.items()]
    write_lines(tmp_path / "turned.jsonl", lines[::-1])
    found = numbers(run_folder / "0" / "test.answered.jsonl", tmp_path / "turned.jsonl")
    (change,) = found["changes"]
    assert sorted(lost["id"] for lost in change["examples_lost"]) == ["lost-guess", "lost-passages", "lost-reader"]
    write_lines(tmp_path / "fewer.jsonl", lines[1:])
    with pytest.raises(MismatchError, match="lacks 1 questions of the first system"):
        numbers(run_folder / "0" / "test.answered.jsonl", tmp_path / "fewer.jsonl")


def test_a_baseline_is_compared_with_every_iteration_and_is_no_step(run_folder, tmp_path):
    write_lines(tmp_path / "sparse.jsonl", [question(name, *case[2:]) for name, case in QUESTIONS.items()])
    found = numbers(run_folder, baselines=[tmp_path / "sparse.jsonl"])
    pairs = {(test["a"], test["b"]) for test in found["comparisons"]}
    assert pairs == {("BM25", "iteration 1"), ("sparse", "BM25"), ("sparse", "iteration 1")}
    assert (found["helped_most"]["a"], found["helped_most"]["b"]) == ("BM25", "iteration 1")


def test_training_stages_and_settings_as_far_as_they_are_there(run_folder):
    found = numbers(run_folder)
    (model,) = [row for row in found["training"] if row["model"] == "retriever"]
    assert model["curve"] == [[1, 1.0, 10.0], [10, 0.1, 100.0], [20, 0.05, 200.0]]
    assert model["evaluations"] == [{"step": 20, "loss": 0.2}]
    assert model["rate"] == 150.0  # the first line, with the warm-up in it, is left out
    assert [stage["seconds"] for stage in found["run"]["stages"]] == [75.0]
    assert found["run"]["settings"]["START"] == "bm25"
    assert found["teacher"][0]["divided_by"] == 2.0
    assert found["teacher"][0]["auc_answer"] == 1.0
    assert found["teacher"][0]["earlier"] == "bm25"
    assert len(found["teacher"][0]["scatter"]) == 36


def test_files_alone_have_no_run(run_folder):
    found = numbers(run_folder / "0" / "test.answered.jsonl")
    assert found["training"] == found["teacher"] == found["changes"] == found["comparisons"] == []
    assert found["helped_most"] is None


def test_a_sample_is_the_same_questions_of_every_file(run_folder):
    found = numbers(run_folder, sample=3)
    assert found["questions"] == 3
    assert found["sampled"] == 3


def test_too_many_questions_are_refused_with_what_to_sample(run_folder, monkeypatch):
    monkeypatch.setattr(systems, "MOST_QUESTIONS", 2)
    wanted = r"about \d+ questions are too many for one page\n  --sample 10000 reports the same 10,000 questions"
    with pytest.raises(FidtoolsError, match=wanted):
        numbers(run_folder)
    monkeypatch.setattr(systems, "MOST_QUESTIONS", 5)  # not told from the size: counted while reading
    with pytest.raises(FidtoolsError, match="more than 5 questions are too many for one page"):
        numbers(run_folder)


def test_outcomes_by_hand():
    nan = float("nan")
    a = Judged(np.array([100.0, 0.0, nan, 100.0, 0.0]), [1, None, 1, 1, 3], 2)
    b = Judged(np.array([100.0, 0.0, 0.0, 0.0, 100.0]), [1, 1, 1, 9, 1], 2)
    codes = outcome_codes(a, b)
    assert codes == "=.?Pp"
    assert count_outcomes(codes)["unmeasured"] == 1
    assert interest_order([codes]) == [3, 4, 1, 0, 2]
    seen_too_late = Judged(np.array([0.0]), [1], 2)
    assert outcome_codes(Judged(np.array([100.0]), [None], 2), seen_too_late) == "R"
    assert outcome_codes(seen_too_late, Judged(np.array([100.0]), [None], 2)) == "r"
    assert varied("RPPGP.", 4) == [1, 0, 3, 2]


def test_conditions():
    assert parse_condition(" R@20 < 80 ") == Condition("R@20", "<", 80.0)
    found = failures([parse_condition("EM<50"), parse_condition("R@1>=10")], {"EM": 49.5, "R@1": 9.0}, "dense")
    assert found == ["EM of dense is 49.50: EM<50"]
    with pytest.raises(UsageError, match="expected METRIC<NUMBER"):
        parse_condition("R@20=80")
    with pytest.raises(UsageError, match=r"--fail-if F1<1: F1 was not measured\n  measured were EM"):
        failures([parse_condition("F1<1")], {"EM": 1.0}, "dense")


FINE = {"questions": 10, "passages": 20.0, "uniform": 0, "effective": 5.0, "length": 0.1, "rank": -0.2}
FINE |= {"auc_gold": 0.9, "auc_answer": 0.9}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"uniform": 3}, "3 of 10 questions have the same score on every passage"),
        ({"effective": 19.0}, "spread over 19.0 of 20.0 passages"),
        ({"effective": 1.01}, "nearly all probability on one passage"),
        ({"auc_gold": 0.52}, "hardly tells gold passages from the others (AUC 0.52"),
        ({"auc_answer": 0.6}, "tells only weakly passages that hold an answer"),
        ({"length": -0.5}, "prefers shorter passages"),
        ({"rank": -0.9}, "mostly repeat the earlier ranking (rank correlation +0.90)"),
    ],
)
def test_warnings_of_a_teacher_in_words(changed, said):
    found = warnings(FINE | changed)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_scores_of_other_teachers_are_not_described(tmp_path):
    folder = tmp_path / "0"
    folder.mkdir()
    line = {"id": "q", "question": "q?", "answers": ["a"], "ctxs": [{"id": "p", "text": "a", "scores": {"bm25": 1.0}}]}
    (folder / "dev.scored.jsonl").write_bytes(orjson.dumps(line) + b"\n")
    assert teacher_sections(tmp_path, {}) == []


def test_groups_of_equal_size_with_means():
    found = grouped(np.arange(100.0), np.repeat([0.0, 1.0], 50))
    assert [row["n"] for row in found] == [10] * 10
    assert [row["mean"] for row in found] == [0.0] * 5 + [1.0] * 5
    assert (found[0]["from"], found[0]["to"]) == (0.0, 9.0)
    assert grouped(np.full(5, 3.0), np.arange(5.0))[0]["mean"] == 2.0
