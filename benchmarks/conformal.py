"""Whether conformal sets cover what they promise in every pattern and subgroup, and whether D-calibration is uniform.

    python benchmarks/conformal.py [--draws 100] > benchmarks/results/conformal.txt

Made cohorts of two modalities, of which two fifths of the patients lack one, and of two declared subgroups; in one
level of each the outcome is harder to predict. `late-fusion` is fitted on 400 patients. From 20,000 further ones
calibration cohorts of 600 are drawn, and the sets of 20,000 test patients, whom neither has seen, are counted against
their true outcomes; of survival against times that nobody censors. The coverage of one calibration cohort varies, as
theory says it does: the promise is one for the mean over calibration cohorts, whose standard error is the Monte-Carlo
error here.
`short` marks a group whose mean lies more than three of these below the level. Beside it stands the coverage of one
threshold for everybody. D-calibration is tested on predictions of the true model, of 20,000 patients each time.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

import chiasm
from chiasm.cohort import Cohort, Target
from chiasm.metrics.d_calibration import at_own_time, d_calibration
from chiasm.models.conformal import EITHER, EVERYONE, PATTERN, WITH, WITHOUT, calibrated
from chiasm.protocols import Model

TRAINING, CALIBRATION, MANY, LEVEL = 400, 600, 20_000, 0.9
KINDS = ("classification", "multilabel", "regression", "survival")
Groups = dict[str, np.ndarray]


def drawn(kind: str, n: int, rng: np.random.Generator) -> tuple[Cohort, np.ndarray]:
    """A cohort, and the true outcomes: codes, labels, numbers or times that nobody censors; by id."""
    ids = [f"p{k:05d}" for k in range(n)]
    x, z = rng.normal(size=(n, 3)), rng.normal(size=(n, 3))
    sex, age = rng.choice(["f", "m"], n, p=[0.7, 0.3]), rng.normal(60, 12, n)
    harder = np.where(sex == "m", 2.0, 1.0) * np.where(age > 70, 1.5, 1.0)
    signal = (x[:, 0] + z[:, 0]) / harder
    patients = pd.DataFrame({"sex": sex, "age": age}, index=ids)
    target: Target
    if kind == "regression":
        true = x[:, 0] + z[:, 0] + harder * rng.normal(size=n)
        patients["y"], target = true, chiasm.Regression("y")
    elif kind == "survival":
        true = rng.exponential(24 * np.exp(-signal))
        wait = rng.exponential(40, n)
        patients["months"], patients["died"] = np.minimum(true, wait) + 1e-6, true <= wait
        target = chiasm.Survival("months", "died", unit="months")
    elif kind == "multilabel":
        true = (rng.uniform(size=(n, 2)) < 1 / (1 + np.exp(-2 * np.c_[signal, x[:, 1]]))).astype(float)
        patients["a"], patients["b"] = true.T
        target = chiasm.Multilabel(("a", "b"))
    else:
        cuts = np.array([-0.8, 0.8]) - 2 * signal[:, None]
        true = (rng.logistic(size=n)[:, None] > cuts).sum(axis=1).astype(float)
        patients["grade"], target = np.array(["low", "mid", "top"])[true.astype(int)], chiasm.Classification("grade")
    lacking = rng.uniform(size=n) < 0.4
    blood = pd.DataFrame(z, index=ids, columns=["u", "v", "w"])[~lacking]
    table = pd.DataFrame(x, index=ids, columns=["a", "b", "c"])
    parts = {"clinical": table, "blood": blood}
    subgroups = {"sex": (), "age": (50.0, 70.0)}
    return chiasm.cohort_from_frames(patients, parts, target, subgroups=subgroups), true


def predicted(model: Model, cohort: Cohort) -> tuple[pd.DataFrame, Groups]:
    """What the model says of the patients, in the order of their ids, and the groups that they are of."""
    frame = model.predict(cohort.with_target(None, None)).loc[list(cohort.ids)]
    groups = {PATTERN: frame["pattern"].to_numpy(str)} | {own.column: own.level for own in cohort.subgroups}
    return frame.reset_index(drop=True), groups


def covered(kind: str, names: tuple[str, ...], told: pd.DataFrame, true: np.ndarray) -> np.ndarray:
    """(n, K) whether the set holds the outcome, of each label or alone."""
    if kind == "multilabel":
        said = np.stack([told[f"set_{name}"].to_numpy(object) for name in names], axis=1)
        return (said == EITHER) | (said == np.where(true == 1, WITH, WITHOUT))
    if kind == "regression":
        return ((told["low"] <= true) & (true <= told["high"])).to_numpy()[:, None]
    if kind == "survival":
        return (true >= told["at_least"].to_numpy(float))[:, None]
    return np.array([[names[int(y)] in own.split(", ")] for y, own in zip(true, told["set"], strict=True)])


def coverage_of(kind: str, draws: int, seed: int) -> list[str]:
    """Lines of the table for one kind of target."""
    rng = np.random.default_rng(seed)
    model = chiasm.fit(drawn(kind, TRAINING, rng)[0], "late-fusion", seed=seed)
    pool, _ = drawn(kind, MANY, rng)
    new, true = drawn(kind, MANY, rng)
    (frame, groups), (other, theirs) = predicted(model, pool), predicted(model, new)
    names = tuple(model.response.classes)
    known, found = pool.outcome, []
    assert known is not None
    for _ in range(draws):
        rows = rng.choice(MANY, CALIBRATION, replace=False)
        row: dict[tuple[str, str], list[float]] = {}
        for own, membership in (
            ({by: level[rows] for by, level in groups.items()}, theirs),
            ({EVERYONE: np.full(CALIBRATION, EVERYONE)}, {EVERYONE: np.full(MANY, EVERYONE)}),
        ):
            told = calibrated(kind, names, frame.iloc[rows], known.take(rows), own, LEVEL)
            inside = covered(kind, names, told.added_to(other, membership), true).mean(axis=1)
            for by, level in theirs.items():
                for name in np.unique(level).tolist():
                    row.setdefault((by, name), []).append(float(inside[level == name].mean()))
        found.append(row)
    lines = []
    for by, name in found[0]:
        values = np.array([row[by, name] for row in found])  # (draws, 2)
        n = int((theirs[by] == name).sum())
        mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(draws)
        error = float(np.hypot(spread[0], np.sqrt(LEVEL * (1 - LEVEL) / n)))
        short = "short" if mean[0] < LEVEL - 3 * error else ""
        lines.append(f"{kind:15} {by:8} {name:16} {n:7,} {mean[0]:.4f} {error:.4f} {mean[1]:.4f}  {short}".rstrip())
    return lines


def uniform_of(draws: int, waiting: float, seed: int) -> str:
    """How often D-calibration speaks against the true model, and its largest deviation."""
    rng, found, apart = np.random.default_rng(seed), [], []
    for _ in range(draws):
        rate = 0.1 * np.exp(rng.normal(size=MANY))
        event, wait = rng.exponential(1 / rate), rng.exponential(waiting, MANY)
        times = np.array([2.0, 6.0, 30.0])
        time, died = np.minimum(event, wait), event <= wait
        own = d_calibration(*at_own_time(np.exp(-np.outer(rate, times)), times, time, died))
        found.append(own.p < 0.05)
        apart.append(float(np.abs(np.array(own.shares) - 0.1).max()))
        censored = float(1 - died.mean())
    return (
        f"censored {censored:.0%}: p below .05 in {np.mean(found):.3f} of {draws} draws; "
        f"largest distance of a tenth from .1 in the mean {np.mean(apart):.4f}"
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=100)
    draws = parser.parse_args().draws
    print(f"level {LEVEL}, {draws} calibration cohorts of {CALIBRATION} patients, {MANY:,} test patients\n")
    head = f"{'kind':15} {'within':8} {'group':16} {'tested':>7} {'own':6} {'error':6} {'one threshold for all'}"
    print(head, flush=True)
    for seed, kind in enumerate(KINDS):
        print("\n".join(coverage_of(kind, draws, seed)), flush=True)
    print("\nD-calibration under the true model")
    for seed, waiting in enumerate((1e9, 15.0)):
        print(uniform_of(draws, waiting, seed), flush=True)


if __name__ == "__main__":
    main()
