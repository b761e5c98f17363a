"""P15: metrics equal scikit-learn, scikit-survival and lifelines to 1e-6 on stored fixtures, ties included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Outcome
from chiasm.metrics import classification as classification_metrics
from chiasm.metrics import regression as regression_metrics
from chiasm.metrics import survival as survival_metrics
from chiasm.metrics.censoring import censoring_survival
from chiasm.metrics.scores import METRICS, PRIMARY, score

FIXTURES = Path(__file__).parents[1] / "evaluation" / "fixtures"


def cases(kind: str) -> list[dict]:
    stored = json.loads((FIXTURES / f"{kind}.json").read_text(encoding="utf-8"))
    assert {"scikit-learn", "scikit-survival", "lifelines"} <= set(stored["versions"])
    return stored["cases"]


@pytest.mark.parametrize("case", cases("classification"))
@pytest.mark.parametrize("metric", [metric.id for metric in METRICS["classification"] if not metric.pooled])
def test_classification_metrics_equal_scikit_learn(metric: str, case: dict) -> None:
    value = getattr(classification_metrics, metric)(case["probability"], case["code"])
    assert value == pytest.approx(case["expected"][metric], abs=1e-6)


@pytest.mark.parametrize("case", cases("classification"))
def test_the_calibration_slope_equals_scikit_learn(case: dict) -> None:
    p, code = np.array(case["probability"]), np.array(case["code"], dtype=float)
    classes = [str(k) for k in range(p.shape[1])]
    truth = Outcome(code, None, np.ones(len(code), dtype=bool))
    frame = pd.DataFrame(p, columns=[f"p_{name}" for name in classes])
    found = score("classification", frame, truth, classes, metrics=["calibration_slope"])["calibration_slope"]
    assert found == pytest.approx(case["expected"]["calibration_slope"], abs=1e-6)


@pytest.mark.parametrize("case", cases("regression"))
@pytest.mark.parametrize("metric", [metric.id for metric in METRICS["regression"] if not metric.pooled])
def test_regression_metrics_equal_scikit_learn_and_scipy(metric: str, case: dict) -> None:
    value = getattr(regression_metrics, metric)(case["prediction"], case["value"])
    assert value == pytest.approx(case["expected"][metric], abs=1e-6)


@pytest.mark.parametrize("case", cases("survival"))
def test_survival_metrics_equal_scikit_survival(case: dict) -> None:
    test, train = (case["time"], case["event"]), (case["train_time"], case["train_event"])
    values = {
        "harrell_c": survival_metrics.harrell_c(case["risk"], *test),
        "uno_c": survival_metrics.uno_c(case["risk"], *test, *train),
        "uno_c_tau": survival_metrics.uno_c(case["risk"], *test, *train, tau=case["tau"]),
        "integrated_brier": survival_metrics.integrated_brier(case["survival"], case["times"], *test, *train),
    }
    assert {name: float(value[0]) for name, value in values.items()} == pytest.approx(case["expected"], abs=1e-6)
    censoring = censoring_survival(*train, case["time"])
    np.testing.assert_allclose(censoring, case["censoring_survival"], atol=1e-6)


@pytest.mark.parametrize("case", [case for case in cases("survival") if "lifelines" in case])
def test_survival_metrics_equal_lifelines_where_no_time_is_tied(case: dict) -> None:
    value = survival_metrics.harrell_c(case["risk"], case["time"], case["event"])
    assert value == pytest.approx(case["lifelines"]["harrell_c"], abs=1e-6)
    censoring = censoring_survival(case["train_time"], case["train_event"], case["time"])
    np.testing.assert_allclose(censoring, case["lifelines"]["censoring_survival"], atol=1e-6)


def test_every_kind_of_target_has_its_primary_metric() -> None:
    assert {kind: PRIMARY[kind] in {m.id for m in METRICS[kind]} for kind in METRICS} == dict.fromkeys(PRIMARY, True)


@pytest.mark.parametrize(
    ("time", "event", "risk", "expected"),
    [
        ([1, 2], [True, False], [2, 1], 1.0),  # the shorter time is an event: comparable
        ([1, 2], [False, True], [2, 1], np.nan),  # the shorter time is censored: says nothing
        ([1, 1], [True, False], [2, 1], 1.0),  # tied times, one event: the event counts as the earlier
        ([1, 1], [True, False], [1, 2], 0.0),
        ([1, 1], [True, True], [2, 1], np.nan),  # two events at one time: not a pair
        ([1, 1], [False, False], [2, 1], np.nan),
        ([1, 2], [True, True], [3, 3], 0.5),  # tied risks count one half
        ([1, 2], [True, True], [0, 0.9e-8], 0.5),  # ... within 1e-8
        ([1, 2], [True, True], [0, 1.1e-8], 0.0),
    ],
)
def test_convention_of_ties(time: list, event: list, risk: list, expected: float) -> None:
    assert survival_metrics.harrell_c(risk, time, event) == pytest.approx(expected, nan_ok=True)
