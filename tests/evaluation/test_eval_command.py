"""`fidtools eval` as its users see it."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from fidtools.cli import run
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.data.records import Passage, Question
from fidtools.evaluation.family import MetricSettings
from fidtools.evaluation.measure import Pooled
from fidtools.evaluation.paired import SystemRuns, compare_runs
from fidtools.evaluation.registry import measures
from fidtools.evaluation.scores import Scores, collect
from fidtools.evaluation.system import System
from fidtools.evaluation.tables import rich_tables


def question(number: int, texts: list[str], **rest: object) -> dict:
    ctxs = [Passage(f"p{i}", text, score=-float(i)) for i, text in enumerate(texts)]
    fields = {"answers": ["Paris"], "ctxs": ctxs, **rest}
    return Question(str(number), f"Question {number}?", **fields).to_json()


@pytest.fixture
def ranked(tmp_path):
    path = tmp_path / "ranked.jsonl"
    extra = [{"gold": ["p1"], "kind": "x"}, {"gold": ["p0"], "kind": "y"}]
    lines = [
        question(0, ["In Paris.", "Rome"], prediction="the Paris", extra=extra[0]),
        question(1, ["Rome", "PARIS!"], prediction="in Paris", extra=extra[1]),
        question(2, ["Rome", "Parisian"], answers=["\u200b"], prediction="x"),
    ]
    write_lines(path, lines)
    return path


def document(*arguments: object, capsys) -> dict:
    assert run(["eval", "--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_file_as_json(ranked, capsys):
    (file,) = document(ranked, "--k", "1,2,5", capsys=capsys)["files"]
    values = {name: (metric["value"], metric["n"]) for name, metric in file["metrics"].items()}
    assert values == {
        "R@1": (50.0, 2),
        "R@2": (100.0, 2),
        "gold-R@1": (50.0, 2),
        "gold-R@2": (100.0, 2),
        "EM": (pytest.approx(100 / 3), 3),
        "F1": (pytest.approx((100 + 200 / 3) / 3), 3),
    }
    assert file["metrics"]["EM"]["by"] == "SQuAD's normalisation"
    assert file["not_computed"]["R@5"] == "no question has more than 2 passages"
    assert file["questions"] == 3
    note = "1 questions have no usable answer (empty, or without a letter, digit or sign): left out of R@1, R@2, R@5"
    assert note in file["notes"]


def test_empty_lists_of_passages_are_named(tmp_path, capsys):
    (tmp_path / "q.jsonl").write_text('{"question": "who?", "answers": ["me"], "ctxs": []}\n')
    reason = (
        "  all lists of passages are empty; the questions have no gold passage ids; the questions have no prediction\n"
    )
    assert run(["eval", str(tmp_path / "q.jsonl")]) == 1
    assert capsys.readouterr().err == f"fidtools: {tmp_path}/q.jsonl: no metric can be computed\n{reason}"
    assert run(["report", str(tmp_path / "q.jsonl"), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"fidtools: nothing can be measured on these files\n{reason}"


def test_ranks_beyond_the_lists_are_left_out_aloud(ranked, capsys):
    left_out = "no question has more than 2 passages: left out R@5, R@20, gold-R@5, gold-R@20\n"
    assert run(["eval", "--k", "1,5,20", str(ranked)]) == 0
    assert capsys.readouterr().err.count(left_out) == 1
    assert run(["eval", "--k", "1,2", str(ranked)]) == 0
    assert "left out R@5" not in capsys.readouterr().err


def test_questions_of_one_id_are_counted_and_noted(tmp_path, capsys):
    question = {"id": "q", "question": "?", "answers": ["a"], "ctxs": [{"id": "p", "text": "a"}]}
    write_lines(tmp_path / "twice.jsonl", [question, question, question | {"id": "other"}])
    assert run(["eval", "--k", "1", str(tmp_path / "twice.jsonl")]) == 0
    assert "1 questions have the id of an earlier one: each is counted\n" in capsys.readouterr().err


def test_several_files_in_a_pipe_are_tab_separated(ranked, capsys):
    assert run(["eval", str(ranked), str(ranked), "-m", "EM", "-q"]) == 0
    header, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert header == ["file", "group", "metric", "value", "low", "high", "n", "unit", "by"]
    assert [row[:4] for row in rows] == [[str(ranked), "", "EM", "33.3333"]] * 2


def test_empty_answers_count_as_the_reference_has_it_only_when_asked_for(ranked, capsys):
    (file,) = document(ranked, "-m", "R@1", "--empty-matches", capsys=capsys)["files"]
    assert file["metrics"]["R@1"]["value"] == pytest.approx(200 / 3)


def test_a_missing_prediction_counts_as_wrong_and_is_said(tmp_path, capsys):
    path = tmp_path / "partly.jsonl"
    rows = [question(0, [], prediction="Paris"), question(1, []), question(2, [], answers=None, prediction="x")]
    write_lines(path, rows)
    (file,) = document(path, "-m", "EM", capsys=capsys)["files"]
    assert (file["metrics"]["EM"]["value"], file["metrics"]["EM"]["n"]) == (50.0, 2)
    assert file["notes"] == [
        "1 questions have no prediction: counted as 0 in EM",
        "1 questions have no answers: left out of EM",
    ]


def test_groups_by_a_field_and_by_overlap_with_training(ranked, tmp_path, capsys):
    (file,) = document(ranked, "--by", "kind", "-m", "R@1", capsys=capsys)["files"]
    assert {name: m["R@1"]["value"] for name, m in file["groups"].items() if m} == {"x": 100.0, "y": 0.0}
    note = "1 questions have no usable answer (empty, or without a letter, digit or sign): left out of R@1"
    assert file["notes"] == [note]
    (file,) = document(ranked, "--by", "kid", "-m", "R@1", capsys=capsys)["files"]
    assert sorted(file["notes"]) == [note, "no question has the field kid of --by"]
    train = tmp_path / "train.jsonl"
    write_lines(train, [{"question": "the QUESTION 0", "answers": ["Oslo"]}, {"question": "z", "answers": ["paris!"]}])
    (file,) = document(ranked, "--train", train, "-m", "EM", capsys=capsys)["files"]
    assert {name: metrics["EM"]["n"] for name, metrics in file["groups"].items()} == {
        "answer overlap only": 1,
        "no overlap": 1,
        "question overlap": 1,
    }


def test_groups_of_values_that_are_no_words(tmp_path, capsys):
    path = tmp_path / "q.jsonl"
    kinds = [{}, {"k": None}, {"k": ""}, {"k": True}, {"k": ["a", 1]}, {"k": "é"}, {"k": 1}]
    write_lines(path, [question(i, [], prediction="x", extra=kind) for i, kind in enumerate(kinds)])
    (file,) = document(path, "--by", "k", "-m", "EM", capsys=capsys)["files"]
    counts = {name: metrics["EM"]["n"] for name, metrics in file["groups"].items()}
    assert counts == {"(none)": 2, '""': 1, "true": 1, '["a", 1]': 1, "é": 1, "1": 1}


def test_predictions_are_matched_by_regular_expressions(tmp_path, capsys):
    path = tmp_path / "q.jsonl"
    answers = [r"19(60|61)", r"Gagarin|Gagárin"]
    predictions = ["1961", "1962", "in 1961", "yuri gagarin", "GAGARIN, Yuri"]
    write_lines(path, [question(i, [], prediction=p, answers=answers) for i, p in enumerate(predictions)])
    (file,) = document(path, "--regex", "--per-question", tmp_path / "v.jsonl", capsys=capsys)["files"]
    assert set(file["metrics"]) == {"EM"}
    assert "regular expressions, which have no tokens" in file["not_computed"]["F1"]
    values = [json.loads(line)["EM"] for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert values == [100.0, 0.0, 0.0, 0.0, 100.0]  # from the beginning, in any case, as in DrQA's script
    assert run(["eval", str(path), "--regex", "-m", "accuracy"]) == 2
    assert "accuracy cannot be computed where the answers are regular expressions" in capsys.readouterr().err


def test_the_labels_of_questions_are_used_and_differences_noted(tmp_path, capsys):
    system, labels = tmp_path / "system.jsonl", tmp_path / "labels.jsonl"
    own = {"gold": ["p0"]}
    write_lines(system, [question(i, ["Paris", "Oslo"], prediction="Paris", extra=own) for i in range(3)])
    given = [{"answers": ["Oslo"]}, {"answers": ["Paris"], "extra": {"gold": ["p1"]}}, {"answers": None}]
    write_lines(labels, [question(i, [], ctxs=None, **fields) for i, fields in enumerate(given)])
    names = ("R@1", "gold-R@1", "EM")
    metrics = [part for name in names for part in ("-m", name)]
    (file,) = document(system, "--questions", labels, *metrics, capsys=capsys)["files"]
    assert {name: (m["value"], m["n"]) for name, m in file["metrics"].items()} == {
        name: (pytest.approx(200 / 3), 3) for name in names
    }
    assert file["notes"] == ["2 questions have other answers or gold in --questions: those are used"]


def test_a_passage_that_is_listed_twice_is_noted(tmp_path, capsys):
    ctxs = [Passage("a", "Oslo"), Passage("a", "Oslo"), Passage("b", "Paris")]
    write_lines(tmp_path / "q.jsonl", [question(0, [], ctxs=ctxs)])
    (file,) = document(tmp_path / "q.jsonl", "-m", "R@2", capsys=capsys)["files"]
    assert file["metrics"]["R@2"]["value"] == 0.0
    assert file["notes"] == [
        "1 questions list a passage twice: every place counts in R@k, the first one in measures of ir_measures"
    ]


def test_values_of_every_question(ranked, tmp_path, capsys):
    document(ranked, "-m", "EM", "-m", "R@1", "--per-question", tmp_path / "values.jsonl", capsys=capsys)
    first, _, last = [json.loads(line) for line in (tmp_path / "values.jsonl").read_text().splitlines()]
    assert first == {"file": str(ranked), "id": "0", "question": "Question 0?", "group": "", "EM": 100.0, "R@1": 100.0}
    assert "R@1" not in last


def test_a_tab_or_line_break_in_a_group_does_not_end_its_cell(tmp_path, capsys):
    kinds = ["a\tb", "c\n", "d"]
    lines = [question(i, ["Paris"], extra={"kind": kind}) for i, kind in enumerate(kinds)]
    write_lines(tmp_path / "ranked.jsonl", lines)
    assert run(["eval", str(tmp_path / "ranked.jsonl"), "-m", "R@1", "--by", "kind"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {len(row) for row in rows} == {9}
    assert [row[1] for row in rows[2:]] == [r'"a\tb"', r'"c\n"', "d"]


def flagged(*flags: object) -> dict:
    return question(0, [], ctxs=[Passage(str(i), "", extra={"has_answer": flag}) for i, flag in enumerate(flags)])


def test_flags_may_be_numbers_or_text(tmp_path, capsys):
    write_lines(tmp_path / "flags.jsonl", [flagged("False", "True"), flagged(0, 1), flagged("0", "false")])
    (file,) = document(tmp_path / "flags.jsonl", "--k", "1,2", capsys=capsys)["files"]
    values = {name: metric["value"] for name, metric in file["metrics"].items()}
    assert values == {"R@1": 0.0, "R@2": pytest.approx(200 / 3)}


def test_other_flags_are_refused(tmp_path, capsys):
    write_lines(tmp_path / "flags.jsonl", [flagged(True), flagged("no")])
    assert run(["eval", str(tmp_path / "flags.jsonl")]) == 1
    assert "flags.jsonl:2: field 'ctxs.has_answer': must be true or false (got no)" in capsys.readouterr().err


def test_agreement_of_two_scores(tmp_path, capsys):
    path = tmp_path / "scored.jsonl"
    scores = [{"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 3.0}, {"a": 1.0, "b": 0.0}]
    ctxs = [Passage(str(i), "t", scores=s) for i, s in enumerate(scores)]
    write_lines(path, [Question("0", "?", ctxs=ctxs).to_json()])
    (file,) = document(path, "--agreement", "a", "b", "--k", "1,5", capsys=capsys)["files"]
    values = {name: metric["value"] for name, metric in file["metrics"].items()}
    assert values["inversions"] == 1.0
    assert values["kendall"] == pytest.approx(1 / 3)
    assert (values["overlap@1"], values["cover@1"]) == (0.0, 2.0)
    assert "overlap@5" not in values


def test_agreement_at_k_is_of_questions_with_more_than_k_passages(tmp_path, capsys):
    path = tmp_path / "scored.jsonl"
    lists = [[Passage(str(i), "t", scores={"a": float(i), "b": float(-i)}) for i in range(n)] for n in (2, 3, 4)]
    write_lines(path, [Question(str(row), "?", ctxs=ctxs).to_json() for row, ctxs in enumerate(lists)])
    (file,) = document(path, "--agreement", "a", "b", "--k", "1,3,4", capsys=capsys)["files"]
    values = {name: (metric["value"], metric["n"]) for name, metric in file["metrics"].items() if "@" in name}
    assert values == {
        "overlap@1": (0.0, 3),
        "overlap@3": (pytest.approx(200 / 3), 1),
        "cover@1": (3.0, 3),
        "cover@3": (4.0, 1),
    }


def test_options_that_rank_agreement_does_not_use_are_named(tmp_path, capsys):
    path = tmp_path / "scored.jsonl"
    ctxs = [Passage(str(i), "t", scores={"a": float(i), "b": float(-i)}) for i in range(2)]
    write_lines(path, [Question("0", "?", ctxs=ctxs).to_json()])
    agreement = ["eval", str(path), "--agreement", "a", "b"]
    assert run([*agreement, "-m", "R@5", "--profile", "squad", "--regex", "--k", "1"]) == 0
    said = capsys.readouterr().err
    assert "--metric, --profile, --regex have no effect with --agreement" in said
    assert run([*agreement, "--k", "1"]) == 0
    assert "no effect" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["eval", "compare"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["-m", "EM", "--k", "3", "--empty-matches"], "--k, --empty-matches have no effect on these metrics"),
        (["-m", "R@1", "--prediction", "prediction"], "--prediction has no effect on these metrics"),
        (["-m", "R@1", "--profile", "triviaqa"], "--profile has no effect on these metrics"),
        (["-m", "R@k", "--regex", "--empty-matches"], "--empty-matches has no effect with --regex"),
        (["--k", "1", "--prediction", "prediction", "--gold", "gold", "--profile", "squad"], None),
        (["-m", "EM", "--profile", "triviaqa", "--regex"], None),
    ],
)
def test_options_that_the_metrics_do_not_use_are_named(command, given, said, ranked, capsys):
    assert run([command, str(ranked), *([str(ranked)] if command == "compare" else []), *given]) == 0
    err = capsys.readouterr().err
    assert said in err if said else "no effect" not in err


def test_gold_of_the_questions_is_not_used_beside_qrels(ranked, tmp_path, capsys):
    (tmp_path / "qrels.txt").write_text("0 0 p1 1\n")
    assert run(["eval", str(ranked), "-m", "gold-R@1", "--qrels", str(tmp_path / "qrels.txt"), "--gold", "x"]) == 0
    assert "--gold has no effect with --qrels" in capsys.readouterr().err


def test_answers_of_a_fid_output_file_are_joined_with_their_questions(tmp_path, capsys):
    write_lines(tmp_path / "test.jsonl", [question(i, []) for i in range(3)])
    (tmp_path / "final_output.txt").write_text("0\tParis\n2\tin\tParis\n")
    (file,) = document(
        tmp_path / "final_output.txt", "--questions", tmp_path / "test.jsonl", "-m", "EM", capsys=capsys
    )["files"]
    assert file["format"] == "fid-output"
    assert (file["metrics"]["EM"]["value"], file["metrics"]["EM"]["n"]) == (pytest.approx(100 / 3), 3)


def test_texts_of_a_run_come_from_the_corpus(tmp_path, capsys):
    write_lines(tmp_path / "test.jsonl", [question(0, [], ctxs=None)])
    write_lines(tmp_path / "passages.jsonl", [{"id": "a", "text": "Rome"}, {"id": "b", "text": "Paris"}])
    (tmp_path / "run.trec").write_text("0 Q0 a 1 2.5 x\n0 Q0 b 2 1.5 x\n")
    arguments = ["--questions", tmp_path / "test.jsonl", "-m", "R@k", "--k", "1,2", tmp_path / "run.trec"]
    (file,) = document(*arguments, "--passages", tmp_path / "passages.jsonl", capsys=capsys)["files"]
    assert [file["metrics"][name]["value"] for name in ("R@1", "R@2")] == [0.0, 100.0]
    assert run(["eval", *map(str, arguments)]) == 1
    assert "give the corpus with --passages" in capsys.readouterr().err


def test_lists_that_are_not_in_order_are_said_and_can_be_sorted(tmp_path, capsys):
    path = tmp_path / "wscores.jsonl"
    ctxs = [Passage("a", "Rome", score=0.1), Passage("b", "Paris", score=0.9)]
    write_lines(path, [Question("0", "?", ["Paris"], ctxs=ctxs).to_json()])
    (listed,) = document(path, "-m", "R@1", capsys=capsys)["files"]
    (ranked,) = document(path, "-m", "R@1", "--rank-by", "score", capsys=capsys)["files"]
    assert (listed["metrics"]["R@1"]["value"], ranked["metrics"]["R@1"]["value"]) == (0.0, 100.0)
    assert "not in descending order of score" in listed["notes"][0]
    assert ranked["notes"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-m", "R@x"], 2, "available: R@k, gold-R@k, evidence@k, oracle@k, EM, F1"),
        (["--k", "0,5"], 2, "must be positive integers"),
        (["--k", "1,1_0"], 2, "'1,1_0': must be positive integers"),
        (["--k", "５"], 2, "'５': must be positive integers"),
        (["--profile", "fever"], 0, ""),
        (["-m", "evidence@1"], 1, "no metric can be computed\n  the questions have no evidence"),
        (["--questions", "/dev/null"], 1, "/dev/null"),
        (["--rank-by", "attention"], 1, "no such score"),
        (["--rank-by", "attention"], 1, "ranked.jsonl:1: field 'scores.attention'"),
        (["--prediction", "answer_x"], 1, "field 'answer_x': does not occur in the file\n  fields with strings: kind"),
    ],
)
def test_what_cannot_be_measured_is_said(ranked, capsys, arguments, code, said):
    assert run(["eval", str(ranked), *arguments]) == code
    assert said in capsys.readouterr().err


def test_published_figures_from_the_files_as_they_are(shared, capsys):
    systems = {"DPR": 40.9141, "FiD": 46.4820, "FiD-KD": 49.5568}
    files = [shared(f"data/reference-predictions/NQ_{name}.jsonl.gz") for name in systems]
    found = document(*files, capsys=capsys)["files"]
    assert [round(file["metrics"]["EM"]["value"], 4) for file in found] == list(systems.values())


def test_compare_tests_and_lists_wins_and_losses(ranked, tmp_path, capsys):
    better = tmp_path / "better.jsonl"
    rows = [json.loads(line) for line in ranked.read_text().splitlines()]
    write_lines(better, [row | {"prediction": "Paris"} for row in reversed(rows)])
    changes = tmp_path / "changes.jsonl"
    arguments = ["compare", f"{ranked}", f"{better},{better}", "-m", "EM", "--json", "--changes", f"{changes}", "-q"]
    assert run(arguments) == 0
    (result,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (result["metric"], result["n"], result["wins"], result["losses"], result["ties"]) == ("EM", 3, 1, 0, 2)
    assert result["difference"] == pytest.approx(100 / 3)
    assert result["b_means"] == [pytest.approx(200 / 3)] * 2
    (change,) = [json.loads(line) for line in changes.read_text().splitlines()]
    assert change == {"metric": "EM", "id": "1", "question": "Question 1?", "a": 0.0, "b": 100.0}


def test_a_run_of_ids_alone_is_told_what_to_add(tmp_path, capsys):
    (tmp_path / "run").write_text("1 Q0 d 1 2.5 t\n")
    assert run(["eval", str(tmp_path / "run")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "the questions have no answers" in said
    assert said.endswith("; --questions FILE adds answers by id, --passages CORPUS texts, --qrels FILE judgements")


def test_compare_says_why_there_is_nothing_to_compare(ranked, capsys):
    assert run(["compare", str(ranked), str(ranked), "-m", "evidence@1"]) == 1
    assert "no metric can be computed\n  the questions have no evidence" in capsys.readouterr().err


def test_pooled_metrics_are_compared_as_eval_computes_them():
    """`quotient` of all questions is the quotient of the sums, of one run 4/10; two runs are averaged as one file."""
    number = ([4.0, 1.0], [[2.0, 4.0], [1.0, 4.0]]), ([3.0, 3.0], [[3.0, 5.0], [3.0, 5.0]])

    def scores(values, statistics):
        pooled = Pooled(np.array(statistics), lambda sums: sums[:, 0] / sums[:, 1])
        return Scores(
            ["0", "1"],
            ["", ""],
            values={"q": np.array(values)},
            pooled={"q": pooled},
            units_and_methods={"q": ("", "")},
        )

    one, two = (scores(*given) for given in number)
    ((result,), changes) = compare_runs([SystemRuns("A", [one]), SystemRuns("B", [one, two])], resamples=100)
    assert (result.a_means, result.b_means) == ([3 / 8], [3 / 8, 6 / 10])
    assert result.comparison.difference == pytest.approx(4.5 / 9 - 3 / 8)
    assert [(change.id, change.a, change.b) for change in changes] == [("1", 1.0, 2.0), ("0", 4.0, 3.5)]


def test_the_order_of_runs_makes_no_difference():
    runs = [
        Scores(["0", "1"], ["", ""], values={"F1": np.array([f1, 1.0])}, units_and_methods={"F1": ("", "")})
        for f1 in (0.8, 0.4, 1 / 3)
    ]
    ((result,), changes) = compare_runs([SystemRuns("A", runs), SystemRuns("B", [runs[i] for i in (0, 2, 1)])])
    assert (result.comparison.wins, result.comparison.losses, result.comparison.ties, changes) == (0, 0, 2, [])


def test_other_labels_of_the_same_questions_are_said(tmp_path, capsys):
    ours = [question(i, ["Paris"], prediction="Paris", extra={"gold": ["p0"]}) for i in range(3)]
    theirs = [ours[0], ours[1] | {"answers": ["Oslo"]}, ours[2] | {"gold": ["p1"]}]
    unlabelled = [{**line, "answers": ["Paris"], "gold": None} for line in ours]
    for name, lines in {"a": ours, "b": theirs, "c": unlabelled}.items():
        write_lines(tmp_path / f"{name}.jsonl", lines)
    a, b, c = (str(tmp_path / f"{name}.jsonl") for name in "abc")
    said = "2 questions have other answers or gold in b.jsonl than in a.jsonl"
    for command in ("eval", "compare"):
        assert run([command, a, b, "-m", "EM"]) == 0
        assert said in capsys.readouterr().err
        for files in ((a, c), (a, b, "--questions", a)):
            assert run([command, *files, "-m", "EM"]) == 0
            assert "than in a.jsonl" not in capsys.readouterr().err
    (tmp_path / "qrels.txt").write_text("0 0 p0 1\n1 0 p0 1\n2 0 p0 1\n")
    assert run(["eval", a, b, "-m", "gold-R@1", "--qrels", f"{tmp_path}/qrels.txt"]) == 0
    assert "1 questions have other answers or gold" in capsys.readouterr().err


def test_compare_refuses_other_questions(ranked, tmp_path, capsys):
    write_lines(tmp_path / "other.jsonl", [question(i, [], prediction="x") for i in range(2)])
    assert run(["compare", str(ranked), str(tmp_path / "other.jsonl")]) == 1
    assert "lacks 1 questions of the first system" in capsys.readouterr().err


def test_on_a_terminal_files_stand_side_by_side_and_the_best_is_bold(ranked, tmp_path):
    better = tmp_path / "better.jsonl"
    rows = [json.loads(line) for line in ranked.read_text().splitlines()]
    write_lines(better, [row | {"prediction": "Paris"} for row in rows])
    scores = [collect(read_questions(f), measures(MetricSettings(), ["EM", "R@1"])) for f in (ranked, better)]
    (table,) = rich_tables([System.of(str(f), "jsonl", s) for f, s in zip((ranked, better), scores, strict=True)])
    screen = Console(width=80, force_terminal=True, color_system="standard", file=StringIO())
    screen.print(table)
    first, second = [line for line in screen.file.getvalue().splitlines() if ".jsonl" in line]
    assert "ranked.jsonl" in first
    assert str(tmp_path) not in first
    assert "\x1b[1m66.67%" in second
    assert "\x1b[1m33.33%" not in first
    assert "\x1b[1m50.00%" in first  # as good as the other
