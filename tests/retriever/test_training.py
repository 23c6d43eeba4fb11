"""Training a retriever: equal however the batch is cut, continued exactly, and it learns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from fidtools.cli import cli, run
from fidtools.commands._target_options import preset_values
from fidtools.commands.train_retriever import command as train_retriever_command
from fidtools.data.read import read_questions
from fidtools.data.records import Passage
from fidtools.metrics.rankings import cover_depth, inversions, topk_overlap
from fidtools.retriever import losses
from fidtools.retriever.batch import make_batch
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.examples import read_examples
from fidtools.retriever.loss import Loss
from fidtools.retriever.objective import RetrieverObjective
from fidtools.retriever.run_config import RetrieverRun
from fidtools.retriever.student import Student
from fidtools.training.monitors import monitor
from fidtools.training.order import ExampleRef, examples_of_step
from tests import two_ranks

Write = Callable[..., Path]
SMALL = ["--n-passages", "6", "--steps", "6", "--batch", "4", "--eval-every", "3", "--save-every", "2", "--lr", "1e-3"]
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
EXACT = ["--precision", "float32", "-q"]


def fit(train: Path, output: Path, *options: str) -> str:
    arguments = ["train-retriever", str(train), "-o", str(output), *SMALL, *EXACT, *options]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    return result.output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def different(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], tolerance: float = 0.0) -> list[str]:
    """The weights that differ. A key's bias has no gradient but rounding, which Adam blows up."""
    assert a.keys() == b.keys()
    names = [name for name in a if not (tolerance and "key.bias" in name)]
    return [name for name in names if not torch.allclose(a[name], b[name], rtol=tolerance, atol=tolerance)]


def gradients(student: Student, objective: RetrieverObjective, draws: Sequence[ExampleRef]) -> dict[str, torch.Tensor]:
    student.zero_grad()
    torch.manual_seed(0)
    for batch in objective.micro_batches(draws):
        (student(batch) / objective.loss_denominator(draws)).backward()
    return {name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize(
    ("loss", "budget"),
    [("kl", 1), ("kl", 60), ("kl", 200), *((name, 60) for name in ("mse", "margin", "margin-mse", "bce", "infonce"))],
)
def test_the_update_is_the_same_however_little_memory_there_is(
    plain_model: Path, questions: Write, loss: str, budget: int, in_batch: bool
) -> None:
    if in_batch and losses.LOSSES[loss].in_batch is None:
        pytest.skip("has no form over the whole batch")
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(questions(), retriever, {"attention": 1.0}, 6, "gold")
    draws = [ExampleRef(i, 0) for i in (3, 1, 4, 0, 5)]
    found = []
    for tokens in (1 << 20, budget):
        student = Student(retriever, Loss(name=loss, in_batch=in_batch), token_budget=tokens)
        student.train()
        found.append(gradients(student, RetrieverObjective(student, examples, None), draws))
    assert found[0].keys() == found[1].keys()
    for name, plain in found[0].items():
        np.testing.assert_allclose(found[1][name], plain, rtol=2e-4, atol=1e-5 if in_batch else 2e-6, err_msg=name)


def test_the_same_update_has_the_same_bytes_on_two_threads(plain_model: Path, questions: Write) -> None:
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(questions(count=200), retriever, {"attention": 1.0}, 6, None)
    shared = examples.items[0].passages  # many questions add to the gradient of the same few passages
    examples.items[:] = [replace(item, passages=shared) for item in examples.items]
    draws = [ExampleRef(i % 200, 0) for i in range(1000)]
    student = Student(retriever, Loss(name="kl"), token_budget=1 << 20)
    torch.set_num_threads(2)
    try:
        found = [gradients(student, RetrieverObjective(student, examples, None), draws) for _ in range(4)]
    finally:
        torch.set_num_threads(1)
    assert [name for again in found[1:] for name in again if not torch.equal(again[name], found[0][name])] == []


def test_grouped_questions_are_all_drawn_and_encode_fewer_passages(plain_model: Path, questions: Write) -> None:
    """Eight questions about each of three lists of passages: a batch of a group has one list, others have all."""
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(questions(count=24), retriever, {"attention": 1.0}, 6)
    lists = [examples.items[number].passages for number in (0, 9, 20)]
    examples.items[:] = [replace(item, passages=lists[i % 3]) for i, item in enumerate(examples.items)]
    student = Student(retriever, Loss(in_batch=True), token_budget=1 << 20)
    encoded = {}
    for size in (1, 8):
        objective = RetrieverObjective(student, examples, None, group_size=size)
        steps = [examples_of_step(24, 8, step, partial(objective.order, 0)) for step in range(3)]
        assert sorted(ref.index for refs in steps for ref in refs) == list(range(24))
        encoded[size] = [len(batch.passages) for refs in steps for batch in objective.micro_batches(refs)]
    assert encoded[8] == [6, 6, 6]
    assert min(encoded[1]) > 6


def test_a_run_in_groups_says_so_and_learns_otherwise(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    train = questions()
    fit(train, tmp_path / "r", "--retriever", str(plain_model), "--group-size", "3")
    assert orjson.loads((tmp_path / "r/training.json").read_bytes())["group_size"] == 3
    fit(train, tmp_path / "plain", "--retriever", str(plain_model))
    assert "group_size" not in orjson.loads((tmp_path / "plain/training.json").read_bytes())
    assert different(weights(tmp_path / "r"), weights(tmp_path / "plain")) != []


def test_the_loss_is_that_of_the_formula_over_separately_encoded_texts(plain_model: Path, questions: Write) -> None:
    path = questions(count=3)
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(path, retriever, {"attention": 1.0}, 6)
    total = Student(retriever, Loss(), token_budget=1 << 20)(make_batch(examples, examples.items)).item()
    expected = 0.0
    for question in read_questions(path):
        q = torch.from_numpy(retriever.encode_questions([question.question]))
        p = torch.from_numpy(np.concatenate([retriever.encode_passages([passage]) for passage in question.ctxs or []]))
        target = torch.tensor([[passage.scores["attention"] for passage in question.ctxs or []]])
        expected += losses.kl((q @ p.T) / 4.0, target, torch.ones(1, 6, dtype=torch.bool)).item()  # √16
    assert total == pytest.approx(expected, rel=1e-5)


def test_in_batch_negatives_are_all_passages_but_the_question_s_other_positives(
    plain_model: Path, tmp_path: Path
) -> None:
    texts = {"a": "w1 w2", "b": "w3", "c": "w4 w5", "d": "w6"}
    lists = [("abc", "ac"), ("bd", "d")]  # passages, the relevant ones
    lines = [
        {"question": f"w{i}", "gold": list(gold), "ctxs": [{"id": x, "text": texts[x]} for x in passages]}
        for i, (passages, gold) in enumerate(lists)
    ]
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(path, retriever, {}, 9, "gold", need_positive=True)
    found = Student(retriever, Loss(name="infonce"), token_budget=1 << 20)(make_batch(examples, examples.items)).item()
    q = torch.from_numpy(retriever.encode_questions(["w0", "w1"]))
    p = torch.from_numpy(retriever.encode_passages([Passage(x, texts[x]) for x in "abcd"]))
    scores = q @ p.T / 4.0
    first = torch.logsumexp(scores[0, [0, 1, 3]], 0) - scores[0, 0]  # c is relevant too, so no negative
    second = torch.logsumexp(scores[1], 0) - scores[1, 3]
    assert found == pytest.approx((first + second).item(), rel=1e-5)


def test_other_questions_passages_are_scored_in_one_softmax(plain_model: Path, questions: Write) -> None:
    path = questions(count=3)
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    lines[1]["ctxs"][4] = lines[0]["ctxs"][2]  # two questions share a passage
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(path, retriever, {"attention": 1.0}, 6)
    student = Student(retriever, Loss(in_batch=True), token_budget=1 << 20)
    total = student(make_batch(examples, examples.items)).item()
    read = list(read_questions(path))
    every = {passage.id: passage for question in read for passage in question.ctxs or []}
    assert len(every) == 17
    vectors = torch.from_numpy(np.concatenate([retriever.encode_passages([passage]) for passage in every.values()]))
    expected = 0.0
    for question in read:
        q = torch.from_numpy(retriever.encode_questions([question.question]))
        log_student = dict(zip(every, ((q @ vectors.T) / 4.0).log_softmax(-1)[0].tolist(), strict=True))  # √16
        target = torch.tensor([passage.scores["attention"] for passage in question.ctxs or []]).log_softmax(-1)
        own = [log_student[passage.id] for passage in question.ctxs or []]
        expected += sum(g.exp() * (g - s) for g, s in zip(target, own, strict=True)).item()
    assert total == pytest.approx(expected, rel=1e-5)


def test_candidates_of_the_batch_are_refused_where_the_loss_has_no_such_form(
    plain_model: Path, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train-retriever", str(questions()), "-o", str(tmp_path / "r"), "--retriever", str(plain_model)]
    assert run([*arguments, "--loss", "mse", "--in-batch"]) == 2
    assert "--in-batch does not apply to --loss mse" in capsys.readouterr().err


def test_negatives_that_the_teacher_scores_above_the_positive_are_left_out(
    plain_model: Path, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gold is passage 2 of each question; 5 has as many of its words, and half the time more of a random score."""
    train = questions(count=8)
    masked = 0
    for line in train.read_bytes().splitlines():
        scores = [passage["scores"]["attention"] for passage in orjson.loads(line)["ctxs"]]
        masked += sum(score > scores[2] + 0.1 for score in scores)
    assert 0 < masked < 8
    arguments = ["train-retriever", str(train), "--retriever", str(plain_model), *SMALL, "--loss", "infonce"]
    arguments += ["--labels", "gold", "--precision", "float32"]
    for name, more in (("plain", []), ("masked", ["--mask-above", "0.1"])):
        assert run([*arguments, "-o", str(tmp_path / name), *more]) == 0
    counted = f"{masked} of 40 negatives score above the positive by the margin and are left out"
    assert counted in " ".join(capsys.readouterr().err.split())
    assert different(weights(tmp_path / "plain"), weights(tmp_path / "masked")) != []
    assert run([*arguments, "-o", str(tmp_path / "x"), "--mask-above", "0.1", "--loss", "kl"]) == 2
    assert "--mask-above does not apply to --loss kl" in capsys.readouterr().err
    assert run([*arguments, "-o", str(tmp_path / "x"), "--mask-above", "0.1", "--teacher", "cross"]) == 1
    assert "field 'ctxs[0].scores.cross': missing" in capsys.readouterr().err


def test_the_monitors_are_means_over_the_whole_dev_set(plain_model: Path, questions: Write) -> None:
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(questions(count=9), retriever, {"attention": 1.0}, 6, measured=True)
    student = Student(retriever, Loss(), token_budget=100).eval()
    with torch.inference_mode():
        metrics = RetrieverObjective(student, examples, examples).evaluate()
        scores = np.concatenate([student.score(make_batch(examples, [item])).numpy() for item in examples.items])
    teacher = np.stack([item.teacher for item in examples.items])
    assert metrics["inversions"] == inversions(teacher, scores).mean()
    for k in (1, 5):
        assert metrics[f"overlap@{k}"] == pytest.approx(topk_overlap(teacher, scores, k).mean())
        assert metrics[f"cover@{k}"] == pytest.approx(cover_depth(teacher, scores, k).mean())
    everything = torch.ones(9, 6, dtype=torch.bool)
    expected = losses.kl(torch.from_numpy(scores).double(), torch.from_numpy(teacher), everything).mean().item()
    assert metrics["kl"] == pytest.approx(expected, rel=1e-5)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert metrics["selection"] == -metrics["loss"]
    for name, rows in (("mrr", scores), ("teacher_mrr", teacher)):
        relevant = [item.relevant for item in examples.items]
        orders = [np.argsort(-row) for row in rows]
        found = [1 + min(place for place, i in enumerate(o) if r[i]) for o, r in zip(orders, relevant, strict=True)]
        assert metrics[name] == pytest.approx(np.mean([1 / rank for rank in found]))


def test_a_start_that_is_better_than_its_teacher_can_be_kept(
    plain_model: Path, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    retriever, train = load_retriever(plain_model), questions(count=6)
    lines = [orjson.loads(line) for line in train.read_bytes().splitlines()]
    for line in lines:  # the first passage by the start is the relevant one, and the teacher's last
        passages = [Passage(c["id"], c["text"], c.get("title", "")) for c in line["ctxs"]]
        scores = retriever.encode_passages(passages) @ retriever.encode_questions([line["question"]])[0]
        line["gold"] = [passages[int(scores.argmax())].id]
        for passage, score in zip(line["ctxs"], scores, strict=True):
            passage["scores"] = {"attention": -float(score)}
    train.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    arguments = ["train-retriever", str(train), "--dev", str(train), "--retriever", str(plain_model), *SMALL]
    found = {}
    for select in ("loss", "mrr"):
        output = tmp_path / select
        assert run([*arguments, "--precision", "float32", "--select", select, "-o", str(output)]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert "ranks relevant passages higher than its teacher does (MRR 1.000 and" in said
        found[select] = orjson.loads((output / "training.json").read_bytes())["result"]
    assert found["mrr"]["metrics"]["mrr"] == 1.0
    assert different(weights(tmp_path / "mrr"), weights(plain_model)) == []
    assert found["loss"]["metrics"]["mrr"] < 1.0
    for line in lines:
        del line["gold"], line["answers"]
    train.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    assert run([*arguments, "--select", "mrr", "-o", str(tmp_path / "none"), "-q"]) == 1
    assert "`select` mrr has nothing to measure" in capsys.readouterr().err.replace("--select", "`select`")


def test_questions_with_few_passages_do_not_count_for_deep_cuts() -> None:
    few = (0.0, np.array([2.0, 1.0]), np.array([1.0, 2.0], dtype=np.float32))
    many = (0.0, np.arange(7.0), np.arange(7, dtype=np.float32))
    metrics = monitor([few, many])
    assert metrics["overlap@1"] == 0.5
    assert metrics["overlap@5"] == 1.0
    assert metrics["cover@1"] == 1.5
    assert "overlap@20" not in metrics


@pytest.mark.parametrize(
    ("loss", "share"),
    [
        *((loss, 0.6) for loss in ("kl", "mse", "margin", "margin-mse", "infonce", "bce")),
        ("kl --in-batch", 0.8),  # what is measured, the order of a question's own passages, is only a part of it
        ("margin --in-batch", 0.8),
    ],
)
def test_every_loss_is_learned(plain_model: Path, questions: Write, tmp_path: Path, loss: str, share: float) -> None:
    train = str(questions(count=12))
    options = [
        "--retriever",
        str(plain_model),
        "--dev",
        train,
        "--loss",
        *loss.split(),
        "--labels",
        "gold",
        "--alpha",
        "1",
    ]
    length = ["--steps", "30", "--eval-every", "15", "--batch", "12"]
    fit(Path(train), tmp_path / "r", *options, *length, "--pooling", "mean", "--dropout", "0")
    log = [orjson.loads(line) for line in (tmp_path / "r" / "log.jsonl").read_bytes().splitlines()]
    first = log[0]["loss"]
    best = orjson.loads((tmp_path / "r" / "training.json").read_bytes())["result"]["metrics"]["loss"]
    assert best < share * first


def test_a_loss_without_teacher_is_not_compared_with_one(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    train = str(questions())
    options = ["--retriever", str(plain_model), "--dev", train, "--loss", "infonce", "--labels", "gold"]
    fit(Path(train), tmp_path / "r", *options)
    metrics = orjson.loads((tmp_path / "r/training.json").read_bytes())["result"]["metrics"]
    assert metrics.keys() == {"loss", "mrr", "selection"}


def test_a_stopped_run_continues_to_the_same_weights(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    train, dev = questions(), questions("dev.jsonl", count=5, seed=1)
    options = ["--retriever", str(plain_model), "--dev", str(dev), "--dropout", "0.1"]
    fit(train, tmp_path / "whole", *options)
    script = f"""
import os, signal
from fidtools.retriever import student
from fidtools.cli import main
seen = []
def forward(self, batch, plain=student.Student.forward):
    seen.append(1)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, batch)
student.Student.forward = forward
main({["train-retriever", str(train), "-o", str(tmp_path / "cut"), *SMALL, *EXACT, *options]!r})
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env=ONE_THREAD)
    assert killed.returncode == -9, killed.stderr.decode()
    assert not (tmp_path / "cut").exists()
    fit(train, tmp_path / "cut", *options, "--resume")
    for part in (".", "last"):
        assert different(weights(tmp_path / "whole" / part), weights(tmp_path / "cut" / part)) == []


def on_two_ranks(*arguments: str) -> None:
    """Train with batches of three questions: two on one rank, one on the other."""
    fidtools = Path(sys.executable).with_name("fidtools")
    two_ranks.run_script("--no-python", fidtools, "train-retriever", *SMALL, *EXACT, "--batch", "3", *arguments)


@pytest.mark.parametrize("loss", ["kl", "infonce", "kl --in-batch", "margin --in-batch"])
def test_two_ranks_make_the_same_update_as_one(plain_model: Path, questions: Write, tmp_path: Path, loss: str) -> None:
    train, dev = questions(), questions("dev.jsonl", count=5, seed=1)
    options = ["--retriever", str(plain_model), "--dev", str(dev), "--dropout", "0", "--labels", "gold"]
    options += ["--loss", *loss.split()]
    fit(train, tmp_path / "one", *options, "--batch", "3")
    on_two_ranks(str(train), "-o", str(tmp_path / "two"), *options)
    assert different(weights(tmp_path / "one" / "last"), weights(tmp_path / "two" / "last"), 2e-5) == []
    one, two = (orjson.loads((tmp_path / name / "training.json").read_bytes())["result"] for name in ("one", "two"))
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-4)


def test_two_ranks_learn_the_same_scale(questions: Write, tmp_path: Path) -> None:
    train = questions()
    options = ["--student", "lstm", "--hidden", "4", "--word-dim", "4", "--loss", "infonce", "--labels", "gold"]
    options += ["--dev", str(train), "--lr", "0.1"]
    fit(train, tmp_path / "one", *options, "--batch", "3")
    on_two_ranks(str(train), "-o", str(tmp_path / "two"), *options)
    one, two = (orjson.loads((tmp_path / name / "training.json").read_bytes())["result"] for name in ("one", "two"))
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-3)


def test_checkpointing_changes_nothing(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    train = questions()
    fit(train, tmp_path / "plain", "--retriever", str(plain_model), "--dropout", "0")
    fit(train, tmp_path / "again", "--retriever", str(plain_model), "--dropout", "0", "--gradient-checkpointing")
    assert different(weights(tmp_path / "plain"), weights(tmp_path / "again"), 1e-6) == []


def test_frozen_passages_keep_their_vectors_and_questions_learn(
    plain_model: Path, questions: Write, tmp_path: Path
) -> None:
    fit(questions(), tmp_path / "r", "--retriever", str(plain_model), "--freeze-passages")
    before, after = load_retriever(plain_model), load_retriever(tmp_path / "r")
    passages = [Passage("1", "w1 w2 w3", "w4")]
    assert after.fingerprint == before.fingerprint  # what was embedded stays valid
    assert np.array_equal(after.encode_passages(passages), before.encode_passages(passages))
    assert np.abs(after.encode_questions(["w1 w2"]) - before.encode_questions(["w1 w2"])).max() > 1e-3


@pytest.mark.parametrize("kind", ["lstm", "cnn"])
def test_small_students_are_trained_and_continued(questions: Write, tmp_path: Path, kind: str) -> None:
    train = questions(count=20)
    size = ["--hidden", "8", "--word-dim", "8", "--steps", "30", "--lr", "1e-2"]
    fit(train, tmp_path / "r", "--dev", str(train), "--student", kind, *size)
    fit(train, tmp_path / "s", "--dev", str(train), "--retriever", str(tmp_path / "r"), "--steps", "10", "--lr", "1e-3")
    first, second = (
        orjson.loads((tmp_path / name / "training.json").read_bytes())["result"]["metrics"] for name in ("r", "s")
    )
    assert second["loss"] < first["loss"] < 0.7
    assert load_retriever(tmp_path / "s").settings.pooling == "max"


def test_given_word_vectors_are_kept_and_trained_only_when_asked(questions: Write, tmp_path: Path) -> None:
    given = {f"w{i}": np.random.default_rng(i).normal(size=4).astype(np.float32) for i in range(40)}
    given["unseen"] = np.arange(4, dtype=np.float32)
    glove = tmp_path / "glove.txt"
    glove.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in given.items()))
    student = ["--student", "cnn", "--hidden", "4", "--word-vectors", str(glove)]
    fit(questions(), tmp_path / "free", *student)
    fit(questions(), tmp_path / "kept", *student, "--freeze-words")
    kept, free = (load_retriever(tmp_path / name) for name in ("kept", "free"))
    words = kept.question_tower.tokenizer.vocabulary
    assert "unseen" in words
    vectors = kept.question_tower.encoder.words.weight.numpy(force=True)
    np.testing.assert_array_equal(vectors[1:], [given[word] for word in words[1:]])
    trained = free.question_tower.encoder.words.weight.numpy(force=True)
    changed = {word for word, a, b in zip(words, trained, vectors, strict=True) if (a != b).any()}
    assert changed
    assert "unseen" not in changed


def test_options_reach_the_model(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    options = ["--projection", "12", "--pooling", "mean", "--question-maxlength", "7", "--passage-maxlength", "11"]
    fit(questions(), tmp_path / "r", "--retriever", str(plain_model), *options, "--normalize")
    retriever = load_retriever(tmp_path / "r")
    assert retriever.dim == 12
    settings = retriever.settings
    assert (settings.pooling, settings.question_maxlength, settings.passage_maxlength) == ("mean", 7, 11)
    lengths = np.linalg.norm(retriever.encode_questions(["w1", "w2 w3"]), axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give exactly one of --retriever (initial model) and --student (train from scratch)"),
        (["--retriever", "START", "--loss", "bce"], "--loss bce learns from labels"),
        (["--retriever", "START", "--teacher", "a=b"], "--teacher a=b: expected NAME"),
        (
            ["--retriever", "START", "--freeze-passages", "--projection", "4"],
            "--freeze-passages keeps the passage",
        ),
        (["--retriever", "START", "--temperature", "0"], "Invalid value for '--temperature'"),
        (["--retriever", "START", "--word-vectors", "glove.txt"], "--word-vectors only applies to a new --student"),
        (["--retriever", "START", "--freeze-words"], "--freeze-words only applies to a new --student"),
        (["--student", "cnn", "--freeze-words"], "--freeze-words needs the word vectors to keep"),
        (["--student", "lstm", "--freeze-passages"], "--freeze-passages only applies to an initial model"),
        (["--student", "cnn", "--projection", "4"], "--projection only applies to an initial model"),
        (["--student", "static", "--gradient-checkpointing"], "--gradient-checkpointing only applies to an initial"),
        (
            ["--retriever", "START", "--dev", "DEV", "--loss", "infonce", "--labels", "gold", "--select", "overlap"],
            "--select overlap compares with a teacher's scores, of which --loss infonce reads none here",
        ),
    ],
)
def test_impossible_combinations_are_refused(
    plain_model: Path,
    questions: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "glove.txt").touch()
    places = {"START": str(plain_model), "DEV": str(questions()), "glove.txt": str(tmp_path / "glove.txt")}
    chosen = [places.get(option, option) for option in options]
    assert run(["train-retriever", str(questions()), "-o", str(tmp_path / "r"), *chosen]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_start_that_every_update_harms_is_kept(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    first = questions()
    fit(first, tmp_path / "start", "--retriever", str(plain_model), "--dev", str(first))
    inverted = tmp_path / "inverted.jsonl"  # what is learned there is the opposite of what dev asks for
    lines = [orjson.loads(line) for line in first.read_bytes().splitlines()]
    for passage in (passage for line in lines for passage in line["ctxs"]):
        passage["scores"]["attention"] *= -1
    inverted.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    fit(inverted, tmp_path / "r", "--retriever", str(tmp_path / "start"), "--dev", str(first), "--lr", "1e-2")
    assert different(weights(tmp_path / "r"), weights(tmp_path / "start")) == []
    assert different(weights(tmp_path / "r/last"), weights(tmp_path / "start")) != []
    log = [orjson.loads(line) for line in (tmp_path / "r/log.jsonl").read_bytes().splitlines()]
    assert [line["step"] for line in log if "selection" in line] == [0, 3, 6]
    assert orjson.loads((tmp_path / "r/training.json").read_bytes())["result"]["best_step"] == 0


def preset_of(options: str, train: Path) -> RetrieverRun:
    """The run that a command line means."""
    words = [str(train), "--retriever", "start", "-o", str(train.with_name("r")), *options.split()]
    with train_retriever_command.make_context("train-retriever", words) as context:
        given = dict(context.params)
        given |= preset_values(given.pop("preset"))
    names = {field.name for field in fields(RetrieverRun)} - {"settings", "size"}
    return RetrieverRun(**{name: value for name, value in given.items() if name in names})


def test_presets_are_the_papers_temperatures_and_options_replace_them(questions: Write) -> None:
    train = questions()
    atlas, replug = preset_of("--preset atlas", train), preset_of("--preset replug", train)
    assert (atlas.temperature, atlas.teacher_temperature, atlas.probabilities) == (0.01, 0.01, False)
    assert (replug.cosine_temperature, replug.teacher_temperature) == (0.1, 0.1)
    assert (replug.normalize, replug.probabilities) == (True, True)
    assert preset_of("--preset atlas --teacher-temperature 2", train).teacher_temperature == 2.0
    assert preset_of("--preset replug --temperature 3", train).cosine_temperature is None
    assert preset_of("", train).temperature == 1.0


def test_atlas_is_the_divergence_of_mean_likelihoods_and_scaled_products(
    plain_model: Path, questions: Write, tmp_path: Path
) -> None:
    """`kldivloss` of Atlas' `src/atlas.py`: softmax(G / 0.01) against softmax(q·p / √d / 0.01)."""
    dev = questions()
    lines = [orjson.loads(line) for line in dev.read_bytes().splitlines()]
    for passage in (passage for line in lines for passage in line["ctxs"]):
        passage["scores"] = {"likelihood-per-token": -0.02 * passage["scores"]["attention"]}
    dev.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    options = ["--preset", "atlas", "--teacher", "likelihood-per-token", "--dropout", "0"]
    fit(dev, tmp_path / "r", "--retriever", str(plain_model), "--dev", str(dev), *options)
    log = [orjson.loads(line) for line in (tmp_path / "r/log.jsonl").read_bytes().splitlines()]
    start = load_retriever(plain_model)
    expected = []
    for question in read_questions(dev):
        q = torch.from_numpy(start.encode_questions([question.question]))[0]
        p = torch.from_numpy(np.concatenate([start.encode_passages([passage]) for passage in question.ctxs or []]))
        g = torch.tensor([passage.scores["likelihood-per-token"] for passage in question.ctxs or []])
        target = (g / 0.01).softmax(-1)
        student = (p @ q / q.shape[0] ** 0.5 / 0.01).log_softmax(-1)
        expected.append(torch.nn.functional.kl_div(student, target, reduction="sum").item())
    assert log[0]["loss"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_replug_is_the_divergence_of_likelihoods_and_cosines(
    plain_model: Path, questions: Write, tmp_path: Path
) -> None:
    dev = questions()
    fit(dev, tmp_path / "r", "--retriever", str(plain_model), "--dev", str(dev), "--preset", "replug", "--dropout", "0")
    log = [orjson.loads(line) for line in (tmp_path / "r/log.jsonl").read_bytes().splitlines()]
    start = load_retriever(plain_model)
    expected = []
    for question in read_questions(dev):
        q = torch.from_numpy(start.encode_questions([question.question]))
        p = torch.from_numpy(np.concatenate([start.encode_passages([passage]) for passage in question.ctxs or []]))
        cosines = torch.nn.functional.cosine_similarity(q, p)[None]
        likelihoods = torch.tensor([[passage.scores["attention"] for passage in question.ctxs or []]]).exp()
        everything = torch.ones(1, 6, dtype=torch.bool)
        expected.append(losses.kl(cosines / 0.1, likelihoods / 0.1, everything).item())
    assert log[0]["step"] == 0
    assert log[0]["loss"] == pytest.approx(np.mean(expected), rel=1e-4)
