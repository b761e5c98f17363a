"""Writes fixtures/*.json: small data sets with ties and the values other libraries give for them.

Run `python tests/evaluation/make_fixtures.py` from the root of the repository, with scikit-learn, scikit-survival and
lifelines installed; each file notes their versions.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw, integrated_brier_score
from sksurv.nonparametric import CensoringDistributionEstimator
from sksurv.util import Surv

FOLDER = Path(__file__).parent / "fixtures"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "scikit-survival", "lifelines")


def calibration_slope(probability: np.ndarray, member: np.ndarray) -> float:
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    return float(model.fit(np.log(p / (1 - p))[:, None], member).coef_[0, 0])


def classification_case(rng: np.random.Generator, n: int, k: int, decimals: int) -> dict:
    code = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    logits = rng.normal(size=(n, k)) + 1.2 * np.eye(k)[code]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    grid = 10**decimals
    p = np.maximum(np.round(p * grid), 1)
    p = p / p.sum(axis=1, keepdims=True)
    binary = k == 2
    scores = p[:, 1] if binary else p
    slopes = [calibration_slope(p[:, j], code == j) for j in range(k)]
    expected = {
        "auroc": roc_auc_score(code, scores, multi_class="ovr", average="macro"),
        "auprc": average_precision_score(code, scores, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(code, p.argmax(axis=1)),
        "macro_f1": f1_score(code, p.argmax(axis=1), average="macro"),
        "brier": brier_score_loss(code, scores),
        "calibration_slope": slopes[1] if binary else float(np.mean(slopes)),
    }
    return {
        "probability": p.tolist(),
        "code": code.tolist(),
        "expected": {key: float(v) for key, v in expected.items()},
    }


def regression_case(rng: np.random.Generator, n: int, step: float) -> dict:
    value = np.round(rng.normal(50, 10, n) / step) * step
    prediction = np.round((value + rng.normal(0, 8, n)) / step) * step
    expected = {
        "rmse": root_mean_squared_error(value, prediction),
        "r2": r2_score(value, prediction),
        "spearman": spearmanr(value, prediction).statistic,
        "c_index": concordance_index(value, prediction),
    }
    return {
        "prediction": prediction.tolist(),
        "value": value.tolist(),
        "expected": {key: float(v) for key, v in expected.items()},
    }


def survival_case(rng: np.random.Generator, n: int, step: float) -> dict:
    """Times are multiples of `step`: with a large one events tie with events and with censored patients."""

    def follow_up(size: int, risk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        death, censoring = rng.exponential(20 * np.exp(-risk)), rng.exponential(30, size)
        return np.ceil(np.minimum(death, censoring) / step) * step, death <= censoring

    risk = np.round(rng.normal(size=n) * 2) / 2 if step >= 1 else rng.normal(size=n)
    time, event = follow_up(n, risk)
    # nobody is censored at the time of a test patient, where scikit-survival's G(T) and R's G(T-) would differ
    train_time, train_event = follow_up(2 * n, rng.normal(size=2 * n))
    train_time += step / 2
    train_time, train_event = np.r_[train_time, time.max() + 1], np.r_[train_event, True]
    train, test = Surv.from_arrays(train_event, train_time), Surv.from_arrays(event, time)
    times = np.linspace(time.min() + step / 4, np.quantile(time, 0.8), 4)
    survival = np.exp(-times[None, :] / (25 * np.exp(-risk[:, None])))
    tau = float(np.quantile(time, 0.7)) + step / 4  # scikit-survival counts events before tau, R and we up to it
    distribution = CensoringDistributionEstimator().fit(train)
    expected = {
        "harrell_c": concordance_index_censored(event, time, risk)[0],
        "uno_c": concordance_index_ipcw(train, test, risk)[0],
        "uno_c_tau": concordance_index_ipcw(train, test, risk, tau=tau)[0],
        "integrated_brier": integrated_brier_score(train, test, survival, times),
    }
    case = {
        "risk": risk.tolist(),
        "time": time.tolist(),
        "event": event.tolist(),
        "train_time": train_time.tolist(),
        "train_event": train_event.tolist(),
        "times": times.tolist(),
        "survival": survival.tolist(),
        "tau": tau,
        "expected": {key: float(v) for key, v in expected.items()},
        "censoring_survival": distribution.predict_proba(time).tolist(),
    }
    if len(np.unique(np.r_[time, train_time])) == len(time) + len(train_time):
        # lifelines counts tied events and the risk set at ties in another way: compared where no time is tied
        fitter = KaplanMeierFitter().fit(train_time, ~train_event)
        case["lifelines"] = {
            "harrell_c": float(concordance_index(time, -risk, event)),
            "censoring_survival": fitter.predict(time).tolist(),
        }
    return case


def main() -> None:
    rng = np.random.default_rng(20240229)
    made = {
        "classification": [
            classification_case(rng, n, k, decimals)
            for n, k, decimals in [(40, 2, 1), (90, 2, 6), (60, 3, 1), (120, 5, 3)]
        ],
        "regression": [regression_case(rng, n, step) for n, step in [(30, 5.0), (80, 1.0), (50, 1e-6)]],
        "survival": [survival_case(rng, n, step) for n, step in [(30, 10.0), (80, 4.0), (60, 1.0), (70, 1e-9)]],
    }
    versions = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    FOLDER.mkdir(exist_ok=True)
    for kind, cases in made.items():
        head = json.dumps({"made_by": "tests/evaluation/make_fixtures.py", "versions": versions})[:-1]
        lines = ",\n".join(json.dumps(case) for case in cases)
        (FOLDER / f"{kind}.json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
