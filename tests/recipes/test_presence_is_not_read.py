"""Noise whose presence goes with the outcome tells nothing to a recipe that does not read presence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.metrics.survival import harrell_c
from chiasm.recipes.registry import make_recipe
from small_recipes import at_night

COMBINED = [
    "late-fusion", "stacked-fusion", "early-fusion", "multi-ridge", "ipf-lasso", "priority-lasso",
    "block-forest:trees=60",
]  # fmt: skip


def cohort(n: int, signal: float, kind: str = "classification", seed: int = 0) -> chiasm.Cohort:
    """`m1` of everybody, `m2` noise that 90 % of the cases and 50 % of the controls have."""
    rng = np.random.default_rng(seed)
    ids = [f"case-{k:04d}" for k in range(n)]
    case = rng.random(n) < 0.5
    values = {name: pd.DataFrame(rng.normal(size=(n, 4)), ids, list("klmn")) for name in ("m1", "m2")}
    values["m1"]["k"] += signal * case
    values["m2"] = values["m2"][rng.random(n) < np.where(case, 0.9, 0.5)]
    target: chiasm.Target
    if kind == "survival":
        patients = pd.DataFrame({"time": rng.exponential(np.where(case, 1.0, 4.0)), "died": rng.random(n) < 0.7}, ids)
        target = chiasm.Survival("time", "died")
    elif kind == "multilabel":
        patients = pd.DataFrame({"a": case.astype(int), "b": rng.integers(0, 2, n)}, ids)
        target = chiasm.Multilabel(("a", "b"))
    elif kind == "regression":
        patients, target = pd.DataFrame({"y": 2.0 * case + rng.normal(size=n)}, ids), chiasm.Regression("y")
    else:
        patients, target = pd.DataFrame({"y": case.astype(int)}, ids), chiasm.Classification("y")
    return chiasm.cohort_from_frames(patients, values, target=target)


def halves(given: chiasm.Cohort) -> tuple[chiasm.Cohort, chiasm.Cohort]:
    even = np.arange(len(given)) % 2 == 0
    return given.subset(even), given.subset(~even)


def score(spec: str, train: chiasm.Cohort, test: chiasm.Cohort) -> float:
    """Concordance of the prediction with the outcome of patients not fitted on; of labels, of the first."""
    frame = make_recipe(spec).fit(train, seed=0).predict(test)
    value = test.outcome.value[test.order]  # type: ignore[union-attr]
    if "risk" in frame:
        event = test.outcome.event[test.order]  # type: ignore[union-attr]
        return float(np.squeeze(harrell_c(frame["risk"].to_numpy(), value, event)))
    value = value[:, 0] if value.ndim == 2 else value
    said = frame["p_a" if "p_a" in frame else "p_1" if "p_1" in frame else "prediction"].to_numpy()
    return float(np.squeeze(harrell_c(-said, value, np.ones(len(value), bool))))


# Each way of combining meets one kind of target by day, here or below; all of them in `make nightly`.
CLASSES_BY_DAY = {"single:m2", "stacked-fusion", "multi-ridge", "ipf-lasso"}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, marks=[] if spec in CLASSES_BY_DAY else [pytest.mark.nightly])
        for spec in ("single:m2", *COMBINED)
    ],
)
def test_noise_that_cases_have_more_often_scores_chance_where_there_is_no_signal(spec: str) -> None:
    scores = [score(spec, *halves(cohort(600, 0.0, seed=seed))) for seed in range(4)]
    assert abs(np.mean(scores) - 0.5) < 0.04


SHARED_OUT = {
    ("early-fusion", "survival"),
    ("priority-lasso", "regression"),
    ("block-forest:trees=60", "survival"),
}


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        pytest.param(spec, kind, marks=[] if (spec, kind) in SHARED_OUT else [pytest.mark.nightly])
        for spec in ("single:m2", *COMBINED)
        for kind in ("survival", "multilabel", "regression")
    ],
)
def test_so_it_is_for_every_kind_of_target(spec: str, kind: str) -> None:
    scores = [score(spec, *halves(cohort(600, 0.0, kind, seed=seed))) for seed in range(3)]
    assert abs(np.mean(scores) - 0.5) < 0.05


BY_DAY = {"late-fusion"}  # the others are held to the laws above by day


@pytest.mark.parametrize(
    "spec", [pytest.param(spec, marks=[] if spec in BY_DAY else [pytest.mark.nightly]) for spec in COMBINED]
)
def test_it_adds_nothing_to_a_modality_with_signal(spec: str) -> None:
    for seed in range(2):
        train, test = halves(cohort(2000, 1.2, seed=seed))
        assert score(spec, train, test) - score("single:m1", train, test) < 0.01


@pytest.mark.parametrize(
    ("kind", "gain"),
    [
        ("classification", 0.03),
        *(pytest.param(kind, 0.01, marks=pytest.mark.nightly) for kind in ("survival", "multilabel", "regression")),
    ],
)
def test_presence_is_read_where_it_is_asked_for(kind: str, gain: float) -> None:
    train, test = halves(cohort(2000, 1.2, kind))
    asked, plain = make_recipe("early-fusion:presence=true"), make_recipe("early-fusion")
    assert asked.reads_presence and not plain.reads_presence
    assert score(asked.name, train, test) > score("early-fusion", train, test) + gain


@pytest.mark.parametrize("kind", ["survival", *at_night("classification", "multilabel", "regression")])
def test_all_patterns_have_one_prior_and_one_level(kind: str) -> None:
    train, _ = halves(cohort(600, 1.0, kind))
    predictors = [make_recipe(f"single:{name}").fit(train, seed=0).predictor for name in ("m1", "m2")]
    np.testing.assert_array_equal(predictors[0].prior, predictors[1].prior)
    for name, own in zip(("m1", "m2"), predictors, strict=True):
        link, rows = own.link(train), train.rows_of(name)
        np.testing.assert_allclose(link[rows].mean(0), own.prior, atol=1e-9)
        np.testing.assert_array_equal(np.delete(link, rows, axis=0), np.tile(own.prior, (len(link) - len(rows), 1)))


@pytest.mark.parametrize(
    "spec",
    [
        "single:m2",
        "early-fusion",
        "multi-ridge",
        *at_night("single:m1", *sorted({*COMBINED} - {"early-fusion", "multi-ridge"})),
    ],
)
def test_predictions_are_calibrated_in_the_large_over_all_patients(spec: str) -> None:
    train, test = halves(cohort(4000, 2.0))
    model = make_recipe(spec).fit(train, seed=0)
    assert abs(model.predict(test)["p_1"].mean() - test.outcome.value.mean()) < 0.03
