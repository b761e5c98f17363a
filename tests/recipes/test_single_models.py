"""`single` bends where that pays: ridge, elastic net, Gaussian kernel and trees on the same inner folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.compute.memo import forget
from chiasm.fitting.bent import KernelMachine, TreeMachine, unscaled
from chiasm.metrics.survival import harrell_c
from chiasm.recipes.baselines.single import Single
from chiasm.recipes.registry import make_recipe
from chiasm.specs import split_specs
from examples import examples
from small_recipes import at_night


def cohort(n: int, kind: str, truth: str, seed: int = 0, columns: int = 8) -> chiasm.Cohort:
    """`m1` says the outcome: by a sum of two columns, the sign of their product, or a distance; `m2` is noise."""
    rng = np.random.default_rng(seed)
    ids = [f"case-{k:05d}" for k in range(n)]
    x = rng.normal(size=(n, columns))
    said = {
        "sum": x[:, 0] + 0.5 * x[:, 1],
        "product": 2.0 * np.sign(x[:, 0] * x[:, 1]),
        "distance": x[:, 0] ** 2 + x[:, 1] ** 2 - 2.0,
    }[truth]
    patients = pd.DataFrame(index=ids)
    target: chiasm.Target
    if kind == "classification":
        flips = rng.random(n) < 0.05 if truth == "product" else rng.normal(size=n) * np.sign(said) < -np.abs(said)
        patients["y"], target = ((said > 0) ^ flips).astype(int), chiasm.Classification("y")
    elif kind == "regression":
        patients["y"], target = said + rng.normal(size=n), chiasm.Regression("y")
    elif kind == "multilabel":
        patients["a"], patients["b"] = (said > rng.normal(size=n)).astype(int), rng.integers(0, 2, n)
        target = chiasm.Multilabel(("a", "b"))
    else:
        time, censored = rng.exponential(np.exp(-said)), rng.exponential(2.0, n)
        patients["t"], patients["e"] = np.minimum(time, censored), (time <= censored).astype(int)
        target = chiasm.Survival("t", "e")
    names = [f"c{k}" for k in range(columns)]
    frames = {"m1": pd.DataFrame(x, ids, names), "m2": pd.DataFrame(rng.normal(size=x.shape), ids, names)}
    return chiasm.cohort_from_frames(patients, frames, target=target)


def halves(given: chiasm.Cohort, train: int) -> tuple[chiasm.Cohort, chiasm.Cohort]:
    first = np.arange(len(given)) < train
    return given.subset(first), given.subset(~first)


def score(model: Any, test: chiasm.Cohort) -> float:
    """Concordance with the outcome; of labels, of the first."""
    frame, outcome = model.predict(test), test.outcome
    assert outcome is not None
    value = outcome.value[test.order]
    if "risk" in frame:
        assert outcome.event is not None
        return float(np.squeeze(harrell_c(frame["risk"].to_numpy(), value, outcome.event[test.order])))
    said = frame["p_a" if "p_a" in frame else "p_1" if "p_1" in frame else "prediction"].to_numpy()
    value = value[:, 0] if value.ndim == 2 else value
    return float(np.squeeze(harrell_c(-said, value, np.ones(len(value), bool))))


@pytest.mark.parametrize("seed", [0, *at_night(1, 2)])
def test_the_product_of_two_columns_is_learned(seed: int) -> None:
    train, test = halves(cohort(1400, "classification", "product", seed), 400)
    model = make_recipe("single:m1").fit(train, seed=0)
    assert score(model, test) > 0.75
    assert score(make_recipe("single:m1,models=linear").fit(train, seed=0), test) < 0.6


@pytest.mark.parametrize("kind", ["survival", *at_night("classification", "regression", "multilabel")])
@pytest.mark.parametrize("truth", ["product", "distance"])
def test_every_kind_of_target_may_bend(kind: str, truth: str, tmp_path: Any) -> None:
    train, test = halves(cohort(900, kind, truth, columns=4), 400)
    model = make_recipe("single:m1").fit(train, seed=0)
    assert isinstance(model.predictor.bent, KernelMachine | TreeMachine)
    assert score(model, test) > score(make_recipe("single:m1,models=linear").fit(train, seed=0), test) + 0.1
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(test), model.predict(test))
    assert make_recipe("late-fusion").fit(train, seed=0).predictor.models["m1"].bent is not None
    assert model.predictor.embedding(test).shape[0] == len(test)  # the components of its linear part


@pytest.mark.parametrize("kind", ["classification", *at_night("regression", "survival")])
def test_where_lines_are_the_truth_lines_are_kept_or_little_is_lost(kind: str) -> None:
    kept, lost = 0, []
    for seed in range(examples(12)):
        train, test = halves(cohort(1300, kind, "sum", seed), 300)
        model = make_recipe("single:m1").fit(train, seed=0)
        kept += model.predictor.bent is None
        lost.append(score(make_recipe("single:m1,models=linear").fit(train, seed=0), test) - score(model, test))
    assert kept >= 0.75 * len(lost) and np.mean(lost) < 0.01


def test_missing_cells_and_categories_are_read_by_trees_as_they_are() -> None:
    rng = np.random.default_rng(0)
    n = 500
    ids = [f"case-{k:03d}" for k in range(n)]
    stage = rng.choice(["low", "high"], n)
    value = rng.normal(size=n)
    missing = rng.random(n) < 0.3
    case = ((stage == "high") ^ (value > 0)) & ~missing | (missing & (rng.random(n) < 0.5))
    frame = pd.DataFrame({"stage": stage, "value": np.where(missing, np.nan, value), "noise": rng.normal(size=n)}, ids)
    frame.loc[ids[7], "stage"] = None
    patients = pd.DataFrame({"y": case.astype(int)}, ids)
    given = chiasm.cohort_from_frames(patients, {"m1": frame}, target=chiasm.Classification("y"))
    train, test = halves(given, 350)
    model = make_recipe("single:m1").fit(train, seed=0)
    assert model.predictor.bent is not None and score(model, test) > 0.75
    seen, rows = unscaled(model.predictor.features, given.raw("m1")), given.raw("m1").index
    own = frame.loc[rows]  # columns of numbers, then one a category: noise, value, high, low
    np.testing.assert_array_equal(np.isnan(seen[:, 1]), own["value"].isna())
    np.testing.assert_allclose(seen[:, 0], own["noise"])
    np.testing.assert_array_equal(seen[:, 2], np.where(own["stage"].isna(), np.nan, own["stage"] == "high"))
    np.testing.assert_array_equal(seen[:, 2] + seen[:, 3], np.where(own["stage"].isna(), np.nan, 1.0))


def test_of_a_wide_block_trees_read_components() -> None:
    given = cohort(150, "regression", "product", columns=200)
    model = make_recipe("single:m1").fit(given, seed=0)
    bent = model.predictor.bent
    assert bent is None or not isinstance(bent, TreeMachine) or bent.trees.columns <= 64


def test_the_name_says_which_models() -> None:
    for text in ("single:rna", "single:rna,models=linear"):
        assert make_recipe(text).name == text
    assert make_recipe("single:rna,models=linear") == Single("rna", "linear")
    assert make_recipe("single:rna,models=all").name == "single:rna"
    assert split_specs("single:rna,models=linear,late-fusion") == ["single:rna,models=linear", "late-fusion"]
    with pytest.raises(ValueError, match="models='trees' is not known: choose one of all, linear"):
        make_recipe("single:rna,models=trees")


def test_the_linear_part_is_that_of_the_linear_model() -> None:
    given = cohort(300, "classification", "product", columns=4)
    forget()
    bent = make_recipe("single:m1").fit(given, seed=0).predictor
    forget()
    linear = make_recipe("single:m1,models=linear").fit(given, seed=0).predictor
    np.testing.assert_array_equal(bent.linear.coef, linear.linear.coef)
    assert bent.penalty == linear.penalty and linear.bent is None and bent.bent is not None
