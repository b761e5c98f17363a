"""Several labels learned together: the balanced loss against closed forms, CoBa in a checkpoint, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import chiasm
from adapted_cohorts import network_of, notes, stopped_after
from chiasm.artifact import load_checkpoint, save_checkpoint
from chiasm.objectives.coba import CoBa
from chiasm.objectives.focal import focal
from chiasm.protocols import Fused
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from chiasm.testing.adaptation import check_adaptation
from chiasm.training import Batch, TargetTensors
from chiasm.training.task_balance import TaskBalance
from examples import examples
from small_recipes import at_night
from tiny_models import tiny_models

LABELS = chiasm.Multilabel(("sick", "late"))
QUICK = "epochs=3,latent_width=4,rank=2,warmup=0,window=2"
NONE = torch.zeros(0)


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """From a target to a cohort of notes and a table, encoded by a tiny network."""
    models, store = tiny_models(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("store")
    return lambda target=LABELS: notes(models, store, target=target)


def cells(seed: int = 0, missing: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Links and labels of 12 patients and 3 tasks."""
    rng = np.random.default_rng(seed)
    value = (rng.random((12, 3)) < 0.5).astype(np.float32)
    value[rng.random((12, 3)) < missing * np.array([0.5, 1.0, 2.0])] = np.nan
    value[0] = 1.0
    return torch.from_numpy(rng.normal(size=(12, 3)).astype(np.float32)), torch.from_numpy(value)


def term(balance: TaskBalance, link: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The loss of a batch; the balance reads neither the network nor tokens."""
    batch = Batch({}, torch.zeros(len(link), 0), TargetTensors(value, NONE))
    (found,) = balance.losses(None, batch, link, Fused(link)).values()
    return found


def loss(balance: TaskBalance, link: torch.Tensor, value: torch.Tensor) -> float:
    return float(term(balance, link, value))


def test_without_missing_labels_every_mean_is_the_same() -> None:
    link, value = cells()
    expected = float(functional.binary_cross_entropy_with_logits(link, value))
    for mode in ("token", "sample", "task"):
        assert loss(TaskBalance(mode, "none", 2.0, None), link, value) == pytest.approx(expected, rel=1e-6)


def test_each_mean_is_its_formula() -> None:
    link, value = cells(missing=0.4)
    each = functional.binary_cross_entropy_with_logits(link, value.nan_to_num(), reduction="none").numpy()
    each = np.where(value.isnan().numpy(), np.nan, each)
    found = {mode: loss(TaskBalance(mode, "none", 2.0, None), link, value) for mode in ("token", "sample", "task")}
    rows = each[~np.isnan(each).all(1)]
    assert found["token"] == pytest.approx(np.nanmean(each), rel=1e-5)
    assert found["sample"] == pytest.approx(np.nanmean(rows, axis=1).mean(), rel=1e-5)
    assert found["task"] == pytest.approx(np.nanmean(each, axis=0).mean(), rel=1e-5)
    assert len({round(own, 4) for own in found.values()}) == 3


def test_the_mean_over_tasks_does_not_change_when_a_task_has_its_samples_twice() -> None:
    link, value = cells(missing=0.4)
    more = torch.full_like(value, torch.nan)
    more[:, 1] = value[:, 1]
    twice = torch.cat([link, link]), torch.cat([value, more])
    by_task, by_cell = TaskBalance("task", "none", 2.0, None), TaskBalance("token", "none", 2.0, None)
    assert loss(by_task, *twice) == pytest.approx(loss(by_task, link, value), rel=1e-6)
    assert loss(by_cell, *twice) != pytest.approx(loss(by_cell, link, value), rel=1e-3)


def test_the_gradients_of_tasks_are_as_their_weights() -> None:
    link, value = cells()
    gradients = {}
    for name, coba in (("equal", None), ("coba", CoBa(3, 0, 2))):
        balance, own = TaskBalance("task", "none", 2.0, coba), link.clone().requires_grad_()
        for first, other in [(1.0, 1.0), (0.9, 0.9), (0.8, 0.85), (0.9, 0.8), (1.1, 0.75), (1.4, 0.7)] if coba else ():
            seen = torch.tensor([first, other, other]).expand(12, 3)  # the first task turns upwards
            balance.validated(None, -seen.expm1().log(), TargetTensors(torch.ones(12, 3), NONE))
        term(balance, own, value).backward()
        gradients[name] = own.grad.abs().sum(0), balance.weights
    weights = gradients["coba"][1]
    assert float(weights.sum()) == pytest.approx(1.0) and float(weights.min()) >= 1 / 30 - 1e-12
    assert float(weights[0]) < 0.1
    ratio = gradients["coba"][0] / gradients["equal"][0]
    torch.testing.assert_close(ratio.double(), weights * 3, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 1000), st.sampled_from(["sample", "task"]), st.floats(0.1, 3))
@settings(max_examples=examples(25), deadline=None)
def test_the_focal_loss_is_its_formula(seed: int, by: str, gamma: float) -> None:
    rng = np.random.default_rng(seed)
    losses, known = rng.exponential(size=(6, 3)), rng.random((6, 3)) < 0.7
    found = focal(torch.from_numpy(np.where(known, losses, np.nan)), torch.from_numpy(known), gamma, by=by).numpy()
    for i, k in np.ndindex(6, 3):
        p = (
            np.exp(-losses[i, k])
            if by == "sample"
            else np.exp(-losses[known[:, k], k]).mean()
            if known[:, k].any()
            else 0
        )
        assert found[i, k] == pytest.approx((1 - p) ** gamma * losses[i, k] if known[i, k] else 0.0, rel=1e-6)
    torch.testing.assert_close(focal(torch.from_numpy(losses), torch.ones(6, 3) > 0, 0.0, by=by).numpy(), losses)
    with pytest.raises(ValueError, match="by sample or by task"):
        focal(torch.from_numpy(losses), torch.ones(6, 3) > 0, 1.0, by="token")


@pytest.mark.parametrize(
    "options", ["", "adapt=nothing,mode=sample,weights=equal,focus=sample", *at_night("focus=task")]
)
def test_the_laws_of_adapted_recipes_and_of_tokens(cohorts: Any, options: str) -> None:
    recipe = make_recipe(f"mftcoder:{QUICK},{options}")
    model = check_adaptation(recipe, cohorts())
    assert bool(network_of(model).design.trunks) == ("nothing" not in options)


@pytest.mark.nightly
def test_on_tokens_it_is_a_recipe_as_all_others() -> None:
    check_recipe(make_recipe(f"mftcoder:{QUICK},adapt=nothing"), kinds=("multilabel",), n=56)


def test_coba_is_in_the_checkpoint_and_training_goes_on_as_if_it_had_not_stopped(cohorts: Any, tmp_path: Path) -> None:
    cohort, recipe = cohorts(), make_recipe(f"mftcoder:{QUICK.replace('epochs=3', 'epochs=5')}")
    whole = recipe.fit(cohort, seed=0)
    with stopped_after(3):
        recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    file = tmp_path / "mftcoder.safetensors"
    left = load_checkpoint(file)
    weights = CoBa(2, 0, 2).weights(left["objective"])
    assert left["objective"].seen == 3 and abs(weights[0] - 0.5) > 1e-3
    again = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert all(np.array_equal(own, network_of(again).state[key]) for key, own in network_of(whole).state.items())
    save_checkpoint(file, {**left, "objective": CoBa(2, 0, 2).start()})  # as the published code after a restart
    other = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert not all(np.array_equal(own, network_of(other).state[key]) for key, own in network_of(whole).state.items())


@pytest.mark.parametrize("target", [chiasm.Classification("y"), chiasm.Multilabel(("sick",)), chiasm.Regression("x")])
def test_a_target_of_one_task_is_refused(cohorts: Any, target: Any) -> None:
    with pytest.raises(chiasm.Unsupported, match="the target is one task"):
        make_recipe("mftcoder").supports(cohorts(target))


def test_what_else_cannot_be(cohorts: Any) -> None:
    with pytest.raises(ValueError, match="mode=task"):
        make_recipe("mftcoder:mode=token")
    with pytest.raises(ValueError, match="not known"):
        make_recipe("mftcoder:weights=any")
    alone = cohorts().with_modalities(["clinical"])
    make_recipe("mftcoder:adapt=nothing").supports(alone)
    with pytest.raises(chiasm.Unsupported, match="network to adapt"):
        make_recipe("mftcoder").supports(alone)
