"""`best-available` and `null`, and the links on which predictions are shifted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from chiasm.cohort import Outcome
from chiasm.evaluation.references import OneModality, best_available, null, ranked_modalities
from chiasm.targets import kind_of
from small_recipes import at_night

RNG = np.random.default_rng(1)
INDEX = pd.Index(["a", "b", "c", "d"], dtype=object)
PATTERNS = np.array(["m1", "m1+m2", "m2", "m3"], dtype=object)
PRESENT = {
    "m1": np.array([True, True, False, False]),
    "m2": np.array([False, True, True, False]),
    "m3": np.array([False, False, False, True]),
}
TRAIN = Outcome(np.array([0.0, 0, 0, 1]), None, np.ones(4, bool))


def frames(kind: str, n: int = 4) -> tuple[pd.DataFrame, list[str]]:
    if kind == "regression":
        return pd.DataFrame({"prediction": RNG.normal(size=n)}), []
    if kind == "survival":
        alive = np.sort(RNG.uniform(0.2, 0.9, (n, 2)))[:, ::-1]
        return pd.DataFrame({"risk": RNG.normal(size=n), "survival_12": alive[:, 0], "survival_24": alive[:, 1]}), []
    classes = ["x", "y", "z"]
    p = RNG.dirichlet(np.ones(3), n) if kind == "classification" else RNG.uniform(0.05, 0.95, (n, 3))
    return pd.DataFrame(p, columns=[f"p_{c}" for c in classes]), classes


@pytest.mark.parametrize("kind", ["survival", *at_night("classification", "multilabel", "regression")])
def test_a_link_and_back_is_the_prediction(kind: str) -> None:
    frame, classes = frames(kind)
    own = kind_of(kind)
    back = own.frame(own.links(frame, classes), own.link_columns(frame, classes))
    pd.testing.assert_frame_equal(back, frame, rtol=1e-9)


def test_a_constant_added_to_all_log_probabilities_changes_nothing() -> None:
    frame, classes = frames("classification")
    shifted = kind_of("classification").frame(
        kind_of("classification").links(frame, classes) + 3.0, list(frame.columns)
    )
    pd.testing.assert_frame_equal(shifted, frame, rtol=1e-9)


def test_each_patient_gets_the_first_modality_that_he_has_beyond_its_mean() -> None:
    """Prior log odds of one in four; m1 says +1 beyond its mean of 0.5, m2 -2 beyond its mean of 1; nobody knows m3."""

    def two(logit: list[float]) -> pd.DataFrame:
        p = 1 / (1 + np.exp(-np.array(logit)))
        return pd.DataFrame({"p_n": 1 - p, "p_y": p}, index=INDEX)

    def mean_logit(value: float) -> np.ndarray:
        return kind_of("classification").links(two([value] * 4), ["n", "y"])[0]

    ranked = [
        ("m1", OneModality("single:m1", two([1.5, 1.5, 9, 9]), mean_logit(0.5), 0.8)),
        ("m2", OneModality("single:m2", two([9, 9, -1, 9]), mean_logit(1.0), 0.7)),
    ]
    found = best_available("classification", ranked, PRESENT, TRAIN, ["n", "y"], INDEX, PATTERNS)
    odds = np.log(found["p_y"] / found["p_n"])
    prior = np.log(1 / 3)
    assert odds.to_numpy() == pytest.approx([prior + 1, prior + 1, prior - 2, prior])
    assert found["pattern"].tolist() == PATTERNS.tolist() and found.index.tolist() == INDEX.tolist()


def test_of_a_choice_each_has_the_options_that_are_his_and_their_own_probabilities() -> None:
    rare = 1e-10
    p = {"p_1": [rare, 0.5, 0.3, 0.4], "p_2": [1 - rare, 0.5, 0.3, 0.6], "p_3": [0, 0, 0.4, 0]}
    frame = pd.DataFrame({"choice": [2, 1, 3, 2], **p}, index=INDEX)
    of_second = frame.assign(p_1=0.9, p_2=0.1, p_3=0.0, choice=1)
    ranked = [("m1", OneModality("single:m1", frame, np.zeros(3), 0.8))]
    ranked += [("m2", OneModality("single:m2", of_second, np.zeros(3), 0.7))]
    outcome = Outcome(np.zeros(4), None, np.ones(4, bool))
    present = {"m1": np.array([True, False, True, False]), "m2": np.array([True, True, False, False])}
    found = best_available("choice", ranked, present, outcome, ["1", "2", "3"], INDEX, PATTERNS)
    wanted = frame.copy()
    wanted.iloc[1] = of_second.iloc[1]
    pd.testing.assert_frame_equal(found.drop(columns="pattern"), wanted, check_dtype=False, check_names=False)


def test_modalities_are_ranked_by_the_score_among_those_who_have_them() -> None:
    def one(name: str, score: float) -> OneModality:
        return OneModality(name, pd.DataFrame(), np.zeros(1), score)

    ranked = ranked_modalities(
        {
            "m1": [one("single:m1", np.nan)],
            "m2": [one("single:m2", 0.6), one("healnet:modality=m2", 0.7)],
            "m3": [one("single:m3", 0.65)],
            "m4": [],
        }
    )
    assert [(name, own.recipe) for name, own in ranked] == [
        ("m2", "healnet:modality=m2"), ("m3", "single:m3"), ("m1", "single:m1"),
    ]  # fmt: skip


def test_the_null_model_is_the_training_prior() -> None:
    frame, classes = frames("classification")
    frame.insert(0, "pattern", PATTERNS)
    train = Outcome(np.array([0.0, 1, 1, 2, np.nan]), None, np.array([True] * 4 + [False]))
    found = null("classification", frame, train, classes)
    assert found[["p_x", "p_y", "p_z"]].to_numpy() == pytest.approx(np.tile([0.25, 0.5, 0.25], (4, 1)))
    labels = Outcome(np.array([[1, np.nan], [0, np.nan]]), None, np.ones(2, bool))
    assert kind_of("multilabel").prior_frame(labels, 1, ["x", "y"]).iloc[0].tolist() == [0.5, 0.5]


def test_prior_survival_is_kaplan_meier() -> None:
    time, event = RNG.integers(1, 30, 80).astype(float), RNG.random(80) < 0.5
    fitter = KaplanMeierFitter().fit(time, event)
    train = Outcome(time, event, np.ones(80, bool))
    times = [0.5, 6.0, 12.0, 29.0]
    row = kind_of("survival").prior_frame(train, 2, (), times)
    for at in times:
        assert row[f"survival_{at:g}"].tolist() == pytest.approx([float(fitter.predict(at))] * 2)
    assert row["risk"].tolist() == [0.0, 0.0]
