"""P15: metrics equal R's survival, riskRegression, pec and rms to 1e-6 on stored fixtures with tied times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Outcome
from chiasm.metrics import calibration as calibration_metrics
from chiasm.metrics import smoothing, survival_calibration
from chiasm.metrics import survival as survival_metrics
from chiasm.metrics.calibration import Measure
from chiasm.metrics.censoring import censoring_survival, seen_by, truncation_time
from chiasm.metrics.classification import brier
from chiasm.metrics.logistic import logistic_line, logit
from chiasm.metrics.scores import score
from chiasm.metrics.time_dependent import auc_at

STORED = json.loads((Path(__file__).parents[1] / "evaluation" / "fixtures" / "r.json").read_text(encoding="utf-8"))
SURVIVAL = [
    {key: np.array(value) if key != "horizons" else value for key, value in c.items()} for c in STORED["survival"]
]
BINARY = [{key: np.array(value, dtype=float) for key, value in case.items()} for case in STORED["binary"]]


def close(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), rtol=0, atol=1e-6)


def followed(case: dict) -> tuple[np.ndarray, ...]:
    """Test patients and training patients: R takes the censoring from the patients it scores."""
    return case["time"], case["event"], case["time"], case["event"]


def test_the_fixtures_name_their_versions_and_hold_ties() -> None:
    assert {"R", "survival", "riskRegression", "pec", "rms"} <= set(STORED["versions"])
    tied = [np.isin(c["time"][~c["event"]], c["time"][c["event"]]).any() for c in SURVIVAL]
    assert tied == [True, True, True, False]
    assert any(c["tau"] < c["time"][c["event"]].max() for c in SURVIVAL)  # a truncation that leaves events out


@pytest.mark.parametrize("case", SURVIVAL)
def test_uno_c_equals_survival_concordance(case: dict) -> None:
    arrays = followed(case)
    close(censoring_survival(*arrays[2:], case["time"], before=True), case["G_before"])
    close(truncation_time(*arrays[2:]), case["tau"])
    early = float(case["times"][1])
    for tau, name in ((None, "uno_c"), (float(case["tau"]), "uno_c_tau"), (early, "uno_c_early")):
        close(survival_metrics.uno_c(case["risk"], *arrays, tau=tau)[0], case[name])


@pytest.mark.parametrize("case", SURVIVAL)
def test_auc_brier_and_ipa_equal_risk_regression(case: dict) -> None:
    arrays, times, survival = followed(case), case["times"], case["survival"]
    close([auc_at(-survival[:, k], times[k], *arrays)[0] for k in range(len(times))], case["auc"])
    ours, null = survival_metrics.brier_losses(survival, times, *arrays)
    close(ours.mean(axis=0), case["brier"])
    close(null.mean(axis=0), case["brier_null"])
    close(1 - ours.mean(axis=0) / null.mean(axis=0), case["ipa"])
    close(survival_metrics.integrated_brier(survival, times, *arrays)[0], case["integrated_brier"])
    # pec::crps holds the score of a horizon until the next one; ours joins them by lines
    close((ours.mean(axis=0)[:-1] * np.diff(times)).sum() / (times[-1] - times[0]), case["rectangles"])


@pytest.mark.parametrize("case", SURVIVAL)
def test_calibration_at_a_horizon_equals_weighted_regressions(case: dict) -> None:
    ones = np.ones((1, len(case["time"])))
    died_by, seen = seen_by(case["time"], case["event"], case["times"], case["time"], case["event"])
    for k, expected in enumerate(case["horizons"]):
        close(seen[:, k], expected["weight"])
        terms = np.stack([1 - case["survival"][:, k], died_by[:, k], seen[:, k], np.zeros(len(seen))], axis=1)
        measures: dict[str, Measure] = {
            "intercept": calibration_metrics.calibration_intercept,
            "slope": calibration_metrics.calibration_slope,
        }
        for name, measure in measures.items():
            close(survival_calibration.at_horizon(measure, terms, ones)[0], expected[name])
        close(survival_calibration.observed_expected_at(terms, ones)[0], expected["observed_expected"])
        known = seen[:, k] > 0
        risk, died, weight = terms[known, :3].T
        smooth = smoothing.lowess(risk, died, weight[None], delta=0)[0]
        close(smooth, expected["smooth"])
        close((weight * np.abs(smooth - risk)).sum() / weight.sum(), expected["ici"])
        # lines are fitted a hundredth of the range apart, as lowess does and loess does not
        found = survival_calibration.at_horizon(calibration_metrics.ici, terms, ones)[0]
        assert found == pytest.approx(expected["ici"], abs=1e-3)


@pytest.mark.parametrize("case", SURVIVAL)
def test_what_a_trial_scores_equals_r(case: dict) -> None:
    truth = Outcome(case["time"].astype(float), case["event"], np.ones(len(case["time"]), dtype=bool))
    frame = pd.DataFrame({"risk": case["risk"].astype(float)})
    for k, time in enumerate(case["times"]):
        frame[f"survival_{time:.17g}"] = case["survival"][:, k]
    found = {name: value[0] for name, value in score("survival", frame, truth, train=truth).items()}
    close(found["uno_c"], case["uno_c_tau"])
    close(found["integrated_brier"], case["integrated_brier"])
    close(found["ipa"], case["ipa_integrated"])
    for k, expected in enumerate(case["horizons"]):
        close(found[f"auc_t{k + 1}"], case["auc"][k])
        close(found[f"ipa_t{k + 1}"], case["ipa"][k])
        close(found[f"calibration_intercept_t{k + 1}"], expected["intercept"])
        close(found[f"calibration_slope_t{k + 1}"], expected["slope"])
        close(found[f"observed_expected_t{k + 1}"], expected["observed_expected"])


@pytest.mark.parametrize("case", BINARY)
def test_calibration_of_classes_equals_val_prob(case: dict) -> None:
    p, y = case["probability"], case["happened"]
    ones = np.ones((1, len(p)))
    close(smoothing.lowess(p, y, ones)[0], case["lowess"])
    close(logistic_line(logit(p), y, ones)[0][0], case["intercept_of_line"])
    close(brier(np.stack([1 - p, p], axis=1), y)[0], case["brier"])
    truth = Outcome(y, None, np.ones(len(y), dtype=bool))
    frame = pd.DataFrame({"p_no": 1 - p, "p_yes": p})
    found = score("classification", frame, truth, ("no", "yes"))
    for name, key in {
        "calibration_intercept": "intercept", "calibration_slope": "slope",
        "observed_expected": "observed_expected", "ici": "ici", "e90": "e90",
    }.items():  # fmt: skip
        close(found[name][0], case[key])
    labels = Outcome(y[:, None], None, np.ones(len(y), dtype=bool))
    alone = score("multilabel", frame[["p_yes"]], labels, ("yes",))
    for name in ("calibration_intercept", "calibration_slope", "observed_expected", "ici", "e90"):
        close(alone[name][0], found[name][0])
