"""Decision curves are those of dcurves and of R; D-calibration is uniform under the true model and not under others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.evaluation import Protocol, Trial
from chiasm.evaluation.decisions import THRESHOLDS
from chiasm.metrics.d_calibration import at_own_time, d_calibration, shares_of
from chiasm.metrics.decision import event_free, incidence, net_benefit, net_benefit_at, treat_all
from chiasm.report import Plots
from chiasm.report.page import render
from examples import examples
from fake_trials import FUSED, SINGLES, synthetic_trial
from small_recipes import at_night

STORED = json.loads((Path(__file__).parent / "fixtures" / "decisions.json").read_text(encoding="utf-8"))
RISK, HAPPENED, TIME, EVENT, AT = (
    np.array(STORED[name], dtype=np.float64) for name in ("risk", "happened", "time", "event", "thresholds")
)
ONE = np.ones((1, len(RISK)))


def close(found: np.ndarray, stored: str) -> None:
    np.testing.assert_allclose(found[0], STORED[stored], atol=1e-12)


def test_net_benefit_is_that_of_dcurves() -> None:
    close(net_benefit(RISK, HAPPENED, AT, ONE), "binary_risk")
    close(treat_all(np.array([HAPPENED.mean()]), AT), "binary_all")


def test_net_benefit_of_times_is_that_of_dcurves_and_of_survfit() -> None:
    found = net_benefit_at(RISK, TIME, EVENT > 0, STORED["horizon"], AT, ONE)
    order = np.argsort(TIME, kind="stable")
    share = 1 - event_free(TIME[order], EVENT[order] > 0, STORED["horizon"], ONE)
    for ours, everybody in (("survival_risk", "survival_all"), ("survival_r", "survival_all_r")):
        close(found, ours)
        close(treat_all(share, AT), everybody)


def test_net_benefit_of_one_cause_is_that_of_cuminc_and_of_survfit_among_the_treated() -> None:
    cause, order = np.array(STORED["cause"]), np.argsort(TIME, kind="stable")
    main, other = cause == 1, cause == 2
    found = net_benefit_at(RISK, TIME, main, STORED["horizon"], AT, ONE, other=other)
    close(found, "cause_r")
    close(found, "cause_cuminc")
    share = incidence(TIME[order], main[order], other[order], STORED["horizon"], ONE)
    close(treat_all(share, AT), "cause_all_r")
    alone = net_benefit_at(RISK, TIME, EVENT > 0, STORED["horizon"], AT, ONE, other=np.zeros(len(RISK), bool))
    close(alone, "survival_r")
    assert np.isnan(incidence(np.array([1.0]), np.array([False]), np.array([False]), 3.0, np.ones((1, 1)))[0])


def test_weights_count_a_patient_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, size=len(RISK))
    rows = np.repeat(np.arange(len(RISK)), counts)
    weights = counts[None].astype(np.float64)
    twice = np.ones((1, len(rows)))
    ours = net_benefit_at(RISK, TIME, EVENT > 0, 3.0, AT, weights)
    np.testing.assert_allclose(ours, net_benefit_at(RISK[rows], TIME[rows], EVENT[rows] > 0, 3.0, AT, twice))
    main, other = np.array(STORED["cause"]) == 1, np.array(STORED["cause"]) == 2
    ours = net_benefit_at(RISK, TIME, main, 3.0, AT, weights, other=other)
    own = net_benefit_at(RISK[rows], TIME[rows], main[rows], 3.0, AT, twice, other=other[rows])
    np.testing.assert_allclose(ours, own)
    ours = net_benefit(RISK, HAPPENED, AT, weights)
    np.testing.assert_allclose(ours, net_benefit(RISK[rows], HAPPENED[rows], AT, twice))


def test_nobody_followed_to_the_horizon_is_not_estimable_and_nobody_treated_is_zero() -> None:
    early = net_benefit_at(np.array([0.9, 0.2]), np.array([1.0, 5.0]), np.zeros(2, bool), 3.0, AT, np.ones((1, 2)))
    assert np.isnan(early[0, -1]) and early[0, 0] < 0
    assert net_benefit_at(np.zeros(2), np.ones(2), np.ones(2, bool), 1.0, AT, np.ones((1, 2))).tolist() == [[0.0] * 7]


def drawn(n: int, rng: np.random.Generator, *, wrong: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Predicted survival at each patient's time, from a constant hazard that is `wrong` times the true one."""
    rate = 0.1 * np.exp(rng.normal(size=n))
    event, censored = rng.exponential(1 / rate), rng.exponential(15, n)
    times = np.array([2.0, 6.0, 40.0])
    return at_own_time(np.exp(-wrong * np.outer(rate, times)), times, np.minimum(event, censored), event <= censored)


def test_d_calibration_is_uniform_under_the_true_model_and_finds_a_wrong_one() -> None:
    rng = np.random.default_rng(1)
    found = [d_calibration(*drawn(400, rng)).p for _ in range(examples(300))]
    assert np.mean(np.array(found) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(found)), "it errs towards calibrated"
    whole = d_calibration(*drawn(20_000, rng))
    assert whole.p > 0.001 and np.abs(np.array(whole.shares) - 0.1).max() < 4 * np.sqrt(0.09 / 20_000)
    assert d_calibration(*drawn(2_000, rng, wrong=1.4)).p < 1e-6


def test_the_censored_are_shared_out_over_what_is_left_to_them() -> None:
    assert shares_of(np.array([0.25]), np.array([False])) == pytest.approx([0.4, 0.4, 0.2, *[0] * 7])
    assert shares_of(np.array([1.0, 0.0]), np.array([True, True])) == pytest.approx([0.5, *[0] * 8, 0.5])
    assert shares_of(np.array([1.0]), np.array([False])) == pytest.approx([0.1] * 10)


@pytest.fixture(scope="module", params=["survival", *at_night("classification", "multilabel")])
def trial(request: pytest.FixtureRequest) -> Trial:
    protocol = Protocol(folds=2, repeats=1, draws=100)
    return synthetic_trial(request.param, n=160, recipes=(*SINGLES, FUSED[0]), protocol=protocol)


def test_a_trial_has_the_curves_of_its_picks_and_the_page_shows_them(trial: Trial) -> None:
    best, page = trial.verdict.best_fused, render(trial)
    table = trial.decisions()
    assert set(table["recipe"]) == {best, trial.verdict.best_single}
    own = table[table["recipe"] == best]
    assert list(own["threshold"].unique()) == list(THRESHOLDS)
    assert (own["gain"] == own["net_benefit"] - own["treat_all"].clip(lower=0)).all()
    at = own[own["threshold"] == 0.3].iloc[0]
    assert at["low"] < at["net_benefit"] < at["high"]
    assert 'id="decision-table"' in page and "decisions" in Plots(trial).drawable
    if trial.target.has_times:
        row = trial.d_calibration(best).iloc[0]
        assert row["n"] == 160 and row[[f"tenth_{k}" for k in range(1, 11)]].sum() == pytest.approx(1)
        assert 'id="tenth-table"' in page
        assert json.dumps(trial.document["d_calibration"], allow_nan=False)
        time, event = [], []
        for key, fold in trial.folds.items():
            middle = list(trial.target.horizon_columns(trial.frames[best][key]))[1]
            time, event = [*time, *fold.outcome.value / middle], [*event, *fold.outcome.event]
        order = np.argsort(time, kind="stable")
        share = 1 - event_free(np.array(time)[order], np.array(event)[order], 1.0, np.ones((1, 160)))
        assert at["treat_all"] == pytest.approx(treat_all(share, np.array([0.3]))[0, 0]), "by the middle horizon"
    else:
        assert trial.d_calibration().empty and "tenth-table" not in page


def test_a_number_has_no_curves() -> None:
    found = synthetic_trial("regression", n=60, recipes=(*SINGLES, FUSED[0]), protocol=Protocol(2, 1, draws=100))
    assert found.decisions().empty and 'id="decisions"' not in render(found)
