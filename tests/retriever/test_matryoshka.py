"""Vectors cut to fewer dimensions are trained too; sentence-transformers' MatryoshkaLoss is the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from fidtools.cli import run
from fidtools.data.read import read_questions
from fidtools.retriever import losses
from fidtools.retriever.batch import make_batch
from fidtools.retriever.encoding import load_retriever
from fidtools.retriever.examples import read_examples
from fidtools.retriever.loss import Loss
from fidtools.retriever.objective import RetrieverObjective
from fidtools.retriever.run_config import RetrieverRun
from fidtools.retriever.student import Student
from fidtools.retriever.train import _loss, _losses_of_truncated, _on_cosines
from fidtools.training.order import ExampleRef
from tests.retriever.test_training import EXACT, SMALL, gradients

Write = Callable[..., Path]
DIMS = (4, 10)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_is_the_mean_over_truncated_and_renormalized_vectors(
    plain_model: Path, questions: Write, normalize: bool
) -> None:
    path = questions(count=3)
    retriever = load_retriever(plain_model, dropout=0.0, normalize=normalize)
    examples = read_examples(path, retriever, {"attention": 1.0}, 6)
    truncated = dict.fromkeys(DIMS, Loss())
    student = Student(retriever, Loss(), token_budget=1 << 20, truncated=truncated)
    total = student(make_batch(examples, examples.items)).item()
    expected = 0.0
    for question in read_questions(path):
        q = retriever.encode_questions([question.question]).astype(np.float64)
        p = np.concatenate([retriever.encode_passages([passage]) for passage in question.ctxs or []]).astype(np.float64)
        target = torch.tensor([[passage.scores["attention"] for passage in question.ctxs or []]])
        for dim in (*DIMS, 16):
            a, b = q[:, :dim], p[:, :dim]
            if normalize:
                a, b = (v / np.sqrt((v**2).sum(axis=1, keepdims=True)) for v in (a, b))
            scores = torch.from_numpy(a @ b.T) * (dim**0.5 if normalize else dim**-0.5)
            expected += losses.kl(scores, target, torch.ones(1, 6, dtype=torch.bool)).item() / 3
    assert total == pytest.approx(expected, rel=1e-5)


def test_it_is_the_matryoshka_loss_of_sentence_transformers(
    plain_model: Path, questions: Write, tmp_path: Path
) -> None:
    """InfoNCE on cosines with in-batch negatives: loss and gradients, up to their sum in place of our mean."""
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

    lines = [orjson.loads(line) for line in questions(count=4).read_bytes().splitlines()]
    for line in lines:
        line["ctxs"] = [line["ctxs"][2]]  # the positive alone: all negatives are in the batch
    path = tmp_path / "positives.jsonl"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    options = {"pooling": "mean", "normalize": True, "question_format": "{question}", "passage_format": "{text}"}
    retriever = load_retriever(plain_model, dropout=0.0, **options)
    chosen = {"loss": "infonce", "labels": "gold", "cosine_temperature": 0.05, "matryoshka": "4,10"}
    settings = RetrieverRun(str(path), "start", **chosen)  # type: ignore[arg-type]
    plain = _loss(settings)
    truncated = _losses_of_truncated(plain, settings, retriever)
    student = Student(
        retriever, _on_cosines(plain, 0.05, retriever, 16), token_budget=1 << 20, truncated=truncated
    ).train()
    examples = read_examples(path, retriever, {}, 1, "gold", need_positive=True)
    draws = [ExampleRef(i, 0) for i in range(4)]
    ours = gradients(student, RetrieverObjective(student, examples, None), draws)
    folder = tmp_path / "r"
    folder.mkdir()
    retriever.save(folder)
    model = library.SentenceTransformer(str(folder), device="cpu").train()
    loss = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model, scale=20.0), [16, 10, 4])
    texts = [[line["question"] for line in lines], [line["ctxs"][0]["text"] for line in lines]]
    value = loss([model.preprocess(column) for column in texts], None)
    value.backward()
    assert student(make_batch(examples, examples.items)).item() / 4 == pytest.approx(value.item() / 3, rel=1e-5)
    theirs = {name: p.grad for name, p in model[0].model.named_parameters() if p.grad is not None}
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[f"question_encoder.model.{name}"], gradient / 3, rtol=1e-3, atol=1e-6)


def test_truncated_vectors_rank_better_for_it(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    path = questions(count=30)
    common = [
        "train-retriever",
        str(path),
        "--retriever",
        str(plain_model),
        *SMALL,
        *EXACT,
        "--steps",
        "150",
        "--lr",
        "5e-3",
    ]
    assert run([*common, "-o", str(tmp_path / "plain")]) == 0
    assert run([*common, "-o", str(tmp_path / "cut"), "--matryoshka", "4"]) == 0
    found = []
    for name in ("plain", "cut"):
        retriever = load_retriever(tmp_path / name)
        examples = read_examples(path, retriever, {"attention": 1.0}, 6)
        total = 0.0
        student = Student(retriever, Loss(), token_budget=1 << 20, truncated={4: Loss()}).eval()
        with torch.inference_mode():
            whole = student.dev_loss(student.score(batch := make_batch(examples, examples.items)), batch).sum()
            total = 2 * student(batch).item() - whole.item()  # that of four dimensions alone
        found.append(total)
    assert found[1] < 0.8 * found[0]
    card = (tmp_path / "cut" / "README.md").read_text()
    assert "| matryoshka | `4` |" in card
    assert "--matryoshka 4" in card


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("6_4", "--matryoshka 6_4: not a list of dimensions"),
        ("64,x", "--matryoshka 64,x: not a list of dimensions"),
        ("0", "--matryoshka 0: not a list of dimensions"),
        ("", "--matryoshka : not a list of dimensions"),
        ("4,4", "--matryoshka 4,4: not a list of dimensions"),
        ("-4", "--matryoshka -4: not a list of dimensions"),
        ("9" * 5000, f"--matryoshka {'9' * 79}…: not a list of dimensions"),
        ("4,17", "--matryoshka 17: the retriever's vectors have 16 dimensions"),
    ],
)
def test_dimensions_that_cannot_be_are_refused(
    plain_model: Path, questions: Write, tmp_path: Path, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train-retriever", str(questions()), "-o", str(tmp_path / "r"), "--retriever", str(plain_model)]
    assert run([*arguments, f"--matryoshka={value}"]) == 2
    assert message in capsys.readouterr().err


def test_all_dimensions_may_be_among_them(plain_model: Path, questions: Write, tmp_path: Path) -> None:
    common = ["train-retriever", str(questions()), "--retriever", str(plain_model), *SMALL, *EXACT]
    assert run([*common, "-o", str(tmp_path / "a"), "--matryoshka", "16,8"]) == 0
    assert run([*common, "-o", str(tmp_path / "b"), "--matryoshka", "8"]) == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
