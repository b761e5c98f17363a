"""Means over tokens, rows and tasks: closed forms, what permuting and repeating leave alone, nothing to learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chiasm.objectives.balance import balanced_loss, losses_of_tasks
from examples import examples

MODES = ("tokens", "rows", "task-tokens", "task-rows")


def batch(seed: int, rows: int = 9, tasks: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of ragged rows, NaN where not known; every row and every task has a known one."""
    generator = torch.Generator().manual_seed(seed)
    losses = torch.rand(rows, 5, generator=generator, dtype=torch.float64)
    known = torch.rand(rows, 5, generator=generator) < 0.6
    known[:, 0] = True
    return torch.where(known, losses, torch.nan), known, torch.arange(rows) % tasks


@given(st.integers(0, 10_000))
@settings(max_examples=examples(25), deadline=None)
def test_the_four_means_by_hand(seed: int) -> None:
    losses, known, task = batch(seed)
    rows = [losses[i][known[i]].numpy() for i in range(9)]
    of_task = [[rows[i] for i in range(9) if task[i] == k] for k in range(3)]
    weights = np.array([0.2, 1.0, 3.0])
    expected = {
        "tokens": np.concatenate(rows).mean(),
        "rows": np.mean([row.mean() for row in rows]),
        "task-tokens": np.mean([np.concatenate(found).mean() for found in of_task]),
        "task-rows": np.mean([np.mean([row.mean() for row in found]) for found in of_task]),
    }
    for mode in MODES:
        assert float(balanced_loss(losses, known, task, mode)) == pytest.approx(expected[mode], abs=1e-12)
    weighted = np.average([np.concatenate(found).mean() for found in of_task], weights=weights)
    got = balanced_loss(losses, known, task, "task-tokens", torch.from_numpy(weights))
    assert float(got) == pytest.approx(weighted, abs=1e-12)  # every task is there: MFTCoder's own
    np.testing.assert_allclose(
        losses_of_tasks(losses, known, task, 4), [*(np.concatenate(each).mean() for each in of_task), np.nan]
    )


@given(st.integers(0, 10_000), st.floats(0.01, 100))
@settings(max_examples=examples(25), deadline=None)
def test_equal_rows_and_tasks_make_all_means_equal_and_loss_scales(seed: int, scale: float) -> None:
    losses = torch.rand(6, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    known, task = torch.ones(6, 4, dtype=torch.bool), torch.arange(6) % 2
    for mode in MODES:
        got = balanced_loss(losses, known, task, mode)
        torch.testing.assert_close(got, losses.mean())
        torch.testing.assert_close(balanced_loss(scale * losses, known, task, mode), scale * got)


@given(st.integers(0, 10_000), st.sampled_from(MODES))
@settings(max_examples=examples(40), deadline=None)
def test_order_and_names_and_the_scale_of_weights_change_nothing(seed: int, mode: str) -> None:
    losses, known, task = batch(seed)
    weights = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64) if mode.startswith("task-") else None
    rows = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    names = torch.randperm(3, generator=torch.Generator().manual_seed(seed + 1))
    renamed = None if weights is None else 7 * weights[torch.argsort(names)]
    one = balanced_loss(losses, known, task, mode, weights)
    torch.testing.assert_close(one, balanced_loss(losses[rows], known[rows], names[task[rows]], mode, renamed))


@given(st.integers(0, 10_000), st.sampled_from(["task-tokens", "task-rows"]))
@settings(max_examples=examples(25), deadline=None)
def test_a_mean_by_task_does_not_count_the_rows_of_a_task(seed: int, mode: str) -> None:
    losses, known, task = batch(seed)
    again = torch.cat([torch.arange(9), *3 * [torch.arange(0, 9, 3)]])  # task 0 four times
    torch.testing.assert_close(
        balanced_loss(losses, known, task, mode), balanced_loss(losses[again], known[again], task[again], mode)
    )
    assert not torch.isclose(
        balanced_loss(losses, known, task, "tokens"), balanced_loss(losses[again], known[again], task[again], "tokens")
    )


def test_a_weight_counts_in_a_batch_of_one_task() -> None:
    """The published code divides by the weights that are present, so that the only task of a batch loses its own."""
    weights, losses = torch.tensor([1.0, 3.0]), torch.ones(1, 2, requires_grad=True)
    known, slopes = torch.ones(1, 2, dtype=torch.bool), []
    for task in (0, 1):
        loss = balanced_loss(losses, known, torch.tensor([task]), "task-tokens", weights)
        slopes.append(torch.autograd.grad(loss, losses)[0].sum().item())
    assert slopes[1] / slopes[0] == pytest.approx(3.0)
    assert np.mean(slopes) == pytest.approx(1.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_to_learn_from_is_zero_with_zero_gradient(mode: str, rows: int) -> None:
    losses = torch.full((rows, 2), torch.nan, requires_grad=True)
    loss = balanced_loss(losses, torch.zeros(rows, 2, dtype=torch.bool), torch.zeros(rows, dtype=torch.long), mode)
    (gradient,) = torch.autograd.grad(loss, losses)
    assert loss.item() == 0.0 and not gradient.any()


@pytest.mark.parametrize("mode", MODES)
def test_a_row_and_a_task_without_a_label_count_for_nothing(mode: str) -> None:
    """The published means are NaN here: they divide by no tokens."""
    losses = torch.tensor([[1.0, 2.0], [3.0, torch.nan], [torch.nan, torch.inf]], requires_grad=True)
    known, task = torch.tensor([[True, True], [True, False], [False, False]]), torch.tensor([0, 0, 1])
    loss = balanced_loss(losses, known, task, mode)
    torch.testing.assert_close(loss, balanced_loss(losses[:2], known[:2], task[:2], mode))
    (gradient,) = torch.autograd.grad(loss, losses)
    assert torch.isfinite(gradient).all() and not gradient[~known].any() and gradient[known].all()


def test_one_loss_a_patient_is_a_row_of_one() -> None:
    losses, known, task = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, True, True]), torch.tensor([0, 0, 1])
    assert float(balanced_loss(losses, known, task, "rows")) == 3.0
    assert float(balanced_loss(losses, known, task, "task-rows")) == 3.75


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "case3"}, "no mode 'case3'"),
        ({"known": torch.ones(2, 3, dtype=torch.bool)}, "do not fit"),
        ({"task": torch.zeros(3, dtype=torch.long)}, "do not fit"),
        ({"mode": "rows", "weights": torch.ones(1)}, "no tasks to weight"),
        ({"task": torch.tensor([0, 1]), "weights": torch.ones(1)}, "outside the 1"),
        ({"weights": torch.zeros(1)}, "not all 0"),
        ({"weights": torch.tensor([-1.0])}, "at least 0"),
        ({"weights": torch.tensor([torch.nan])}, "finite"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], message: str) -> None:
    given_ = {"losses": torch.ones(2, 2), "known": torch.ones(2, 2, dtype=torch.bool), "task": torch.zeros(2).long()}
    with pytest.raises(ValueError, match=message):
        balanced_loss(**{**given_, "mode": "task-tokens", **changed})  # type: ignore[arg-type]
