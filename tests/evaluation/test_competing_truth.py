"""Competing causes of known hazards: what the true model scores, and what one that ignores the other cause does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import CohortError, cohort_from_frames, synthetic_cohort
from chiasm.cohort.splits import fold_ids
from chiasm.evaluation.intervals import TestFold, patient_draws
from chiasm.linear.cox import Cox
from chiasm.metrics.competing import wolbers_c
from chiasm.metrics.scores import score
from chiasm.targets import CompetingRisks, Outcome
from chiasm.targets.follow_up import cumulative_incidence

N = 4_000
TIMES = (5.0, 15.0, 40.0)


def drawn(log_main: np.ndarray, log_other: np.ndarray, seed: int, leaving: float = 0.01) -> Outcome:
    """Exponential times with these log hazards, censored at a rate of `leaving`."""
    rng = np.random.default_rng(seed)
    main, other, left = (
        rng.exponential(1 / rate) for rate in (np.exp(log_main), np.exp(log_other), leaving + 0 * log_main)
    )
    time = np.minimum(np.minimum(main, other), left)
    cause = np.where(time == left, 0, np.where(main <= other, 1, 2))
    return Outcome(time, cause > 0, np.ones(len(time), bool), cause)


def incidence(log_own: np.ndarray, log_other: np.ndarray, t: float) -> np.ndarray:
    own, whole = np.exp(log_own), np.exp(log_own) + np.exp(log_other)
    return own / whole * (1 - np.exp(-whole * t))


def predicted(main: list[np.ndarray], other: list[np.ndarray]) -> pd.DataFrame:
    table = {"risk_a": np.zeros(N), "risk_b": np.zeros(N)}
    for time, one, two in zip(TIMES, main, other, strict=True):
        table |= {f"incidence_a_{time:g}": one, f"incidence_b_{time:g}": two}
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return np.random.default_rng(0).normal(size=N)


def test_the_true_model_is_calibrated_and_one_that_ignores_the_other_cause_is_not(
    signal: np.ndarray,
) -> None:
    main, other = signal - 3.5, -0.5 * signal - 3.5
    truth, train = drawn(main, other, 1), drawn(main, other, 2)
    both = [[incidence(*pair, t) for t in TIMES] for pair in ((main, other), (other, main))]
    found = {k: float(v[0]) for k, v in score("competing", predicted(*both), truth, ("a", "b"), train=train).items()}
    for place in (1, 2, 3):
        assert found[f"observed_expected_t{place}"] == pytest.approx(1, abs=0.08)
        assert found[f"calibration_slope_t{place}"] == pytest.approx(1, abs=0.12)
        assert found[f"ipa_t{place}"] > 0.03
    alone = predicted([1 - np.exp(-np.exp(main) * t) for t in TIMES], [np.zeros(N)] * 3)
    naive = score("competing", alone, truth, ("a", "b"), train=train)
    assert naive["observed_expected_t3"][0] < 0.85 and naive["integrated_brier"][0] > found["integrated_brier"]
    estimated = cumulative_incidence(train.value, train.cause, 2, TIMES)
    np.testing.assert_allclose(estimated, [[one.mean() for one in own] for own in both], atol=0.02)


def test_an_effect_on_the_other_cause_moves_the_incidence_and_no_hazard_of_the_main_one(signal: np.ndarray) -> None:
    main, other = np.full(N, -3.5), 1.5 * signal - 3.5
    truth = drawn(main, other, 3)
    ((coef, _),) = Cox().path(signal[:, None], truth, [0.0], 2)
    np.testing.assert_allclose(coef, [[0.0, 1.5]], atol=0.1)
    arrays = (truth.value, truth.cause, truth.value, truth.event)
    by_incidence = wolbers_c(incidence(main, other, TIMES[-1]), *arrays, tau=TIMES[-1])[0]
    assert by_incidence > 0.6 and wolbers_c(main, *arrays, tau=TIMES[-1])[0] == pytest.approx(0.5)


def test_weights_give_the_concordance_that_would_be_seen_without_censoring(signal: np.ndarray) -> None:
    main, other = signal - 3.5, -0.5 * signal - 3.5
    risk = incidence(main, other, TIMES[-1])
    each = []
    for leaving in (1e-9, 0.02):
        truth = drawn(main, other, 4, leaving)
        arrays = (truth.value, truth.cause, truth.value, truth.event)
        each.append(wolbers_c(risk, *arrays, tau=TIMES[-1])[0])
    assert each[1] == pytest.approx(each[0], abs=0.02)


def test_several_rows_of_a_person_stand_on_one_side_and_are_drawn_together() -> None:
    made = synthetic_cohort("unique", 120, target="competing", seed=0)
    assert made.outcome is not None and made.outcome.cause is not None
    table = pd.DataFrame(
        {
            "months": made.outcome.value, "cause": np.array(["alive", "a", "b"])[made.outcome.cause],
            "person": [f"person {k // 3}" for k in range(120)],
        },
        index=made.ids,
    )  # fmt: skip
    frames = {name: made.raw(name).set_axis(made.ids) for name in made.modalities}
    cohort = cohort_from_frames(table, frames, CompetingRisks("months", "cause", main="a"), group="person")
    folds = fold_ids(cohort, 4, seed=0)
    assert (folds.reshape(-1, 3) == folds[::3, None]).all() and len(set(folds)) == 4
    rows, known = np.flatnonzero(folds == 0), cohort.outcome
    assert known is not None and cohort.group is not None
    fold = TestFold(0, "0", rows, known.take(rows), known.take(folds != 0), cohort.group[rows])
    draws = patient_draws([fold], 120, 50, seed=0)[:, rows].reshape(50, -1, 3)
    assert (draws == draws[:, :, :1]).all() and draws.std() > 0


def test_several_rows_of_one_patient_as_of_intervals_are_refused() -> None:
    table = pd.DataFrame({"start": [0, 10], "stop": [10, 20], "cause": ["", "a"]}, index=["p", "p"])
    with pytest.raises(CohortError, match="keep one row a patient"):
        cohort_from_frames(table, {"x": table[["start"]].iloc[:1]}, CompetingRisks("stop", "cause"))
