"""The self-supervised losses equal lightly's, and have no gradient where their papers stop it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from chiasm.objectives.self_distillation import moved_centre, self_distillation
from chiasm.objectives.swapped_prediction import equal_partition, swapped_prediction
from chiasm.objectives.two_views import batch_contrast, cosine_regression, nt_xent, queue_contrast

FOUND = json.loads((Path(__file__).parent / "fixtures" / "self_supervised.json").read_text())


def inputs(case: dict[str, Any], unit: bool = False) -> list[Tensor]:
    rng = np.random.default_rng(case["seed"])
    drawn = [torch.from_numpy(rng.standard_normal(shape)) for shape in case["shapes"]]
    return [torch.tanh(own) for own in drawn] if unit else drawn


def same(found: Tensor, expected: float) -> None:
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_losses_equal_lightly() -> None:
    for case in FOUND["nt_xent"]:
        same(nt_xent(*inputs(case), case["temperature"]), case["loss"])
    for case in FOUND["moco"]:
        same(queue_contrast(*inputs(case), case["temperature"]), case["loss"])
    for case in FOUND["negative_cosine"]:
        same(cosine_regression(*inputs(case)), 2 + 2 * case["negative_cosine"])
    for case in FOUND["dino"]:
        teacher, student, centre = inputs(case)[:2], inputs(case)[2:], torch.zeros(5, dtype=torch.float64)
        for loss in case["losses"]:
            same(self_distillation(student, teacher, centre, teacher_temperature=0.07), loss)
            centre = moved_centre(centre, teacher)
        torch.testing.assert_close(centre, torch.tensor(case["centre"], dtype=torch.float64), atol=1e-6, rtol=0)
    for case in FOUND["swav"]:
        views = inputs(case, unit=True)
        scores, queues = views[: 2 + case["low"]], views[2 + case["low"] :]
        same(swapped_prediction(scores, queues=queues), case["loss"])


def test_targets_have_no_gradient() -> None:
    def taught(loss: Tensor, *targets: Tensor) -> bool:
        loss.backward()
        return any(own.grad is not None and bool(own.grad.any()) for own in targets)

    a, b, c = (own.requires_grad_() for own in inputs({"seed": 0, "shapes": [[4, 3]] * 3}))
    assert not taught(queue_contrast(a, b, c), b, c)
    assert not taught(batch_contrast(a, b), b)
    assert not taught(cosine_regression(a, b), b)
    assert not taught(self_distillation([a, a], [b, c], torch.zeros(3)), b, c)
    assert bool(a.grad.any())
    # The codes of SwAV: the gradient is that of the other view alone.
    (given,) = torch.autograd.grad(swapped_prediction([b, a], coded=1), b, allow_unused=True)
    assert given is None or not bool(given.any())


def test_equal_partition_has_its_sums_and_survives_large_scores() -> None:
    (scores,) = inputs({"seed": 1, "shapes": [[12, 4]]})
    code = equal_partition(scores, epsilon=0.5, iterations=200)
    torch.testing.assert_close(code.sum(1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(code.sum(0), torch.full((4,), 3.0, dtype=torch.float64), atol=1e-6, rtol=0)
    far = equal_partition(scores.float() * 1000)  # the published form divides by zero here
    assert bool(torch.isfinite(far).all()) and float(far.sum()) == pytest.approx(12, abs=1e-4)


def test_an_empty_queue_teaches_nothing_and_a_batch_of_one_is_no_contrast() -> None:
    (one, other, queue) = inputs({"seed": 2, "shapes": [[4, 3], [4, 3], [0, 3]]})
    assert float(queue_contrast(one, other, queue)) == 0.0
    assert float(nt_xent(one[:1], other[:1])) == 0.0 == float(batch_contrast(one[:1], other[:1]))


def test_views_that_do_not_fit_are_refused() -> None:
    (one, other) = inputs({"seed": 3, "shapes": [[4, 3], [4, 3]]})
    for student, teacher in (([one], [one]), ([one, other], []), ([one], [one, other])):
        with pytest.raises(ValueError, match="no pairs of views"):
            self_distillation(student, teacher, torch.zeros(3))
    for scores, coded, queues in (([one], 1, ()), ([one, other], 3, ())):
        with pytest.raises(ValueError, match="coded views of"):
            swapped_prediction(scores, coded, queues=queues)
    with pytest.raises(ValueError, match="queues do not fit"):
        swapped_prediction([one, other], queues=[one])
