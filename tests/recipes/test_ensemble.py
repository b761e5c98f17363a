"""`ensemble`: whom inner folds count, and what the mean is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chiasm import artifact
from chiasm.cohort import Outcome, Unsupported, synthetic_cohort
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.recipes.baselines.ensemble import Ensemble, weights_of
from chiasm.recipes.baselines.greedy_selection import greedy_weights
from chiasm.recipes.registry import make_recipe
from small_recipes import at_night, mixed


def links(n: int = 400, seed: int = 0) -> tuple[dict[str, np.ndarray], FoldLikelihood]:
    """Two members with errors of their own, one with twice the error, and one that says nothing."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    spread = {"a": 0.6, "b": 0.6, "c": 1.2}
    said = {name: (y + own * rng.normal(size=n))[:, None] / (1 + own**2) for name, own in spread.items()}
    said["d"] = np.zeros((n, 1))
    return said, FoldLikelihood("regression", Outcome(y, None, np.ones(n, bool)))


def test_members_are_counted_that_make_the_mean_better() -> None:
    said, likelihood = links()
    weights = weights_of(said, likelihood)
    assert weights["a"] == pytest.approx(0.5, abs=0.2) and weights["b"] == pytest.approx(0.5, abs=0.2)
    assert "d" not in weights and weights.get("c", 0.0) < 0.3
    assert sum(weights.values()) == pytest.approx(1.0)
    mean = sum(weight * said[name] for name, weight in weights.items())
    assert likelihood(np.asarray(mean)) < min(map(likelihood, said.values())) - 10


def test_members_that_cannot_be_told_apart_count_alike() -> None:
    said, likelihood = links(n=12)
    alike = {name: said["a"] + shift for name, shift in (("x", 0.0), ("y", 1e-3), ("z", -1e-3))}
    assert weights_of(alike, likelihood) == pytest.approx(dict.fromkeys("xyz", 1 / 3))


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
def test_its_link_is_the_weighted_mean_of_the_members_of_their_own(kind: str) -> None:
    cohort = mixed(kind)
    model = make_recipe("ensemble").fit(cohort, seed=0)
    parts = []
    for name, weight in model.predictor.weights.items():
        alone = make_recipe(name).fit(cohort, seed=0)
        parts.append(weight * alone.response.calibrated(alone.predictor.link(cohort)))
    np.testing.assert_allclose(model.predictor.link(cohort), sum(parts), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("early-fusion", "two recipes or more"),
        ("early-fusion+early-fusion", "each once"),
        ("early-fusion+healnet", "'healnet' hands out no out-of-fold links"),
        ("early-fusion+nobody", "'nobody' hands out no out-of-fold links"),
        ("early-fusion+ensemble", "'ensemble' hands out"),
    ],
)
def test_members_that_cannot_be_selected_are_refused(members: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_recipe(f"ensemble:members={members}")


def test_a_member_that_does_not_support_the_cohort_is_named() -> None:
    alone = synthetic_cohort("redundant", 60, seed=0)
    with pytest.raises(Unsupported, match="modalities"):
        make_recipe("ensemble").supports(alone.with_modalities(["m1"]))


def test_greedy_counts_with_replacement_and_ends_at_the_best_mean() -> None:
    said, likelihood = links()
    weights = greedy_weights(said, likelihood)
    assert sum(weights.values()) == pytest.approx(1.0) and "d" not in weights
    mean = np.asarray(sum(weight * said[name] for name, weight in weights.items()))
    assert likelihood(mean) <= min(likelihood((said["a"] + said["b"]) / 2), *map(likelihood, said.values()))
    assert greedy_weights({"a": said["a"], "d": said["d"] + 9}, likelihood) == {"a": 1.0}


def test_bags_are_halves_of_the_members_whose_weights_are_averaged() -> None:
    said, likelihood = links()
    bagged = greedy_weights(said, likelihood, bags=40, seed=1)
    assert sum(bagged.values()) == pytest.approx(1.0) and bagged == greedy_weights(said, likelihood, bags=40, seed=1)
    assert bagged["a"] < 0.9 and bagged["b"] > 0.1 and bagged.get("c", 0.0) > 0  # some halves lack both
    assert bagged != greedy_weights(said, likelihood, bags=40, seed=2)


def test_several_values_of_an_option_are_as_many_members() -> None:
    made = make_recipe("ensemble:members=early-fusion;l1_ratio=[0.1;0.5;1]+multi-ridge,select=greedy,bags=5")
    names = [name for name, _ in made._recipes()]
    assert names == ["early-fusion:l1_ratio=0.1", "early-fusion", "early-fusion:l1_ratio=1.0", "multi-ridge"]
    assert make_recipe(made.name) == made
    assert made.settings == 3 * make_recipe("early-fusion").settings + make_recipe("multi-ridge").settings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("members=early-fusion;l1_ratio=[0.5]+early-fusion", "each once"),
        ("members=early-fusion;l1=2+late-fusion", "member 'early-fusion' has no option 'l1'"),
        ("members=early-fusion;l1_ratio=[0.1..1]+late-fusion", "settings are drawn, not listed"),
        ("select=all", "select='all' is not known: choose one of liked, greedy, stacked"),
        ("bags=3", "bags=3 are of select=greedy"),
        ("select=greedy,bags=1000", "must lie between 0 and 100"),
    ],
)
def test_selections_that_cannot_be_made_are_refused(options: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_recipe(f"ensemble:{options}")


def test_an_ensemble_has_so_many_members_in_all() -> None:
    values, others = (";".join(f"{k / 40:.3f}" for k in range(1, n)) for n in (31, 26))
    with pytest.raises(ValueError, match="are 55: an ensemble has 50 at most"):
        Ensemble(members=f"early-fusion;l1_ratio=[{values}]+stacked-fusion;shrinkage=[{others}]")


@pytest.mark.parametrize("select", ["stacked", *at_night("greedy")])
def test_its_link_is_made_of_the_links_of_its_members(select: str, tmp_path: Path) -> None:
    cohort = mixed("classification")
    model = make_recipe(f"ensemble:members=multi-ridge+multi-ridge;free=m1,select={select}").fit(cohort, seed=0)
    own = model.predictor
    parts = {name: member.link(cohort) for name, member in own.members.items()}
    prior = 0.0 if own.prior is None else own.prior
    expected = prior + sum(weight * (parts[name] - prior) for name, weight in own.weights.items())
    np.testing.assert_allclose(own.link(cohort), expected, rtol=1e-10, atol=1e-10)
    model.save(tmp_path / "model")
    again = artifact.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predictor.link(cohort), own.link(cohort))
