"""Trees as plain arrays say what xgboost says, and arrays that are no trees are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xgboost

from chiasm.artifact import ArtifactError, load, save
from chiasm.linear.boosted_trees import BoostedTrees, Booster, Growth
from chiasm.targets import Outcome

ROUNDS = 12


def outcome_of(kind: str, x: np.ndarray, seed: int = 0) -> Outcome:
    """Something that the columns say, with the ties and gaps that a kind may have."""
    rng, n = np.random.default_rng(seed), len(x)
    x = np.clip(x, -3, 3)
    said = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1]) + 0.3 * rng.normal(size=n)
    everybody = np.ones(n, bool)
    if kind == "classes":
        return Outcome(np.digitize(said, [-0.5, 0.5]).astype(float), None, everybody)
    if kind == "multilabel":
        value = np.stack([said > 0, np.nan_to_num(x[:, 2]) > 0, everybody], axis=1).astype(float)
        value[rng.random(value.shape) < 0.1] = np.nan
        return Outcome(value, None, everybody)
    if kind == "survival":
        return Outcome(np.round(np.exp(said) * 5), rng.random(n) < 0.6, everybody)
    return Outcome((said > 0).astype(float) if kind == "classification" else 50 + 20 * said, None, everybody)


def columns(n: int = 160, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)) * [1.0, 1.0, 1.0, 1e4, 1e-3]
    x[0, :2] = 1e300, -1e300  # beyond single precision
    x[rng.random(x.shape) < 0.15] = np.nan
    return x


@pytest.mark.parametrize("kind", ["classification", "classes", "multilabel", "regression", "survival"])
def test_the_arrays_give_what_xgboost_gives(kind: str) -> None:
    x, new = columns(), columns(90, seed=2)
    booster = Booster(kind.replace("classes", "classification"), x, outcome_of(kind, x), ROUNDS, Growth(seed=3))
    for seen in (x, new, np.full((3, 5), np.nan)):
        stages = booster.links(seen, [1, ROUNDS])
        for rounds, expected in zip([1, ROUNDS], stages, strict=True):
            found = booster.trees(rounds).linear_predictor(seen)
            np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-6)
    assert booster.links(new, [ROUNDS])[0].std() > 0


def test_a_stage_is_the_training_of_so_many_rounds() -> None:
    x = columns()
    label = outcome_of("classification", x).value
    own = Booster("classification", x, outcome_of("classification", x), 7, Growth())
    base = np.log((label.sum() + 0.5) / (len(label) - label.sum() + 0.5))
    options = {
        "objective": "binary:logistic", "max_depth": 3, "eta": 0.2, "min_child_weight": 1.0, "nthread": 1, "seed": 0,
        "tree_method": "hist", "max_bin": 64,
    }  # fmt: skip
    data = xgboost.DMatrix(
        np.clip(x, -1e30, 1e30).astype(np.float32), label, base_margin=np.full(len(x), base), nthread=1
    )
    expected = xgboost.train(options, data, 4).predict(data, output_margin=True)
    link = own.trees(4).linear_predictor(x)
    np.testing.assert_allclose(link[:, 1] - link[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(link.sum(1), 0, atol=1e-12)


def test_the_same_seed_gives_the_same_trees_and_the_folder_keeps_them(tmp_path) -> None:
    x = columns()
    one, two = (Booster("survival", x, outcome_of("survival", x), 5, Growth(seed=1)).trees(5) for _ in range(2))
    save(tmp_path / "one", one)
    found = load(tmp_path / "one")
    for other in (two, found):
        np.testing.assert_array_equal(one.linear_predictor(x), other.linear_predictor(x))


def test_a_label_that_all_have_gets_no_tree() -> None:
    x = columns()
    trees = Booster("multilabel", x, outcome_of("multilabel", x), 5, Growth()).trees(5)
    assert 2 not in trees.output and np.ptp(trees.linear_predictor(x)[:, 2]) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"left": np.zeros}, "leads out of its tree or back"),
        ({"feature": lambda n: np.full(n, 9)}, "asks for a column that there is not"),
        ({"threshold": lambda n: np.full(n, np.nan, np.float32)}, "not finite"),
        ({"value": lambda n: np.full(n, np.inf)}, "not finite"),
        ({"right": lambda n: np.full(n, 10**6)}, "leads out of its tree or back"),
        ({"value": lambda n: np.zeros(n + 1)}, "differ in length"),
        ({"output": lambda n: np.array([0, 3])}, "adds to an output that there is not"),
        ({"start": lambda n: np.array([0, 0])}, "do not follow each other"),
        ({"feature": lambda n: np.zeros(n)}, "not whole numbers"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(change, words: str, tmp_path) -> None:
    x = columns()
    trees = Booster("regression", x, outcome_of("regression", x), 2, Growth()).trees(2)
    broken = {}
    for name, make in change.items():
        value = make(len(trees.feature))
        broken[name] = value.astype(np.int64) if name in ("left", "right", "output", "start") else value
    with pytest.raises(ValueError, match=words):
        replace(trees, **broken)
    for name, value in broken.items():  # as a folder that somebody else wrote
        object.__setattr__(trees, name, value)
    with pytest.raises(ArtifactError, match=words):  # what is not finite is not even saved
        save(tmp_path / "model", trees)
        load(tmp_path / "model")


def test_a_prediction_needs_no_xgboost(monkeypatch) -> None:
    x = columns()
    trees = Booster("regression", x, outcome_of("regression", x), 2, Growth()).trees(2)
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    assert isinstance(trees, BoostedTrees) and np.isfinite(trees.linear_predictor(x)).all()
