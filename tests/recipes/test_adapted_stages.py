"""Recipes of several stages: each stage goes on where it was stopped, and what it hands on is what the paper says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import chiasm
import chiasm.fitting.neural as neural
import chiasm.training.checkpoint as checkpoint
from adapted_cohorts import network_of, notes
from chiasm.adapters import nuclear_norm
from chiasm.adapters.site_search import Choice, pareto_front
from chiasm.artifact import save_checkpoint
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import trainable
from chiasm.recipes.adaptation.lt_sft import _learned, _maskable, _put
from chiasm.recipes.adaptation.memcontrol import inner_patients
from chiasm.recipes.adaptation.trunks import open_trunks
from chiasm.recipes.registry import make_recipe
from small_recipes import at_night
from tiny_models import tiny_models

STAGED = {
    "lt-sft:share=0.1,rounds=2,epochs=1,latent_width=4": 4,
    "sara:share=0.3,stages=3,epochs=1,latent_width=4": 3,
    "memcontrol:rank=2,trials=3,trial_epochs=1,epochs=1,latent_width=4": 4,
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return notes(tiny_models(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("store"))


class Stopped(Exception): ...


def fit_until(recipe: Any, cohort: chiasm.Cohort, place: Path, count: int) -> int:
    """Fit, stopped after `count` checkpoints of this call; how many were written."""
    written: list[Path] = []

    def write(path: Path, state: Any) -> None:
        save_checkpoint(path, state)
        written.append(path)
        if len(written) == count:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(checkpoint, "save_checkpoint", write)
        recipe.fit(cohort, seed=0, checkpoint=place)
    return len(written)


@pytest.mark.parametrize("name", [next(iter(STAGED)), *at_night(*list(STAGED)[1:])])
def test_stopped_in_every_stage_and_gone_on_with_is_training_left_alone(
    cohort: chiasm.Cohort, tmp_path: Path, name: str
) -> None:
    recipe = make_recipe(name)
    whole = network_of(recipe.fit(cohort, seed=0))
    for _ in range(STAGED[name]):  # one checkpoint a stage: each call ends after the next stage's
        fit_until(recipe, cohort, tmp_path, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", None)  # every stage is there: nothing is trained any more
        again = network_of(recipe.fit(cohort, seed=0, checkpoint=tmp_path))
    assert whole.design.adaptations["note"].sites == again.design.adaptations["note"].sites
    assert whole.state.keys() == again.state.keys()
    assert all(np.array_equal(own, again.state[key]) for key, own in whole.state.items())


def full_and_sparse(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch, recipe: Any
) -> tuple[Any, list[tuple[str, Any]]]:
    """A fit, and the network of each of its stages."""
    seen: list[tuple[str, Any]] = []
    inner = type(recipe).network

    def network(self: Any, training: Any, data: Any, design: Any, trunks: Any, stage: str, **more: Any) -> Any:
        found = inner(self, training, data, design, trunks, stage, **more)
        assert more.get("after") is (seen[-1][1] if seen and self.id == "sara" else None)
        seen.append((stage, found))
        return found

    monkeypatch.setattr(type(recipe), "network", network)
    return recipe.fit(cohort, seed=0), seen


def test_a_ticket_holds_the_weights_that_moved_most_and_starts_from_the_base(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("lt-sft:share=0.1,epochs=2,latent_width=4,learning_rate=0.001")
    model, ((_, dense), (_, sparse)) = full_and_sparse(cohort, monkeypatch, recipe)
    data = recipe.prepared(trainable(cohort, 0, None, "cpu"))[0]
    base, moved = open_trunks(data)["note"], dense.fusion.__dict__["trunks"]["note"]
    size = {
        name: (moved.network.get_parameter(name) - base.network.get_parameter(name)).detach().abs().flatten().numpy()
        for name in _maskable(base)
    }
    delta = network_of(model).design.adaptations["note"].adapter
    total = sum(values.size for values in size.values())
    assert delta.size == round(0.1 * total) and not any(name.startswith("pooler") for name in size)
    chosen = {name: np.isin(np.arange(values.size), delta.indices.get(name, [])) for name, values in size.items()}
    kept = np.concatenate([size[name][chosen[name]] for name in size])
    left = np.concatenate([size[name][~chosen[name]] for name in size])
    assert kept.min() >= left.max() and len(set(delta.indices)) > 3  # one threshold over all of the network
    attached = sparse.fusion.attached["note"]
    assert attached.count() == delta.size
    attached.merge()
    for name, values in size.items():
        same = (attached.model.get_parameter(name) == base.network.get_parameter(name)).flatten().numpy()
        assert same[~chosen[name]].all() and len(values) == len(same)


def test_a_later_round_keeps_the_places_and_starts_from_what_was_learned(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("lt-sft:share=0.1,rounds=2,epochs=1,latent_width=4,learning_rate=0.001")
    _, stages = full_and_sparse(cohort, monkeypatch, recipe)
    (first, second) = [own.fusion.attached["note"] for name, own in stages if "sparse" in name]
    before, after = first.adapter, second.adapter
    assert second.count() == after.size and before.size == after.size // 2
    state = first.state()
    for name, places in before.indices.items():
        assert np.isin(places, after.indices[name]).all()
        site, _, weight = name.rpartition(".")
        learned = state[f"{site}/{weight}_values"].numpy()
        np.testing.assert_array_equal(after.start[name][np.searchsorted(after.indices[name], places)], learned)
        fresh = ~np.isin(after.indices[name], places)
        assert not after.start[name][fresh].any()


def test_a_later_round_trains_everything_from_what_was_learned(cohort: chiasm.Cohort) -> None:
    recipe = make_recipe("lt-sft:share=0.1,rounds=2,epochs=1,latent_width=4,learning_rate=0.001")
    with pytest.MonkeyPatch.context() as patch:
        _, stages = full_and_sparse(cohort, patch, recipe)
    data = recipe.prepared(trainable(cohort, 0, None, "cpu"))[0]
    trunks, sparse = open_trunks(data), stages[1][1].fusion.attached["note"]
    _put(trunks, _learned(stages[1][1]))
    merged = dict(sparse.merge().named_parameters())
    for name, own in trunks["note"].network.named_parameters():
        assert torch.equal(own, merged[name]), name
    second = stages[2][1].fusion.__dict__["trunks"]["note"].network
    fresh = open_trunks(data)["note"].network
    near, far = (
        sum(
            float((own - dict(other.named_parameters())[name]).detach().abs().sum())
            for name, own in second.named_parameters()
        )
        for other in (trunks["note"].network, fresh)
    )
    assert near < far


def test_l1_holds_the_weights_near_the_base(cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    for l1 in (0.0, 100.0):
        recipe = make_recipe(f"lt-sft:share=0.5,epochs=2,latent_width=4,learning_rate=0.01,l1={l1}")
        with pytest.MonkeyPatch.context() as patch:
            _, stages = full_and_sparse(cohort, patch, recipe)
        base = next(iter(recipe.prepared(trainable(cohort, 0, None, "cpu"))[2].values()))
        own: Trunk = stages[0][1].fusion.__dict__["trunks"]["note"]
        moved = [(own.network.get_parameter(n) - base.network.get_parameter(n)).abs().sum() for n in _maskable(base)]
        sparse = stages[1][1].fusion.attached["note"]
        small = [parameter.abs().sum() for parameter in sparse.parameters()]
        sizes.append([float(torch.stack(own).sum().detach()) for own in (moved, small)])
    assert sizes[1][0] < 0.7 * sizes[0][0] and sizes[1][1] < 0.7 * sizes[0][1]


def test_only_small_weights_move_and_fewer_from_stage_to_stage(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("sara:share=0.3,stages=3,epochs=2,latent_width=4,learning_rate=0.01,nuclear=0")
    _, stages = full_and_sparse(cohort, monkeypatch, recipe)
    trunk = next(iter(recipe.prepared(trainable(cohort, 0, None, "cpu"))[2].values()))
    limit, base = recipe.threshold(trunk), {name: own.detach() for name, own in trunk.network.named_parameters()}
    free = []
    for _, network in stages:
        attached = network.fusion.attached["note"]
        free.append(attached.count())
        delta = attached.adapter
        for name, places in delta.indices.items():
            assert bool((base[name].flatten()[torch.from_numpy(places)].abs() < limit).all())
            for flag, start, place in zip(delta.settled.get(name, []), delta.start.get(name, []), places, strict=False):
                assert bool(abs(base[name].flatten()[place] + start) >= limit) >= bool(flag)
    assert free[0] > free[1] > free[2] > 0
    attached = stages[-1][1].fusion.attached["note"]
    attached.merge()
    for name, own in base.items():
        large = own.abs() >= limit
        assert torch.equal(attached.model.get_parameter(name)[large], own[large])
    sites = sum(base[f"{site}.{kind}"].numel() for site in _sites_of(recipe, trunk) for kind in ("weight", "bias"))
    assert free[0] == pytest.approx(0.3 * sites, abs=2)


def _sites_of(recipe: Any, trunk: Trunk) -> list[str]:
    maps = [name for name, own in trunk.network.named_modules() if isinstance(own, torch.nn.Linear)]
    return [name for name in maps if "pooler" not in name]


def test_a_stage_of_sara_goes_on_from_the_one_before(cohort: chiasm.Cohort) -> None:
    recipe = make_recipe("sara:share=0.3,stages=2,epochs=1,latent_width=4")
    with pytest.MonkeyPatch.context() as patch:
        _, stages = full_and_sparse(cohort, patch, recipe)
    first, training = stages[0][1], trainable(cohort, 0, None, "cpu")
    data, design, trunks = recipe.prepared(training)
    resting = replace(recipe, epochs=0).network(training, data, design, trunks, "-x", after=first)
    own = dict(resting.named_parameters())
    for name, parameter in first.named_parameters():
        assert torch.equal(own[name], parameter) != name.startswith("fusion.trained"), name


def test_the_nuclear_norm_is_lower_with_its_penalty(cohort: chiasm.Cohort) -> None:
    training, norms = trainable(cohort, 0, None, "cpu"), []
    for weight in (0.0, 1.0):
        recipe = make_recipe(f"sara:share=0.5,epochs=2,latent_width=4,learning_rate=0.01,nuclear={weight}")
        network = recipe.network(training, *recipe.prepared(training))
        norms.append(float(nuclear_norm(network.fusion.attached["note"]).detach()))
    assert norms[1] < norms[0]


def test_the_search_sees_no_patient_who_stops_or_calibrates_the_training(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe("memcontrol:rank=2,trials=2,trial_epochs=1,epochs=1,latent_width=4")
    training = trainable(cohort, 0, None, "cpu")
    data = recipe.prepared(training)[0]
    inner = inner_patients(data, 0)
    kept = set(data.cohort.ids[data.held_out])
    assert kept and not kept & set(inner.cohort.ids) and inner.held_out.any() and not inner.held_out.all()
    assert len(inner.tokens["note"]) == len(inner.present) == len(inner.target) == len(inner.cohort)
    seen = []
    real = neural.fit_network
    monkeypatch.setattr(
        "chiasm.fitting.network_recipe.fit_network",
        lambda network, given, *args, **kw: (seen.append(set(given.cohort.ids)), real(network, given, *args, **kw)),
    )
    recipe.fit(cohort, seed=0)
    assert len(seen) == 3
    assert not seen[0] & kept and not seen[1] & kept and seen[2] >= kept


def test_all_choices_are_tried_where_they_fit_and_the_cheapest_good_one_is_taken(
    cohort: chiasm.Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(
        "memcontrol:rank=2,trials=4,lowest=0.002,highest=0.002,trial_epochs=1,epochs=1,latent_width=4,tolerance=9"
    )
    training = trainable(cohort, 0, None, "cpu")
    data, design, trunks = recipe.prepared(training)
    sites = {f"note:{block}": own for block, own in recipe.sites(trunks["note"]).items()}
    assert len(sites) == 2
    tried: list[str] = []
    fitted = type(recipe).fitted
    monkeypatch.setattr(
        type(recipe), "fitted", lambda self, *args, **kw: (tried.append(args[3]), fitted(self, *args, **kw))[1]
    )
    front = recipe.search(training, data, design, sites)
    assert len(set(tried)) == 4 and {choice.rate for choice in front} == {0.002}
    assert [choice.costs[1] for choice in pareto_front(front)] == sorted(
        (choice.costs[1] for choice in front), reverse=True
    )
    assert recipe.best(front).costs[1] == 0  # everything is good enough: nothing is adapted
    assert replace(recipe, tolerance=0.0).best(front) == min(front, key=lambda choice: choice.costs)
    model = recipe.fit(cohort, seed=0)
    assert network_of(model).design.adaptations["note"].sites == ()


def test_the_choice_is_the_fewest_parameters_within_the_tolerance() -> None:
    front = [Choice((), 1e-3, (1.0, 0.0)), Choice(("a",), 1e-3, (0.51, 10.0)), Choice(("a", "b"), 1e-3, (0.5, 20.0))]
    assert make_recipe("memcontrol:tolerance=0.03").best(front).sites == ("a",)
    assert make_recipe("memcontrol:tolerance=0.01").best(front).sites == ("a", "b")
    assert make_recipe("memcontrol:tolerance=1").best(front).sites == ()
