"""fuse: sums worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from fidtools import cli
from fidtools.data.jsonl import write_lines
from fidtools.data.read import read_questions
from fidtools.errors import DataError, MismatchError
from fidtools.search.fusion_tuning import Fusion, tune
from fidtools.search.rank_fusion import METHODS, Method, fuse


def ranking(path: Path, name: str, *lists: Sequence[tuple[str, float]]) -> str:
    write_lines(
        path,
        (
            {
                "id": f"q{i}",
                "question": "who?",
                "from": name,
                "ctxs": [{"id": p, "text": p, "score": s, "scores": {name: s}} for p, s in ctxs],
            }
            for i, ctxs in enumerate(lists)
        ),
    )
    return str(path)


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    return [
        ranking(tmp_path / "a.jsonl", "bm25", [("x", 9.0), ("y", 6.0), ("z", 3.0)], [("x", 1.0)], []),
        ranking(tmp_path / "b.jsonl", "dense", [("z", 2.0), ("w", 1.0), ("x", 0.0)], [("y", 5.0), ("x", 5.0)], []),
    ]


def fused(*arguments: object, **options: object) -> list[list[tuple[str | None, float]]]:
    return [[(p.id, p.scores["fused"]) for p in q.ctxs or []] for q in fuse(*arguments, **options)]  # type: ignore[arg-type]


def test_a_file_without_passages_is_named(two: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_lines(tmp_path / "plain.jsonl", ({"id": f"q{i}", "question": "who?"} for i in range(3)))
    assert len(fused([two[0], tmp_path / "plain.jsonl"], 100)) == 3
    assert caplog.messages == [f"{tmp_path}/plain.jsonl: its questions have no passages, so it adds nothing"]


def test_reciprocal_ranks(two: list[str]) -> None:
    x, z, y, w = 1 / 61 + 1 / 63, 1 / 63 + 1 / 61, 1 / 62, 1 / 62
    first, second, third = fused(two, 100)
    assert first == [("x", pytest.approx(x)), ("z", pytest.approx(z)), ("y", y), ("w", w)]
    assert second == [("x", pytest.approx(1 / 61 + 1 / 62)), ("y", 1 / 61)]
    assert third == []
    assert [len(ctxs) for ctxs in fused(two, 1)] == [1, 1, 0]


def test_reciprocal_ranks_with_weights_and_constant(two: list[str]) -> None:
    first = fused(two, 2, weights=[1.0, 3.0], constant=0)[0]
    assert first == [("z", pytest.approx(1 / 3 + 3 / 1)), ("x", pytest.approx(1 / 1 + 3 / 3))]


def test_scores_are_stretched_to_one_range(two: list[str]) -> None:
    first, second, _ = fused(two, 100, method="scores", weights=[0.25, 0.75])
    assert first == [("z", 0.75), ("w", 0.375), ("x", 0.25), ("y", 0.125)]
    assert second == [("x", 1.0), ("y", 0.75)]  # equal scores stretch to 1


def test_the_rest_is_the_first_files_and_scores_are_kept(two: list[str]) -> None:
    question = next(iter(fuse(two, 100)))
    assert question.extra == {"from": "bm25"}
    assert {p.id: set(p.scores) for p in question.ctxs or []} == {
        "x": {"bm25", "dense", "fused"},
        "z": {"bm25", "dense", "fused"},
        "y": {"bm25", "fused"},
        "w": {"dense", "fused"},
    }
    assert all(p.score == p.scores["fused"] for p in question.ctxs or [])


def test_files_that_do_not_belong_together(two: list[str], tmp_path: Path) -> None:
    lines = Path(two[1]).read_bytes().splitlines(keepends=True)
    (tmp_path / "short.jsonl").write_bytes(b"".join(lines[:2]))
    with pytest.raises(MismatchError, match=r"short.jsonl: ends before the other files"):
        fused([two[0], tmp_path / "short.jsonl"], 5)
    with pytest.raises(MismatchError, match=r"short.jsonl: ends before the other files"):
        fused([tmp_path / "short.jsonl", two[0]], 5)
    (tmp_path / "swapped.jsonl").write_bytes(lines[1] + lines[0] + lines[2])
    with pytest.raises(MismatchError, match=r"swapped.jsonl: question q1 where .*a.jsonl has q0"):
        fused([two[0], tmp_path / "swapped.jsonl"], 5)
    other = orjson.loads(lines[0]) | {"question": "something else"}
    (tmp_path / "other.jsonl").write_bytes(orjson.dumps(other) + b"\n" + lines[1] + lines[2])
    with pytest.raises(MismatchError, match=r"other.jsonl: question q0 has another text in .*a.jsonl"):
        fused([two[0], tmp_path / "other.jsonl"], 5)


def test_a_name_of_two_scores_keeps_the_first_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    a = ranking(tmp_path / "a.jsonl", "dense", [("x", 9.0), ("y", 6.0)], [("x", 1.0)])
    b = ranking(tmp_path / "b.jsonl", "dense", [("y", 6.0), ("z", 2.0)], [("x", 0.5), ("z", 0.25)])
    c = ranking(tmp_path / "c.jsonl", "dense", [("v", 1.0)], [("v", 2.0)])
    agreed, other = ({p.id: p.scores.get("dense") for p in q.ctxs or []} for q in fuse([a, b], 9))
    assert agreed == {"x": 9.0, "y": 6.0, "z": 2.0}
    assert other == {"x": 1.0, "z": None}
    assert "`scores.dense` is not the same score in all files: the first file's is kept (in 1 questions)" in caplog.text
    first, _ = fuse([a, c], 9)
    assert {p.id: p.scores.get("dense") for p in first.ctxs or []} == {"x": 9.0, "y": 6.0, "v": None}


def test_a_passage_with_two_texts_is_of_two_corpora(two: list[str], tmp_path: Path) -> None:
    rows = [orjson.loads(line) for line in Path(two[1]).read_bytes().splitlines()]
    rows[0]["ctxs"][0]["text"] = "another z"
    rows[1]["ctxs"][0]["text"] = ""
    write_lines(tmp_path / "c.jsonl", rows)
    with pytest.raises(MismatchError, match=r"c.jsonl: .*passage z of question q0 has another text in .*a.jsonl"):
        fused([two[0], tmp_path / "c.jsonl"], 5)
    rows[0]["ctxs"][0]["text"] = " z\n"
    write_lines(tmp_path / "c.jsonl", rows)
    assert len(fused([two[0], tmp_path / "c.jsonl"], 5)) == 3


def test_a_passage_without_text_takes_that_of_another_list(tmp_path: Path) -> None:
    bare, full = tmp_path / "bare.jsonl", tmp_path / "full.jsonl"
    write_lines(bare, [{"id": "0", "question": "who?", "ctxs": [{"id": name, "text": ""} for name in "xy"]}])
    write_lines(full, [{"id": "0", "question": "who?", "ctxs": [{"id": "x", "text": "me", "title": "T"}]}])
    for paths in ([bare, full], [full, bare]):
        (found,) = fuse(paths, 100)
        assert [(p.id, p.title, p.text) for p in found.ctxs or []] == [("x", "T", "me"), ("y", "", "")]


def test_the_answers_to_one_list_are_not_those_to_the_fused_one(
    two: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [orjson.loads(line) for line in Path(two[0]).read_bytes().splitlines()]
    rows[0] |= {"prediction": "me", "log_probability": -1.0, "predictions": [{"text": "me"}]}
    rows[1] |= {"predictions": "a field of the user's"}
    write_lines(tmp_path / "a.jsonl", rows)
    first, second, _ = fuse([tmp_path / "a.jsonl", two[1]], 5)
    assert (first.prediction, first.extra) == (None, {"from": "bm25"})
    assert second.extra == {"from": "bm25", "predictions": "a field of the user's"}
    assert "the predictions of 1 questions were removed" in caplog.text


def test_a_score_that_is_missing_is_not_invented(two: list[str], tmp_path: Path) -> None:
    line = {"id": "q0", "question": "who?", "ctxs": [{"id": "x", "text": "x"}]}
    (tmp_path / "c.jsonl").write_bytes(orjson.dumps(line))
    (tmp_path / "d.jsonl").write_bytes(orjson.dumps(line))
    with pytest.raises(MismatchError, match=r"c.jsonl:1: field 'ctxs': a passage without score"):
        fused([tmp_path / "c.jsonl", tmp_path / "d.jsonl"], 5, method="scores")
    assert fused([tmp_path / "c.jsonl", tmp_path / "d.jsonl"], 5) == [[("x", pytest.approx(2 / 61))]]


def test_the_command(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    assert cli.run(["fuse", *two, "-k", "2", "-o", str(output)]) == 0
    assert [[p.id for p in q.ctxs or []] for q in read_questions(output)] == [["x", "z"], ["x", "y"], []]
    assert cli.run(["fuse", two[0]]) == 2
    assert cli.run(["fuse", *two, "--weight", "1"]) == 2
    assert "1 values of --weight for 2 files" in capsys.readouterr().err
    assert cli.run(["fuse", *two, "--weight", "0", "--weight", "0"]) == 2
    assert "all weights are 0" in capsys.readouterr().err


def test_zscores_by_hand(tmp_path: Path) -> None:
    a = ranking(tmp_path / "a.jsonl", "bm25", [("x", 9.0), ("y", 6.0), ("z", 3.0)], [("x", 1.0)])
    b = ranking(tmp_path / "b.jsonl", "dense", [("z", 3.0), ("w", 1.0)], [("x", 2.0), ("y", 2.0)])
    first, second = fused([a, b], 100, method="zscores", weights=[1.0, 3.0])
    unit = 1 / 6**0.5  # the standard deviation of 9, 6, 3 is √6, that of 3, 1 is 1
    x, y, z = 6 * unit, 3 * unit, 3 * 2.0
    assert first == [("z", pytest.approx(z)), ("x", pytest.approx(x)), ("y", pytest.approx(y)), ("w", 0.0)]
    assert second == [("x", 0.0), ("y", 0.0)]


def judged(path: Path, *relevant: str, answers: bool = False) -> str:
    """Questions with one relevant passage each, named in `gold` or found by the answer: a passage's text is its id."""
    lines = ({"id": f"q{i}", "question": "who?", "gold": [x]} for i, x in enumerate(relevant))
    write_lines(path, ({k: v for k, v in line.items() if k != "gold"} | {"answers": line["gold"]} for line in lines)
                if answers else lines)  # fmt: skip
    return str(path)


@pytest.fixture
def mixed(tmp_path: Path) -> list[str]:
    """Min-max normalised, the relevant passages are first at these weights of the second list: q0 and q1 above 1/3 of
    both, q2 below 0.5, q3 never."""
    return [
        ranking(
            tmp_path / "a.jsonl", "bm25",
            [("x", 2.0), ("y", 1.0), ("z", 0.0)], [("x", 2.0), ("y", 1.0), ("z", 0.0)],
            [("x", 2.0), ("y", 1.0), ("z", 0.0)], [("x", 1.0), ("y", 0.0)],
        ),
        ranking(
            tmp_path / "b.jsonl", "dense",
            [("y", 1.0), ("x", 0.0)], [("y", 1.0), ("x", 0.0)], [("y", 3.0), ("x", 1.0), ("z", 0.0)], [("x", 1.0)],
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("answers", [False, True])
def test_weights_are_those_of_the_best_recall(mixed: list[str], tmp_path: Path, answers: bool) -> None:
    dev = judged(tmp_path / "dev.jsonl", "y", "y", "x", "w", answers=answers)
    # y of q0 and q1: 0.5 (1 - w) + w > (1 - w), w > 1/3; x of q2: (1 - w) + w/3 > 0.5 (1 - w) + w, w < 3/7.
    found = tune(mixed, dev, methods=["scores"])
    assert found.fusion == Fusion("scores", (0.6, 0.4))
    assert found.recall == {"R@1": 75.0, "R@5": 75.0}
    assert (found.labels, found.questions) == ("answer" if answers else "gold", 4)


def test_a_question_whose_grades_are_all_0_is_left_out(mixed: list[str], tmp_path: Path) -> None:
    gold = [["y"], {"y": 0}, "[]", ["x"]]
    write_lines(
        dev := tmp_path / "dev.jsonl", ({"id": f"q{i}", "question": "who?", "gold": g} for i, g in enumerate(gold))
    )
    found = tune(mixed, dev, methods=["scores"])
    assert (found.labels, found.questions, found.recall["R@1"]) == ("gold", 2, 100.0)


def test_a_question_without_a_usable_answer_is_left_out(mixed: list[str], tmp_path: Path) -> None:
    answers = [["y"], ["", "\u200b"], ["y"], ["w"]]
    write_lines(
        dev := tmp_path / "dev.jsonl",
        ({"id": f"q{i}", "question": "who?", "answers": a} for i, a in enumerate(answers)),
    )
    found = tune(mixed, dev, methods=["scores"])
    assert (found.labels, found.questions, found.recall["R@1"]) == ("answer", 3, pytest.approx(200 / 3))


@pytest.mark.parametrize(("answers", "by", "hint"), [(False, "gold", "--labels answer"), (True, "answer", "text")])
def test_rankings_without_a_relevant_passage_cannot_be_tuned(
    mixed: list[str], tmp_path: Path, answers: bool, by: str, hint: str
) -> None:
    dev = judged(tmp_path / "dev.jsonl", "u", "u", "u", "u", answers=answers)
    with pytest.raises(DataError, match=f"no relevant passage, by {by}, is listed for any question") as caught:
        tune(mixed, dev)
    assert hint in str(caught.value)


@pytest.mark.parametrize("weights", ["[-1, 2]", "[true, 1]", "[1e308, 1e308]", '["1", 1]'])
def test_weights_of_a_file_are_those_that_the_option_takes(
    weights: str, mixed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tmp_path / "tuned.json"
    tuned.write_text(f'{{"method": "scores", "weights": {weights}, "constant": 60}}')
    assert cli.run(["fuse", *mixed, "--tuned", str(tuned)]) == 1
    assert "field 'weights': no result of fuse --tune" in capsys.readouterr().err


def test_equal_weights_stay_where_nothing_is_better(mixed: list[str], tmp_path: Path) -> None:
    dev = judged(tmp_path / "dev.jsonl", "y", "y", "y", "x")
    assert tune(mixed, dev, methods=["scores"]).fusion.weights == (0.5, 0.5)


def test_a_useless_third_list_gets_no_weight_or_does_no_harm(mixed: list[str], tmp_path: Path) -> None:
    useless = ranking(tmp_path / "c.jsonl", "random", *[[("z", 1.0), ("y", 0.2), ("x", 0.0)]] * 4)
    dev = judged(tmp_path / "dev.jsonl", "y", "y", "x", "w")
    found = tune([*mixed, useless], dev, methods=["scores"])
    assert found.recall["R@1"] == 75.0
    assert sum(found.fusion.weights) == pytest.approx(1, abs=1e-5)


def test_every_pair_of_weights_is_no_better(mixed: list[str], tmp_path: Path) -> None:
    dev = judged(tmp_path / "dev.jsonl", "x", "y", "x", "y")
    wanted = ["x", "y", "x", "y"]

    def by_fusing(method: Method, weights: tuple[float, ...]) -> tuple[float, float]:
        ranked = [[p for p, _ in q] for q in fused(mixed, 100, method=method, weights=weights)]
        ranks = [ids.index(x) + 1 for ids, x in zip(ranked, wanted, strict=True)]
        return sum((r <= 1) + (r <= 5) for r in ranks) / 8, sum(1 / r for r in ranks) / 4

    best = max(by_fusing(m, (1 - w / 20, w / 20)) for m in METHODS for w in range(21))
    found = tune(mixed, dev)
    assert by_fusing(found.fusion.method, found.fusion.weights) == pytest.approx(best)
    assert found == tune(mixed, dev)


def test_lists_without_scores_are_fused_by_rank(mixed: list[str], tmp_path: Path) -> None:
    for path in mixed:
        write_lines(path, ({**q.to_json(), "ctxs": [{"id": p.id, "text": p.text} for p in q.ctxs or []]}
                           for q in list(read_questions(path))))  # fmt: skip
    dev = judged(tmp_path / "dev.jsonl", "y", "y", "x", "w")
    assert tune(mixed, dev).fusion.method == "rrf"
    with pytest.raises(MismatchError, match="a passage without score"):
        tune(mixed, dev, methods=["scores"])


def test_tuned_weights_are_used_by_a_second_call(
    mixed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = judged(tmp_path / "dev.jsonl", "y", "y", "x", "w")
    tuned, output, by_hand = (str(tmp_path / name) for name in ("fusion.json", "out.jsonl", "hand.jsonl"))
    assert cli.run(["fuse", *mixed, "--tune", dev, "--method", "scores", "-o", tuned]) == 0
    assert "--method scores --weight 0.6 --weight 0.4" in capsys.readouterr().err
    assert orjson.loads(Path(tuned).read_bytes()) == {
        "method": "scores", "weights": [0.6, 0.4], "constant": 60,
        "labels": "gold", "questions": 4, "R@1": 75.0, "R@5": 75.0,
    }  # fmt: skip
    assert cli.run(["fuse", *mixed, "--tuned", tuned, "-o", output]) == 0
    assert cli.run(["fuse", *mixed, "--method", "scores", "--weight", ".6", "--weight", ".4", "-o", by_hand]) == 0
    assert Path(output).read_bytes() == Path(by_hand).read_bytes()
    assert [q.ctxs[0].id for q in read_questions(output) if q.ctxs] == ["y", "y", "x", "x"]


def test_what_tuning_refuses(mixed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dev = judged(tmp_path / "dev.jsonl", "y", "y", "x", "w")
    assert cli.run(["fuse", *mixed, "--tune", dev, "--weight", "1", "--weight", "2"]) == 2
    assert "only one of --weight, --tune and --tuned" in capsys.readouterr().err
    assert cli.run(["fuse", *mixed, "--tuned", mixed[0]]) == 1
    assert "no result of fuse --tune" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_text('{"method": "scores", "weights": [1, 2, 3], "constant": 60}')
    assert cli.run(["fuse", *mixed, "--tuned", str(other)]) == 2
    assert "3 weights for 2 files" in capsys.readouterr().err
    assert cli.run(["fuse", *mixed, "--tune", mixed[0]]) == 1
    assert "no question has passages and `answers`" in capsys.readouterr().err
    short = tmp_path / "short.jsonl"
    short.write_bytes(Path(dev).read_bytes().splitlines(keepends=True)[0])
    assert cli.run(["fuse", *mixed, "--tune", str(short)]) == 1
    assert "short.jsonl: ends before the other files" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "best"), [("scores", 1.0), ("zscores", 2.0)])
def test_the_range_of_the_largest_scores_is_finite(method: str, best: float, tmp_path: Path) -> None:
    large = ranking(tmp_path / "a.jsonl", "bm25", [("a", 1.5e308), ("b", -1.5e308)])
    other = ranking(tmp_path / "b.jsonl", "dense", [("b", 1.0)])
    assert fused([large, other], 10, method=method, weights=[1.0, 0.0]) == [[("a", best), ("b", 0.0)]]


@pytest.mark.parametrize(("method", "value"), [("rrf", 1 / 61), ("scores", 1.0)])
def test_a_passage_listed_twice_counts_where_it_stands_first(method: str, value: float, tmp_path: Path) -> None:
    twice = ranking(tmp_path / "a.jsonl", "bm25", [("b", 4.0), ("a", 3.0), ("b", 2.0), ("c", 0.0)])
    other = ranking(tmp_path / "b.jsonl", "dense", [("d", 1.0)])
    found = dict(fused([twice, other], 10, method=method, weights=[1.0, 0.0])[0])
    assert found["b"] == value
    assert found["c"] == (1 / 64 if method == "rrf" else 0.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--constant", "5"], ""),
        (["--method", "scores", "--constant", "5"], "--constant has no effect with --method scores\n"),
        (["--tuned", "TUNED", "--constant", "5"], "--constant has no effect with --tuned\n"),
        (["--labels", "gold"], "--labels has no effect without --tune\n"),
    ],
)
def test_options_without_effect_are_named(
    two: list[str], options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned = tmp_path / "tuned.json"
    tuned.write_text('{"method": "rrf", "weights": [0.5, 0.5], "constant": 60}')
    given = [str(tuned) if option == "TUNED" else option for option in options]
    assert cli.run(["fuse", *two, *given, "-o", str(tmp_path / "r.jsonl"), "-q"]) == 0
    assert capsys.readouterr().err == said
