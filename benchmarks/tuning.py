"""Does tuning pay? A sparse linear model and a small network as they stand, and tuned within each training fold.

    python benchmarks/tuning.py [--data ../shared/data] [--out benchmarks/results/tuning.jsonl] [cohort ...]
    python benchmarks/tuning.py --table    writes the part of docs/benchmarks.md

The outer folds of one repeat (the given ones where a cohort prescribes them, else five), seed 0. A tuned recipe picks
its setting on three inner folds of each training set; the space was written down before any was run. `fuse.py` says
how the intervals are made. A finished cohort is one line of `--out` and is not run again; the fits of an unfinished
one, and the searches within them, are kept in `--work`.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import trial_differences, trial_scores
from chiasm.fitting.tuning.record import mean_of
from chiasm.linear.losses import LOSSES
from chiasm.metrics.scores import PRIMARY
from fuse import cohort_of, fitted
from pages import not_run, part, rows_of, run

COHORTS = ("breast-subtype", "pbc-visits", "tcga-luad")
LINEAR = ("early-fusion", "early-fusion:l1_ratio=[0.1;0.5;1.0]")
NETWORK = ("healnet", "healnet:learning_rate=[0.0005;0.001;0.002;0.005]")
HEADS = (
    "cohort", "patients", "metric", "recipe", "as it stands", "tuned less it", "picked in folds", "flattery",
    "times as long",
)  # fmt: skip
NAME = "tuning"
INTRODUCTION = """## Does tuning pay?

`python benchmarks/tuning.py`, its results in `benchmarks/results/tuning.jsonl`; this part of the page is written by
`--table`. A sparse linear model and a small network as they stand, and tuned within each training fold on three inner
folds ([tuning.md](tuning.md)), on the outer folds of one repeat: the primary metric, mean over folds, and what tuning
adds to it, with 95 % bootstrap intervals, conditional on the fitted models. The linear model is left out where it is a
ridge, which has no `l1_ratio`, as of survival. "Flattery" is the mean inner score of the
picked settings less their score on the test folds. Times as long: of the fits of the tuned recipe over those of the
plain one, on one thread of a busy machine.
"""


def main() -> None:
    torch.set_num_threads(1)
    run(__doc__, NAME, COHORTS, compared, write_part)


def compared(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Fit each recipe as it stands and tuned on the outer folds of a cohort: a line of the results."""
    start, cohort = time.process_time(), cohort_of(name, data)
    pairs = (LINEAR, NETWORK) if LOSSES[cohort.target.kind].has_elastic_net else (NETWORK,)
    found = fitted(cohort, [own for pair in pairs for own in pair], work)
    kind, classes, draws = found.cohort.target.kind, found.cohort.target.names, found.draws()
    metric = PRIMARY[kind]
    row: dict[str, Any] = {"cohort": name, "metric": metric, "patients": len(found.cohort), "recipes": []}
    for plain, tuned in pairs:
        mean, after = (
            float(trial_scores(kind, found.folds, found.frames[own], classes, draws, [metric])[metric].mean)
            for own in (plain, tuned)
        )
        points, drawn = trial_differences(kind, found.folds, found.frames[tuned], found.frames[plain], classes, draws)
        searches = found.searches[tuned]
        picked = [search["settings"][search["picked"]] for search in searches]
        row["recipes"].append(
            {
                "plain": plain, "tuned": tuned, "mean": round(mean, 4),
                "gain": [round(float(value), 4) for value in (np.mean(points), *percentile_interval(drawn))],
                "picked": Counter(str(next(iter(own["options"].values()))) for own in picked),
                "flattery": round(float(np.mean([mean_of(own["scores"]) for own in picked])) - after, 4),
                "longer": round(found.fits[tuned][0] / found.fits[plain][0], 1),
            }
        )  # fmt: skip
    return {**row, "cpu": round(time.process_time() - start)}


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = [INTRODUCTION, f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    gains, made = [], [(rows[name], own) for name in COHORTS if name in rows for own in rows[name]["recipes"]]
    for row, own in made:
        point, low, high = own["gain"]
        gains.append((low, high))
        picked = ", ".join(f"{value}: {times}" for value, times in sorted(own["picked"].items()))
        cells = [row["cohort"], str(row["patients"]), row["metric"], f"`{own['tuned']}`", f"{own['mean']:.3f}"]
        cells += [f"{point:+.3f} ({low:+.3f} to {high:+.3f})", picked]
        cells += [f"{own['flattery']:+.3f}", f"{own['longer']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    above, below = sum(low > 0 for low, _ in gains), sum(high < 0 for _, high in gains)
    names = [name for name in COHORTS if name in rows]
    sets = {sum(own["picked"].values()) for _, own in made}
    of = f"one cohort, {names[0]}" if len(names) == 1 else f"{len(names)} cohorts"
    folds = "one test fold" if sets == {1} else "test folds"
    few = ", so that nothing follows of others" if len(names) == 1 else ""
    lines += [
        "",
        f"Of {len(gains)} intervals, of {of}, {above} lie above zero and {below} below, on {folds} each{few}.",
    ]
    return part(page, NAME, "\n".join([*lines, *not_run(COHORTS, rows)]) + "\n")


if __name__ == "__main__":
    main()
