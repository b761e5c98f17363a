"""Recipes that merge tunings of one base: what is merged is what they say, chosen on held-out patients, resumable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chiasm.cohort import Cohort
from chiasm.compute.memo import forget
from chiasm.fitting.base import trainable
from chiasm.merging.patch import drift
from chiasm.merging.wise_ft import interpolate
from chiasm.recipes.listing import list_recipes
from chiasm.recipes.registry import RECIPES, default_recipes, make_recipe
from chiasm.recipes.tunings.portllm import PortLLM
from chiasm.recipes.tunings.tuned import State, Tuner
from chiasm.training import checkpoint
from small_recipes import at_night, mixed, small

NAMES = ("wise-ft", "slerp-merge", "breadcrumbs", "portllm")


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return mixed("regression")


def opened(cohort: Cohort, recipe: Any) -> Tuner:
    forget()
    return Tuner.of(trainable(cohort, 0, None, "cpu"), recipe)


def state(model: Any) -> State:
    return {key: torch.from_numpy(np.array(value)) for key, value in model.predictor.state.items()}


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_trial_tries_them_when_asked_for_only(cohort: Cohort) -> None:
    tried = {type(recipe) for recipe in default_recipes(cohort)}
    assert RECIPES["healnet"] in tried and not tried & {RECIPES[name] for name in NAMES}
    listed = list_recipes().set_index("name")["by_default"]
    assert not listed[list(NAMES)].any() and listed[["healnet", "late-fusion", "single:<modality>"]].all()
    assert make_recipe("breadcrumbs:tunings=4,views=patients").tunings == 4


def test_wise_ft_is_the_best_point_between_its_ends(cohort: Cohort) -> None:
    recipe = small("wise-ft", tune_epochs=4, tune_learning_rate=0.02)
    model = recipe.fit(cohort, seed=0)
    notes, tuner = model.predictor.notes, opened(cohort, recipe)
    base = tuner.base()
    tuned = tuner.tuned("tuned", base)
    scores = {k / 10: tuner.score(interpolate(base, tuned, k / 10)) for k in range(11)}
    assert not same(base, tuned)
    assert notes["alpha"] == max(scores, key=lambda alpha: scores[alpha])
    assert notes["score"] == max(scores.values()) and notes["score_base"] == scores[0.0]
    assert same(state(model), interpolate(base, tuned, notes["alpha"]))


@pytest.mark.nightly
def test_slerp_merge_lies_between_two_halves(cohort: Cohort) -> None:
    recipe = small("slerp-merge", choose=False)
    model, tuner = recipe.fit(cohort, seed=0), opened(cohort, recipe)
    halves = [tuner.tuned(f"half-{k}", tuner.base(), rows=rows) for k, rows in enumerate(tuner.parts(2))]
    assert not same(*halves)
    assert same(state(model), interpolate(*halves, 0.5, "slerp"))
    chosen = replace(recipe, choose=True).fit(cohort, seed=0).predictor.notes
    assert chosen["score"] >= max(chosen["score_first"], chosen["score_second"], model.predictor.notes["score"])


@pytest.mark.parametrize("views", ["patients", *at_night("modalities")])
def test_breadcrumbs_of_whole_vectors_are_their_sum(cohort: Cohort, views: str) -> None:
    recipe = small("breadcrumbs", views=views, density=1.0, outliers=0.0, tune_learning_rate=0.01)
    model, tuner = recipe.fit(cohort, seed=0), opened(cohort, recipe)
    base = tuner.base()
    copies = recipe.copies(tuner, base)
    assert len(copies) == model.predictor.notes["tunings"] == (4 if views == "modalities" else 3)
    assert not any(same(base, copy) for copy in copies)
    scale = model.predictor.notes["scale"]
    assert scale > 0, "the base is kept, and nothing is tested"
    for key, value in state(model).items():
        total = sum((copy[key].double() - base[key].double() for copy in copies), torch.zeros(()))
        torch.testing.assert_close(value.double(), base[key].double() + scale * total, rtol=0, atol=1e-6)


def test_portllm_carries_a_patch_of_low_rank_and_says_how_far_the_base_moved(cohort: Cohort) -> None:
    recipe = small("portllm", rank=2, limit=1.0, tune_learning_rate=0.02)
    assert isinstance(recipe, PortLLM)
    model, tuner = recipe.fit(cohort, seed=0), opened(cohort, recipe)
    first, second = tuner.parts(2)
    older = tuner.base(first)
    newer = tuner.tuned("newer", older, rows=second, modality_dropout=recipe.base_dropout)
    patch, notes = recipe.patch(tuner, older), model.predictor.notes
    assert patch.delta and all(key.startswith("fusion.") for key in patch.delta)
    ranks = {int(np.linalg.matrix_rank(delta, tol=1e-5)) for delta in patch.delta.values()}
    assert ranks <= {1, 2} and ranks
    moved = drift(patch, older, newer)
    assert notes["drift"] == moved.whole > 0 and notes["drift_of_patch"] == moved.of_patch
    assert notes["ported"] == float(notes["score_ported"] > notes["score_newer"])
    for key, value in state(model).items():
        added = torch.from_numpy(patch.delta[key]) if notes["ported"] and key in patch.delta else 0.0
        torch.testing.assert_close(value.double(), newer[key].double() + added, rtol=0, atol=1e-6)
    still = small("portllm", rank=2, limit=0.0, tune_learning_rate=0.02).fit(cohort, seed=0)
    assert still.predictor.notes["ported"] == 0.0 and "score_ported" not in still.predictor.notes
    assert same(state(still), newer)


def test_parts_share_nobody_and_keep_groups_together(cohort: Cohort) -> None:
    grouped = replace(cohort, group=np.array([f"g{row // 3}" for row in range(len(cohort))]))
    for own in (cohort, grouped):
        tuner = opened(own, small("slerp-merge"))
        for count in (1, 2, 5, 40):
            parts = tuner.parts(count)
            assert len(parts) == count
            rows = np.concatenate(parts)
            assert sorted(rows) == list(np.flatnonzero(~tuner.data.held_out))
            if own is grouped:
                group = tuner.training.cohort.group
                assert group is not None
                owners = [set(group[rows]) for rows in parts]
                assert sum(map(len, owners)) == len(set().union(*owners))


def test_a_copy_learns_from_its_own_patients_and_modalities_alone(cohort: Cohort) -> None:
    tuner = opened(cohort, small("slerp-merge"))
    base, (first, second) = tuner.base(), tuner.parts(2)
    own = tuner.tuned("half", base, rows=first)
    for rows, changes in ((second, False), (first, True)):
        value = tuner.data.target.value.clone()
        value[torch.from_numpy(rows)] += 3.0
        elsewhere = replace(tuner, data=replace(tuner.data, target=replace(tuner.data.target, value=value)))
        assert same(elsewhere.tuned("half", base, rows=first), own) is not changes
    see = np.array([name == "m1" for name in cohort.modalities])
    own = tuner.tuned("view", base, see=see)
    for name, changes in (("m2", False), ("m1", True)):
        packed: Any = tuner.data.tokens[name]
        tokens = {**tuner.data.tokens, name: replace(packed, values=packed.values * -2.0 + 1.0)}
        elsewhere = replace(tuner, data=replace(tuner.data, tokens=tokens))
        assert same(elsewhere.tuned("view", base, see=see), own) is not changes


def test_a_copy_without_anybody_to_learn_from_is_the_base(cohort: Cohort) -> None:
    tuner = opened(cohort, small("breadcrumbs"))
    base = tuner.base()
    nobody, nothing = np.zeros(0, int), np.zeros(len(cohort.modalities), bool)
    assert same(tuner.tuned("a", base, rows=nobody), base) and same(tuner.tuned("b", base, see=nothing), base)
    assert not same(tuner.tuned("c", base), base)


class Stopped(BaseException):
    """The power went off."""


# The recipes differ in how many copies they tune: one and its base, one for each modality; all in `make nightly`.
@pytest.mark.parametrize(
    "name",
    [name if name == "portllm" else pytest.param(name, marks=pytest.mark.nightly) for name in NAMES],
)
def test_stopped_and_resumed_equals_uninterrupted(
    name: str, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(name, **({"limit": 1.0} if name == "portllm" else {}))
    forget()
    whole = recipe.fit(cohort, seed=0)
    save, written = checkpoint.save_checkpoint, []

    def stops(path: Path, state: Any) -> None:
        save(path, state)
        written.append(path)
        if len(written) == 3:  # within the first tuning
            raise Stopped

    forget()
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(checkpoint, "save_checkpoint", stops)
        recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    forget()
    resumed = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert written[-1].name != "base.safetensors" and same(state(whole), state(resumed))
    assert whole.predictor.notes == resumed.predictor.notes


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("breadcrumbs", {"tunings": 2}, "too few"),
        ("breadcrumbs", {"views": "sites"}, "choose one of modalities, patients"),
        ("breadcrumbs", {"density": 0.95}, "more than all entries"),
        ("portllm", {"rank": 0}, "no low rank"),
        ("portllm", {"limit": -1.0}, "share of the norm"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(name, **options)
