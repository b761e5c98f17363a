"""Early fusion: an elastic net that picks columns, and for survival the ridge Cox; what is absent is imputed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.recipes.baselines.early import EarlyElasticNetPredictor, EarlyFusion, EarlyFusionPredictor
from chiasm.testing import check_recipe
from examples import examples

TARGETS = {
    "regression": chiasm.Regression("y"),
    "classification": chiasm.Classification("label"),
    "survival": chiasm.Survival("months", "died"),
}


def cohort(kind: str, n: int = 240, wide: int = 60, seed: int = 0) -> chiasm.Cohort:
    """`a` has one column that tells and a constant; `b` one that tells among `wide`; a third lack each."""
    rng = np.random.default_rng(seed)
    ids = [f"case-{k:03d}" for k in range(n)]
    a = pd.DataFrame({"age": rng.normal(size=n), "constant": 7.0, "noise": rng.normal(size=n)}, index=ids)
    b = pd.DataFrame(rng.normal(size=(n, wide)), ids, [f"G{k:05d}" for k in range(wide)])
    signal = 2 * a["age"].to_numpy() + 2 * b["G00000"].to_numpy()
    time = rng.exponential(np.exp(-signal / 2)) + 0.01
    patients = pd.DataFrame(
        {
            "y": signal + rng.normal(size=n),
            "label": np.where(signal + rng.logistic(size=n) > 0, "high", "low"),
            "months": time,
            "died": rng.random(n) < 0.7,
        },
        index=ids,
    )
    frames = {"a": a[np.arange(n) % 3 != 0], "b": b[np.arange(n) % 3 != 1]}
    return chiasm.cohort_from_frames(patients, frames, target=TARGETS[kind])


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_columns_that_tell_nothing_get_exactly_zero(kind: str) -> None:
    model = EarlyFusion().fit(cohort(kind), seed=0)
    assert isinstance(model.predictor, EarlyElasticNetPredictor)
    names = [c for part in model.predictor.features.values() for c in getattr(part, "scaler", part).columns]
    used = (model.predictor.linear.coef != 0).any(axis=1)
    assert len(used) == len(names)
    weight = np.abs(model.predictor.linear.coef).max(axis=1)
    assert set(np.argsort(-weight)[:2]) == {names.index("age"), names.index("G00000")}
    assert used.sum() < 2 / 3 * len(used) and not used[names.index("constant")]
    assert model.trained_parameters == np.count_nonzero(model.predictor.linear.coef) + len(
        model.predictor.linear.intercept
    )


def test_survival_is_the_ridge_whatever_the_l1_ratio() -> None:
    given = cohort("survival")
    model = EarlyFusion().fit(given, seed=0)
    assert isinstance(model.predictor, EarlyFusionPredictor)
    pd.testing.assert_frame_equal(EarlyFusion(l1_ratio=0.9).fit(given, seed=0).predict(given), model.predict(given))


@pytest.mark.parametrize("kind", list(TARGETS))
def test_an_absent_modality_is_its_training_mean(kind: str, tmp_path: Path) -> None:
    given = cohort(kind)
    model = EarlyFusion().fit(given, seed=0)
    frame = model.predict(given)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(given), frame)
    if kind in ("survival", "competing"):
        return
    predictor = model.predictor
    rows = given.rows_of("a")
    scaled = predictor.features["a"].features(given.raw("a"))
    np.testing.assert_allclose(scaled.mean(0), predictor.means["a"], atol=1e-12)
    lacking = np.setdiff1d(np.arange(len(given)), rows)
    only_b = given.subset(lacking)
    linear = predictor.linear
    own = predictor.features["b"].features(only_b.raw("b")) - predictor.means["b"]
    raw = own @ linear.coef[scaled.shape[1] :] + linear.intercept
    np.testing.assert_allclose(predictor.link(only_b), predictor.centre + predictor.slope * (raw - predictor.centre))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", pytest.param("regression", marks=pytest.mark.nightly)])
def test_a_strong_column_is_not_drowned_by_a_wide_modality(kind: str) -> None:
    """Why modalities need no weights: among 5,000 columns of noise, by day 500, one that tells keeps its weight."""
    narrow, wide = (EarlyFusion().fit(cohort(kind, wide=f), seed=0) for f in (5, examples(5000, day=500)))
    age = [np.abs(model.predictor.linear.coef[:3] * model.predictor.slope).max() for model in (narrow, wide)]
    assert age[1] > 0.6 * age[0], age


def test_the_l1_ratio_decides_how_few_columns_are_used() -> None:
    used = {ratio: EarlyFusion(l1_ratio=ratio).fit(cohort("regression"), seed=0) for ratio in (0.05, 1.0)}
    assert used[0.05].trained_parameters > used[1.0].trained_parameters
    assert used[1.0].recipe == "early-fusion:l1_ratio=1.0"
    for ratio in (0.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="l1_ratio"):
            EarlyFusion(l1_ratio=ratio)


@pytest.mark.slow
@pytest.mark.nightly
def test_the_public_check_passes_with_an_option() -> None:
    check_recipe(EarlyFusion(l1_ratio=0.9), n=84, kinds=("classification",))
