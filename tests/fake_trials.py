"""Small trials of quick recipes, for tests of what follows from a trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Survival, synthetic_cohort
from chiasm.evaluation import Protocol, Trial, run_trial


@dataclass(frozen=True)
class Linear:
    """Ridge on each modality it reads, averaged over those a patient has; the mean where there is none."""

    name: str
    reads: tuple[str, ...]
    family: str = "single"
    paper: str = "Hoerl and Kennard (Technometrics 1970)"
    constant: bool = False

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """No form to ask for: the ridges alone are the single recipes."""
        return ()

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> LinearModel:
        assert cohort.outcome is not None and cohort.target is not None
        value, event = cohort.outcome.value, cohort.outcome.event
        target = value if event is None else -np.log(value)
        centre, spread = np.nanmean(target, axis=0), float(np.nanstd(target))
        weights = {}
        for name in self.reads:
            raw = cohort.raw(name)
            x = raw.to_numpy(np.float64)
            y = np.nan_to_num(target[cohort.present[:, cohort.modalities.index(name)]] - centre)
            weights[name] = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ y)
            if self.constant:
                weights[name] = 0 * weights[name]
        return LinearModel(cohort, weights, centre, spread)


class LinearModel:
    def __init__(self, cohort: Cohort, weights: dict[str, np.ndarray], centre: Any, spread: float) -> None:
        assert cohort.target is not None
        self.target, self.weights, self.centre, self.spread = cohort.target, weights, centre, spread
        if isinstance(self.target, Survival):
            assert cohort.outcome is not None
            self.alive = [float((cohort.outcome.value > t).mean()) for t in self.target.times]
        self.trained_parameters = int(sum(w.size for w in weights.values()))

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        total, seen = np.zeros((len(cohort), *np.shape(self.centre))), np.zeros(len(cohort))
        for name, weight in self.weights.items():
            if name in cohort.modalities:
                have = cohort.present[:, cohort.modalities.index(name)]
                total[have] += cohort.raw(name).to_numpy(np.float64) @ weight
                seen[have] += 1
        score = (total.T / np.maximum(seen, 1)).T
        columns: dict[str, Any] = {"pattern": cohort.pattern()}
        if self.target.kind == "classification":
            classes = self.target.classes
            if len(classes) == 2:
                p = np.clip(self.centre + score, 0.02, 0.98)
                columns |= {f"p_{classes[0]}": 1 - p, f"p_{classes[1]}": p}
            else:
                near = -(((self.centre + score)[:, None] - np.arange(len(classes))) ** 2)
                p = np.exp(near) / np.exp(near).sum(1, keepdims=True)
                columns |= {f"p_{label}": p[:, k] for k, label in enumerate(classes)}
        elif self.target.kind == "multilabel":
            p = np.clip(self.centre + score, 0.02, 0.98)
            columns |= {f"p_{label}": p[:, k] for k, label in enumerate(self.target.columns)}
        elif self.target.kind == "regression":
            columns["prediction"] = self.centre + score
        else:
            columns["risk"] = score
            for t, alive in zip(self.target.times, self.alive, strict=True):
                columns[f"survival_{t:g}"] = alive ** np.exp(score)
        frame = pd.DataFrame(columns, index=pd.Index(cohort.ids, name="patient", dtype=object))
        return frame.iloc[cohort.order] if len(cohort.order) == len(frame) else frame


SINGLES = (Linear("single:m1", ("m1",)), Linear("single:m2", ("m2",)))
FUSED = (Linear("late-fusion", ("m1", "m2"), "baseline"), Linear("lego-merge:method=slerp", ("m1", "m2"), "merge"))
GUESS = Linear("guess", ("m1", "m2"), "baseline", constant=True)


def one_after_another(
    function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int
) -> Iterator[Any]:
    for task in tasks:
        yield function(context, task)


def run(
    cohort: Cohort,
    recipes: Sequence[Linear],
    protocol: Protocol | None = None,
    *,
    seed: int = 0,
    out: Path | None = None,
) -> Trial:
    settings = protocol or Protocol(folds=3, repeats=1, draws=200)
    return run_trial(
        cohort, recipes, settings, seed=seed, out=out, resume=False, jobs=1, device="cpu",
        execute=one_after_another, clock=time.perf_counter, progress=lambda done, of: None,
    )  # fmt: skip


def synthetic_trial(
    target: str,
    *,
    name: str = "complementary",
    n: int = 240,
    missing: float = 0.2,
    recipes: Sequence[Linear] = (*SINGLES, *FUSED),
    protocol: Protocol | None = None,
    out: Path | None = None,
) -> Trial:
    return run(synthetic_cohort(name, n, target=target, missing=missing), recipes, protocol, out=out)
