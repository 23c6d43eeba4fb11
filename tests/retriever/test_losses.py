"""Every loss: by hand on 2 × 2, against its formula as loops, with unequal numbers of passages, and gradients."""

from __future__ import annotations

import doctest
import math
import runpy
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fidtools.commands.train_retriever import command
from fidtools.retriever import contrastive, losses
from fidtools.retriever.loss import Loss

DOCS = Path(__file__).resolve().parents[2] / "docs"
TWO = torch.ones(2, 2, dtype=torch.bool)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def entropy(y: float, p: float) -> float:
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def slow_kl(s: list[float], g: list[float], temperature: float = 1.0, teacher_temperature: float = 1.0) -> float:
    target = softmax([x / teacher_temperature for x in g])
    own = softmax([x / temperature for x in s])
    return sum(t * (math.log(t) - math.log(o)) for t, o in zip(target, own, strict=True))


def slow_mse(s: list[float], g: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(s, g, strict=True))


def slow_margin(s: list[float], g: list[float], gamma: float = 0.2) -> float:
    total = 0.0
    for i in range(len(s)):
        for j in range(len(s)):
            if g[i] != g[j]:
                sign = 1 if g[i] > g[j] else -1
                total += max(0.0, gamma - sign * (s[i] - s[j]))
    return total


def slow_margin_mse(s: list[float], g: list[float]) -> float:
    pairs = [(i, j) for i in range(len(s)) for j in range(len(s)) if i != j]
    return sum(((s[i] - s[j]) - (g[i] - g[j])) ** 2 for i, j in pairs) / max(1, len(pairs))


def slow_bce(s: list[float], g: list[float], y: list[float], alpha: float, t: float) -> float:
    total = 0.0
    for a, b, label in zip(s, g, y, strict=True):
        soft = t * t * entropy(sigmoid(b / t), sigmoid(a / t))
        total += alpha * entropy(label, sigmoid(a)) + (1 - alpha) * soft
    return total / len(s)


def test_kl_by_hand() -> None:
    student = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    teacher = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])
    uniform_to_quarter = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert losses.kl(student, teacher, TWO).tolist() == pytest.approx([uniform_to_quarter, 0.0])
    assert losses.kl(student, teacher, TWO, per_passage=True).tolist() == pytest.approx([uniform_to_quarter / 2, 0.0])


def test_mse_by_hand() -> None:
    assert losses.mse(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 1.0], [0.5, 0.0]]), TWO).tolist() == [
        5.0,
        0.25,
    ]


def test_margin_by_hand() -> None:
    student = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    teacher = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    # the first pair is inverted by 1, counted from both sides: 2 × (0.2 + 1); the second is a tie
    assert losses.margin(student, teacher, TWO, gamma=0.2).tolist() == pytest.approx([2.4, 0.0])
    assert losses.margin(student, -teacher, TWO, gamma=0.2).tolist() == pytest.approx([0.0, 0.0])


def test_margin_mse_by_hand() -> None:
    student, teacher = torch.tensor([[3.0, 1.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [5.0, 5.0]])
    assert losses.margin_mse(student, teacher, TWO).tolist() == [1.0, 0.0]


def test_bce_by_hand() -> None:
    labels = torch.tensor([[True, False], [True, False]])
    zero = torch.zeros(2, 2)
    assert losses.bce(zero, zero, TWO, labels).tolist() == pytest.approx([math.log(2)] * 2)
    student = torch.tensor([[2.0, -1.0], [0.0, 0.0]])
    hard = (entropy(1, sigmoid(2)) + entropy(0, sigmoid(-1))) / 2
    assert losses.bce(student, zero, TWO, labels, alpha=1.0).tolist() == pytest.approx([hard, math.log(2)])
    soft = 9 * (entropy(0.5, sigmoid(2 / 3)) + entropy(0.5, sigmoid(-1 / 3))) / 2
    assert losses.bce(student, zero, TWO, labels, alpha=0.0, temperature=3.0)[0].item() == pytest.approx(soft)


def test_infonce_by_hand() -> None:
    scores = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, math.log(3), 0.0]])
    excluded = torch.tensor([[False, False, True], [False, False, False]])
    found = contrastive.infonce(scores, torch.tensor([0, 1]), excluded)
    assert found.tolist() == pytest.approx([-math.log(2 / 3), -math.log(3 / 5)])


def test_similarity_is_the_inner_product_over_the_root_of_the_dimension() -> None:
    q, p = torch.tensor([[1.0, 2.0, 0.0, 1.0]]), torch.tensor([[2.0, 1.0, 5.0, 0.0]])
    assert losses.similarity(q, p).item() == 2.0
    unit = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert losses.similarity(unit, unit, normalized=True).item() == 2.0  # √4 · cos


SLOW: list[tuple[Callable[..., Tensor], Callable[..., float], dict[str, float]]] = [
    (losses.kl, slow_kl, {}),
    (losses.kl, slow_kl, {"temperature": 0.5, "teacher_temperature": 3.0}),
    (losses.mse, slow_mse, {}),
    (losses.margin, slow_margin, {}),
    (losses.margin, slow_margin, {"gamma": 1.0}),
    (losses.margin_mse, slow_margin_mse, {}),
]


@pytest.mark.parametrize(("fast", "slow", "options"), SLOW)
def test_equals_the_loops_with_unequal_numbers_of_passages(
    fast: Callable[..., Tensor], slow: Callable[..., float], options: dict[str, float]
) -> None:
    draw = np.random.default_rng(0)
    sizes = [7, 1, 4]
    student, teacher = draw.normal(size=(2, 3, 7))
    teacher[0, 2] = teacher[0, 5]  # a tie
    mask = np.arange(7) < np.array(sizes)[:, None]
    found = fast(torch.from_numpy(student), torch.from_numpy(teacher), torch.from_numpy(mask), **options)
    expected = [slow(list(s[:n]), list(g[:n]), **options) for s, g, n in zip(student, teacher, sizes, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_bce_equals_the_loops_with_unequal_numbers_of_passages() -> None:
    draw = np.random.default_rng(1)
    sizes = [5, 1, 3]
    student, teacher = draw.normal(size=(2, 3, 5))
    labels = draw.random((3, 5)) < 0.5
    mask = torch.from_numpy(np.arange(5) < np.array(sizes)[:, None])
    tensors = (torch.from_numpy(student), torch.from_numpy(teacher), mask, torch.from_numpy(labels))
    found = losses.bce(*tensors, alpha=0.3, temperature=2.0)
    rows = zip(student, teacher, labels, sizes, strict=True)
    expected = [slow_bce(list(s[:n]), list(g[:n]), list(map(float, y[:n])), 0.3, 2.0) for s, g, y, n in rows]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["kl", "mse", "margin", "margin_mse", "bce", "infonce"])
def test_gradients_are_the_derivatives(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(3, 5, dtype=torch.float64, generator=draw, requires_grad=True)
    teacher = torch.randn(3, 5, dtype=torch.float64, generator=draw)
    mask = torch.arange(5) < torch.tensor([5, 2, 4])[:, None]
    labels = torch.arange(5) == torch.tensor([0, 1, 3])[:, None]
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "bce": lambda s: losses.bce(s, teacher, mask, labels, temperature=2.0),
        "infonce": lambda s: contrastive.infonce(s, torch.tensor([0, 1, 3]), torch.zeros(3, 5, dtype=torch.bool)),
    }
    form = forms.get(name, lambda s: getattr(losses, name)(s, teacher, mask))
    assert torch.autograd.gradcheck(form, (student,))


def batch_of_three() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """S of 3 questions and 6 passages, whose lists overlap and differ in length; slots, G and mask (3, 4)."""
    draw = torch.Generator().manual_seed(3)
    scores = torch.randn(3, 6, dtype=torch.float64, generator=draw)
    slots = torch.tensor([[0, 1, 2, 3], [2, 4, 0, 0], [5, 1, 3, 0]])
    teacher = torch.randn(3, 4, dtype=torch.float64, generator=draw)
    teacher[2, 0] = teacher[2, 1]  # a tie
    return scores, slots, teacher, torch.arange(4) < torch.tensor([4, 2, 3])[:, None]


def slow_rows() -> list[tuple[list[float], list[float]]]:
    """The same questions one by one: S of all passages, and G, which is −∞ for those of other questions."""
    scores, slots, teacher, mask = batch_of_three()
    rows = []
    for row in range(3):
        own = [int(slot) for slot, real in zip(slots[row], mask[row], strict=True) if real]
        g = [float(teacher[row, own.index(column)]) if column in own else -math.inf for column in range(6)]
        rows.append((scores[row].tolist(), g))
    return rows


def slow_kl_of_all(s: list[float], g: list[float], t: float, teacher_t: float) -> float:
    target, own = softmax([x / teacher_t for x in g]), softmax([x / t for x in s])
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(target, own, strict=True) if a > 0)


def test_other_questions_passages_are_candidates_with_probability_0() -> None:
    found = losses.kl_in_batch(*batch_of_three(), temperature=0.7, teacher_temperature=1.3)
    expected = [slow_kl_of_all(s, g, 0.7, 1.3) for s, g in slow_rows()]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    by_own = losses.kl_in_batch(*batch_of_three(), temperature=0.7, teacher_temperature=1.3, per_passage=True)
    assert (by_own * torch.tensor([4, 2, 3])).tolist() == pytest.approx(expected, rel=1e-12)


def test_other_questions_passages_are_below_the_question_s_own() -> None:
    found = losses.margin_in_batch(*batch_of_three(), gamma=0.9)
    assert found.tolist() == pytest.approx([slow_margin(s, g, 0.9) for s, g in slow_rows()], rel=1e-12)


def test_a_batch_of_one_question_has_no_other_candidates() -> None:
    scores, slots, teacher, mask = batch_of_three()
    own, slots, everything = scores[:1, [3, 0, 2, 1]], torch.tensor([[1, 3, 2, 0]]), mask[:1]
    plain = own.gather(1, slots)
    for name in ("kl", "margin"):
        found = getattr(losses, f"{name}_in_batch")(own, slots, teacher[:1], everything)
        assert found.tolist() == pytest.approx(getattr(losses, name)(plain, teacher[:1], everything).tolist()), name


@pytest.mark.parametrize("name", ["kl_in_batch", "margin_in_batch"])
def test_gradients_over_the_whole_batch_are_the_derivatives(name: str) -> None:
    scores, slots, teacher, mask = batch_of_three()
    form = getattr(losses, name)
    assert torch.autograd.gradcheck(lambda s: form(s, slots, teacher, mask), (scores.requires_grad_(),))


def test_what_lies_behind_the_mask_changes_nothing() -> None:
    student, teacher = torch.randn(2, 2, 4)
    mask = torch.tensor([[True, True, False, False], [True, True, True, False]])
    for name in ("kl", "mse", "margin", "margin_mse"):
        form = getattr(losses, name)
        loud = form(student.masked_fill(~mask, 1e4), teacher.masked_fill(~mask, -1e4), mask)
        assert torch.equal(loud, form(student.masked_fill(~mask, 0), teacher.masked_fill(~mask, 0), mask)), name


def test_infonce_of_own_passages_leaves_out_other_positives_and_padding() -> None:
    student = torch.tensor([[math.log(2), 5.0, 0.0, 9.0]])
    mask, labels = torch.tensor([[True, True, True, False]]), torch.tensor([[True, True, False, False]])
    found = contrastive.infonce_own_passages(student, student, mask, labels)
    assert found.tolist() == pytest.approx([-math.log(2 / 3)])


def slow_infonce(s: list[float], g: list[float], labels: list[bool], margin: float, others: list[float]) -> float:
    positive = labels.index(True)
    negatives = [a for a, b, relevant in zip(s, g, labels, strict=True) if not relevant and b <= g[positive] + margin]
    return math.log(sum(math.exp(a) for a in [s[positive], *negatives, *others])) - s[positive]


@pytest.mark.parametrize("margin", [-0.5, 0.0, 0.1, 9.0])
def test_negatives_above_the_positive_by_the_margin_are_left_out(margin: float) -> None:
    scores, slots, teacher, mask = batch_of_three()
    labels = torch.tensor([[False, True, False, True], [True, False, False, False], [False, False, True, False]])
    found = contrastive.infonce_in_batch(scores, slots, teacher, mask, labels, mask_above=margin)
    own_scores = scores.gather(1, slots)
    alone = contrastive.infonce_own_passages(own_scores, teacher, mask, labels, mask_above=margin)
    for row in range(3):
        n = int(mask[row].sum())
        own, s, g, y = (t[row, :n].tolist() for t in (slots, own_scores, teacher, labels))
        others = [float(scores[row, column]) for column in range(6) if column not in own]
        assert found[row].item() == pytest.approx(slow_infonce(s, g, y, margin, others), rel=1e-12)
        assert alone[row].item() == pytest.approx(slow_infonce(s, g, y, margin, []), rel=1e-12)
    plain = contrastive.infonce_in_batch(scores, slots, teacher, mask, labels)
    assert torch.equal(found, plain) == (margin == 9.0)


def test_the_examples_in_docstrings_hold() -> None:
    assert all(">>>" in (spec.function.__doc__ or "") for spec in losses.LOSSES.values())
    assert doctest.testmod(losses).failed == 0


def test_the_command_offers_the_registered_losses_with_their_defaults(tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text("")
    (option,) = (parameter for parameter in command.params if parameter.name == "loss")
    assert list(option.type.choices) == list(losses.LOSSES)  # type: ignore[attr-defined]
    given = command.make_context("train-retriever", [str(train), "--retriever", "start", "-o", "folder"]).params
    own = {field.name: field.default for field in fields(Loss)}
    for spec in losses.LOSSES.values():
        for name, value in spec.defaults.items():
            assert given[name] == own[name] == value, name


@pytest.mark.parametrize(
    ("loss", "teacher", "labels"),
    [
        (Loss("kl"), True, False),
        (Loss("kl", alpha=1.0), True, False),
        (Loss("mse"), True, False),
        (Loss("margin"), True, False),
        (Loss("margin-mse"), True, False),
        (Loss("bce"), True, True),
        (Loss("bce", alpha=1.0), False, True),
        (Loss("bce", alpha=0.0), True, False),
        (Loss("infonce"), False, True),
        (Loss("infonce", mask_above=0.0), True, True),
    ],
)
def test_what_a_loss_needs(loss: Loss, teacher: bool, labels: bool) -> None:
    assert (loss.needs_teacher, loss.needs_labels) == (teacher, labels)


def test_options_reach_the_function() -> None:
    student, teacher = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[True, False], [False, True]])
    chosen = {"temperature": 2.0, "teacher_temperature": 3.0, "gamma": 0.7, "alpha": 0.25, "per_passage": True}
    expected = {
        "kl": losses.kl(student, teacher, TWO, temperature=2.0, teacher_temperature=3.0, per_passage=True),
        "mse": losses.mse(student, teacher, TWO),
        "margin": losses.margin(student, teacher, TWO, gamma=0.7),
        "margin-mse": losses.margin_mse(student, teacher, TWO),
        "bce": losses.bce(student, teacher, TWO, labels, alpha=0.25, temperature=2.0),
        "infonce": contrastive.infonce_own_passages(student, teacher, TWO, labels, temperature=2.0),
    }
    for name in losses.LOSSES:
        assert torch.equal(Loss(name, **chosen)(student, teacher, TWO, labels), expected[name]), name  # type: ignore[arg-type]


def test_the_table_in_the_docs_is_that_of_the_registry() -> None:
    made = runpy.run_path(str(DOCS / "make_losses.py"))["page"]()
    assert (DOCS / "retriever.md").read_text(encoding="utf-8") == made, "run: python docs/make_losses.py"
