"""Distillation: DeiT's formulas by hand, cross entropy at alpha 0, patients without a label or without a teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from chiasm.objectives.distil import distillation_loss
from examples import examples


def patients(seed: int, rows: int = 7, classes: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits of the student, of its distillation token and of the teacher, and the codes."""
    generator = torch.Generator().manual_seed(seed)
    student, token, teacher = 2 * torch.randn(3, rows, classes, generator=generator, dtype=torch.float64)
    return student, token, teacher, torch.randint(0, classes, (rows,), generator=generator)


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0.2, 10))
@settings(max_examples=examples(40), deadline=None)
def test_the_formulas_by_hand(seed: int, alpha: float, temperature: float) -> None:
    student, token, teacher, codes = patients(seed)

    def softmax(logits: Tensor) -> np.ndarray:
        powers = np.exp(logits.numpy())
        return powers / powers.sum(1, keepdims=True)

    labelled = -np.log(softmax(student)[np.arange(7), codes]).mean()
    p, q = softmax(teacher / temperature), softmax(token / temperature)
    soft = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    hard = -np.log(softmax(token)[np.arange(7), teacher.numpy().argmax(1)]).mean()
    options: dict[str, Any] = {"alpha": alpha, "distilled": token}
    got = distillation_loss(student, codes, teacher, kind="soft", temperature=temperature, **options)
    assert got.item() == pytest.approx((1 - alpha) * labelled + alpha * soft)
    got = distillation_loss(student, codes, teacher, kind="hard", **options)
    assert got.item() == pytest.approx((1 - alpha) * labelled + alpha * hard)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_alpha_zero_is_cross_entropy_whatever_the_teacher(kind: Any) -> None:
    student, token, teacher, codes = patients(0)
    lost = torch.full_like(teacher, torch.nan)
    for told, learned in ((teacher, token), (lost, token), (teacher, lost)):
        loss = distillation_loss(student, codes, told, kind=kind, alpha=0.0, distilled=learned)
        torch.testing.assert_close(loss, functional.cross_entropy(student, codes), rtol=0, atol=1e-14)


def test_a_student_like_its_teacher_has_nothing_left_to_learn() -> None:
    student, _, _, codes = patients(1)
    logits = student.clone().requires_grad_()
    loss = distillation_loss(logits, codes, student + 3.0, kind="soft", alpha=1.0, temperature=2.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(0.0, abs=1e-12) and gradient.abs().max() < 1e-12


@given(st.integers(0, 10_000), st.sampled_from(["soft", "hard"]))
@settings(max_examples=examples(25), deadline=None)
def test_order_names_and_repeated_patients_do_not_count(seed: int, kind: Any) -> None:
    student, _, teacher, codes = patients(seed)
    one = distillation_loss(student, codes, teacher, kind=kind)
    rows, names = (torch.randperm(n, generator=torch.Generator().manual_seed(seed)) for n in (7, 4))
    places = torch.argsort(names)
    moved = distillation_loss(student[rows][:, places], names[codes[rows]], teacher[rows][:, places], kind=kind)
    torch.testing.assert_close(moved, one)
    twice = distillation_loss(student.repeat(2, 1), codes.repeat(2), teacher.repeat(2, 1), kind=kind)
    torch.testing.assert_close(twice, one)


def test_the_weight_of_the_soft_term_does_not_fall_with_the_number_of_classes() -> None:
    """The published code divides by patients times classes: classes that nobody expects would change the loss."""
    student, _, teacher, codes = patients(2)
    never = torch.full((7, 20), -60.0, dtype=torch.float64)
    wide = [torch.cat([logits, never], 1) for logits in (student, teacher)]
    torch.testing.assert_close(
        distillation_loss(wide[0], codes, wide[1], kind="soft", temperature=1.5),
        distillation_loss(student, codes, teacher, kind="soft", temperature=1.5),
    )


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_who_lacks_a_label_learns_from_the_teacher_and_the_other_way_round(kind: Any) -> None:
    student, token, teacher, codes = patients(3)
    codes[0], teacher[1, 2] = -1, torch.nan
    for each in (student, token, teacher):
        each.requires_grad_()
    loss = distillation_loss(student, codes, teacher, kind=kind, alpha=0.5, distilled=token)
    learned = distillation_loss(student, codes, teacher, kind=kind, alpha=1.0, distilled=token)
    left = distillation_loss(student[2:], codes[2:], teacher[2:], kind=kind, alpha=1.0, distilled=token[2:])
    first = distillation_loss(student[:1], codes[:1], teacher[:1], kind=kind, alpha=1.0, distilled=token[:1])
    torch.testing.assert_close(learned, (5 * left + first) / 6)
    of_student, of_token, of_teacher = torch.autograd.grad(loss, [student, token, teacher], allow_unused=True)
    assert of_teacher is None
    assert not of_student[0].any() and of_student[1].any() and of_token[0].any() and not of_token[1].any()
    assert torch.isfinite(of_student).all() and torch.isfinite(of_token).all()


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_neither_label_nor_teacher_is_zero_with_zero_gradient(kind: Any, rows: int) -> None:
    student = torch.randn(rows, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    nothing = torch.full((rows, 2), torch.nan)
    loss = distillation_loss(student, torch.full((rows,), torch.nan), nothing, kind=kind)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == 0.0 and not gradient.any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "medium"}, "no kind 'medium'"),
        ({"alpha": 1.1}, "alpha lies between"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"kind": "hard", "temperature": 2.0}, "no temperature"),
        ({"teacher": torch.zeros(7, 3)}, "other patients or classes"),
        ({"distilled": torch.zeros(6, 4)}, "other patients or classes"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, Any], message: str) -> None:
    student, _, teacher, codes = patients(4)
    with pytest.raises(ValueError, match=message):
        distillation_loss(**{"logits": student, "codes": codes, "teacher": teacher, "kind": "soft", **changed})
