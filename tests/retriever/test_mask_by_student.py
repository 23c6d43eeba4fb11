"""Negatives that the student itself scores above the positive: slow loops and sentence-transformers' GISTEmbedLoss."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from torch import Tensor

from fidtools.cli import run
from fidtools.data.read import read_questions
from fidtools.retriever.batch import make_batch
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.examples import read_examples
from fidtools.retriever.objective import RetrieverObjective
from fidtools.retriever.run_config import RetrieverRun
from fidtools.retriever.student import Student
from fidtools.retriever.train import _loss, _losses_of_truncated, _on_cosines
from fidtools.training.order import ExampleRef
from tests.retriever.test_training import SMALL, different, gradients, weights

Write = Callable[..., Path]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def by_student(path: Path, margin: float, **more: object) -> RetrieverRun:
    chosen = {"loss": "infonce", "labels": "gold", "mask_above": margin, "mask_by": "student"}
    return RetrieverRun(str(path), "start", **chosen | more)  # type: ignore[arg-type]


def slow_loss(path: Path, vectors: tuple[Tensor, Tensor], margin: float, temperature: float, unit: bool) -> Tensor:
    """The sum of InfoNCE over questions, S in loops; gold is the only positive, the mask is made of numbers."""
    questions, passages = vectors
    total = questions.new_zeros(())
    for row, question in enumerate(read_questions(path)):
        dim = questions.shape[1]
        positive = row * 6 + 2
        products = [(questions[row] * passage).sum() for passage in passages]
        scores = [product * (math.sqrt(dim) if unit else 1 / math.sqrt(dim)) / temperature for product in products]
        bar = products[positive].item() + margin
        kept = [s for n, s in enumerate(scores) if n == positive or products[n].item() <= bar]
        assert question.ctxs
        assert question.ctxs[2].id == f"{row}-2"
        total = total + torch.logsumexp(torch.stack(kept), dim=0) - scores[positive]
    return total


@pytest.mark.parametrize("margin", [-0.02, 0.0, 0.01, 99.0])
@pytest.mark.parametrize("unit", [False, True])
def test_loss_and_gradients_are_those_of_a_slow_loop(
    plain_model: Path, questions: Write, unit: bool, margin: float
) -> None:
    """Listed and in-batch negatives alike; no gradient through the mask; cut vectors by their own products."""
    path = questions(count=4)
    retriever = load_retriever(plain_model, dropout=0.0, normalize=unit)
    settings = by_student(path, margin, matryoshka="5", temperature=0.5)
    loss = _loss(settings)
    truncated = _losses_of_truncated(loss, settings, retriever)
    student = Student(retriever, loss, token_budget=1 << 20, truncated=truncated).train()
    examples = read_examples(path, retriever, {}, 6, "gold", need_positive=True)
    assert not loss.needs_teacher
    ours = gradients(student, RetrieverObjective(student, examples, None), [ExampleRef(i, 0) for i in range(4)])
    student.zero_grad()
    batch = make_batch(examples, examples.items)
    own = [int(slot) for slots in batch.slots for slot in slots]  # 24 passages, none shared
    whole = student.encode(student.question_encoder, batch.questions)
    all_passages = student.encode(student.passage_encoder, batch.passages)[own]
    expected = whole.new_zeros(())
    for dim in (16, 5):
        cut = [v[:, :dim] / v[:, :dim].norm(dim=1, keepdim=True) if unit else v[:, :dim] for v in (whole, all_passages)]
        expected = expected + slow_loss(path, (cut[0], cut[1]), margin, 0.5, unit) / 2
    assert student(batch).item() == pytest.approx(expected.item(), rel=1e-5)
    (expected / 4).backward()
    for name, parameter in student.named_parameters():
        if parameter.grad is not None:
            np.testing.assert_allclose(ours[name], parameter.grad, rtol=1e-3, atol=1e-6, err_msg=name)


def test_the_margin_decides_how_much_is_left_out(plain_model: Path, questions: Write) -> None:
    path = questions(count=4)
    retriever = load_retriever(plain_model, dropout=0.0, normalize=True)
    examples = read_examples(path, retriever, {}, 6, "gold", need_positive=True)
    batch = make_batch(examples, examples.items)
    found = []
    for margin in (-2.5, -0.02, 0.0, 0.01, 2.5):  # a cosine is within ±1: the first leaves out all, the last none
        found.append(Student(retriever, _loss(by_student(path, margin)), token_budget=1 << 20)(batch).item())
    assert found[0] == 0.0
    assert found == sorted(found)
    assert len(set(found)) == 5
    unmasked = _loss(RetrieverRun(str(path), "start", loss="infonce", labels="gold"))
    assert found[-1] == Student(retriever, unmasked, token_budget=1 << 20)(batch).item()


def test_the_dev_loss_keeps_all_negatives(plain_model: Path, questions: Write) -> None:
    """A student that places every negative above the positive would have no loss otherwise, and be selected."""
    path = questions(count=4)
    retriever = load_retriever(plain_model, dropout=0.0)
    examples = read_examples(path, retriever, {"attention": 1.0}, 6, "gold", need_positive=True)
    plain = _loss(RetrieverRun(str(path), "start", loss="infonce", labels="gold"))
    students = [Student(retriever, loss, token_budget=1 << 20) for loss in (plain, _loss(by_student(path, -99.0)))]
    losses = [RetrieverObjective(student, examples, examples).evaluate()["loss"] for student in students]
    assert losses[0] == losses[1] > 0


@pytest.mark.parametrize("margin", [-0.01, 0.0, 0.05])
def test_it_is_the_loss_of_sentence_transformers_guided_by_the_student(
    plain_model: Path, questions: Write, tmp_path: Path, margin: float
) -> None:
    """GISTEmbedLoss with the model as its own guide, without pairs of two questions or two passages."""
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss

    lines = [orjson.loads(line) for line in questions(count=6).read_bytes().splitlines()]
    for line in lines:
        line["ctxs"] = [line["ctxs"][2], line["ctxs"][1]]  # a positive and a negative
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    options = {"pooling": "mean", "normalize": True, "question_format": "{question}", "passage_format": "{text}"}
    retriever = load_retriever(plain_model, dropout=0.0, **options)
    loss = _on_cosines(_loss(by_student(path, margin)), 0.05, retriever, 16)
    examples = read_examples(path, retriever, {}, 2, "gold", need_positive=True)
    ours = Student(retriever, loss, token_budget=1 << 20)(make_batch(examples, examples.items)).item() / 6
    folder = tmp_path / "r"
    folder.mkdir()
    retriever.save(folder)
    model = library.SentenceTransformer(str(folder), device="cpu")
    reference = GISTEmbedLoss(
        model, model, temperature=0.05, margin=-margin, contrast_anchors=False, contrast_positives=False
    )
    texts = [[line["question"] for line in lines], *([line["ctxs"][n]["text"] for line in lines] for n in (0, 1))]
    assert ours == pytest.approx(reference([model.preprocess(column) for column in texts], None).item(), rel=1e-5)


def test_a_calibrated_student_is_masked_by_its_products(plain_model: Path, questions: Write) -> None:
    """`bce`-like calibration scales the scores of the loss, not those that the margin is compared with."""
    from fidtools.retriever.calibration import Calibration

    path = questions(count=4)
    retriever = load_retriever(plain_model, dropout=0.0, normalize=True)
    examples = read_examples(path, retriever, {}, 6, "gold", need_positive=True)
    batch = make_batch(examples, examples.items)
    student = Student(retriever, _loss(by_student(path, 0.01)), token_budget=1 << 20)
    student.calibration = Calibration(bias=False)
    with torch.no_grad():
        student.calibration.log_scale.fill_(math.log(0.25))  # as a temperature of 4
    warm = Student(retriever, _loss(by_student(path, 0.01, temperature=4.0)), token_budget=1 << 20)
    assert student(batch).item() == pytest.approx(warm(batch).item(), rel=1e-6)


def test_the_command_needs_no_teacher_for_it(
    plain_model: Path, questions: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [orjson.loads(line) for line in questions(count=8).read_bytes().splitlines()]
    for line in lines:
        for passage in line["ctxs"]:
            del passage["scores"], passage["score"]
    train = tmp_path / "unscored.jsonl"
    train.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    arguments = ["train-retriever", str(train), "--retriever", str(plain_model), *SMALL, "--loss", "infonce"]
    arguments += ["--labels", "gold", "--precision", "float32"]
    for name, more in (("plain", []), ("masked", ["--mask-above", "0", "--mask-by", "student"])):
        assert run([*arguments, "-o", str(tmp_path / name), *more]) == 0
    assert "negatives whose inner product exceeds the positive's by 0 are left out" in said(capsys)
    assert different(weights(tmp_path / "plain"), weights(tmp_path / "masked")) != []
    assert "mask_by" not in orjson.loads((tmp_path / "plain" / "training.json").read_bytes())
    assert orjson.loads((tmp_path / "masked" / "training.json").read_bytes())["mask_by"] == "student"
    assert run([*arguments, "-o", str(tmp_path / "x"), "--mask-by", "student"]) == 2
    assert "--mask-by student needs a margin" in said(capsys)
