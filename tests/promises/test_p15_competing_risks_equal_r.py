"""P15: metrics and estimates of competing risks equal R's cmprsk, riskRegression, pec and survival, with ties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.linear.cause_specific import cause_hazards, incidence_at
from chiasm.linear.cox import Cox
from chiasm.metrics.competing import wolbers_c
from chiasm.metrics.incidence import incidence_variance
from chiasm.metrics.survival import brier_losses
from chiasm.metrics.time_dependent import auc_at
from chiasm.targets import Outcome
from chiasm.targets.follow_up import cumulative_incidence

STORED = json.loads((Path(__file__).parents[1] / "evaluation" / "fixtures" / "competing.json").read_text("utf-8"))
CASES = [{key: np.array(value) for key, value in case.items()} for case in STORED["cases"]]


def close(found: object, expected: object, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(found, dtype=float), np.asarray(expected, dtype=float), rtol=0, atol=atol)


def followed(case: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return case["time"].astype(float), case["cause"], case["cause"] > 0


def outcome_of(case: dict) -> Outcome:
    time, cause, event = followed(case)
    return Outcome(time, event, np.ones(len(time), bool), cause)


def test_the_fixtures_name_their_versions_and_hold_ties_of_every_kind() -> None:
    assert {"R", "survival", "cmprsk", "riskRegression", "pec"} <= set(STORED["versions"])
    for case in CASES[:3]:
        own = [set(case["time"][case["cause"] == k].tolist()) for k in range(3)]
        assert own[0] & own[1] and own[1] & own[2] and own[0] & own[2]


@pytest.mark.parametrize("case", CASES)
def test_wolbers_c_equals_pec(case: dict) -> None:
    time, cause, event = followed(case)
    end = float(time[cause == 1].max())
    for column, tau, name in ((0, case["times"][0], "c_first"), (-1, case["times"][-1], "c_last"), (-1, end, "c_end")):
        close(wolbers_c(case["risk"][:, column], time, cause, time, event, tau=float(tau))[0], case[name])


@pytest.mark.parametrize("case", CASES)
def test_auc_brier_and_ipa_equal_risk_regression(case: dict) -> None:
    (time, cause, event), times, risk = followed(case), case["times"].astype(float), case["risk"]
    main, null = cause == 1, 1 - cumulative_incidence(time, cause, 2, times)[0]
    close([auc_at(risk[:, k], t, time, event, time, event, main=main)[0] for k, t in enumerate(times)], case["auc"])
    losses = [own.mean(axis=0) for own in brier_losses(1 - risk, times, time, event, time, event, main, null)]
    close(losses[0], case["brier"])
    close(losses[1], case["brier_null"])
    close(1 - losses[0] / losses[1], case["ipa"])


@pytest.mark.parametrize("case", CASES)
def test_aalen_johansen_equals_cmprsk_and_survival(case: dict) -> None:
    time, cause, _ = followed(case)
    found = cumulative_incidence(time, cause, 2, case["times"])
    close(found, case["cuminc"])
    close(found, case["pstate"])
    close(np.sqrt(incidence_variance(time, cause, case["times"])), case["pstate_se"][0])
    other = np.choose(cause, [0, 2, 1])
    close(np.sqrt(incidence_variance(time, other, case["times"])), case["pstate_se"][1])


@pytest.mark.parametrize("case", CASES)
def test_unpenalised_coefficients_are_those_of_coxph_for_each_cause(case: dict) -> None:
    x = np.c_[case["z"], case["u"]]
    ((coef, intercept),) = Cox().path(x, outcome_of(case), [0.0], 2)
    close(coef.T, case["coef_efron"], 1e-6)
    close(x.mean(0) @ coef + intercept, 0.0)


@pytest.mark.parametrize("case", CASES)
def test_incidences_equal_the_product_limit_of_cause_specific_cox_models(case: dict) -> None:
    link, times = np.c_[case["z"], case["u"]] @ case["coef_breslow"].T, case["times"].astype(float)
    baseline = cause_hazards(link, outcome_of(case))
    found = incidence_at(link, baseline, times)  # (n, K, T)
    jumps = np.diff(baseline[1], axis=0, prepend=0.0)[baseline[0] <= times[-1]]
    sound = (np.exp(link) @ jumps.T <= 1).all(axis=1)  # R's leave 0 to 1 for the others
    assert sound.mean() > 0.9
    close(found[sound].transpose(1, 0, 2), case["incidence"][:, sound])
    assert (found >= 0).all() and (found.sum(axis=1) <= 1 + 1e-12).all() and (np.diff(found, axis=2) >= 0).all()
