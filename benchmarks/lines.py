"""What the recipes of statisticians reach on TCGA, and where it comes from.

    python benchmarks/lines.py [--data ../shared/data] [--out benchmarks/results/lines.jsonl] [cohort ...]
    python benchmarks/lines.py --table    writes the part of docs/benchmarks.md

For each cohort one trial on the given folds, seed 0, with the other four as sources; the rules of every recipe stood
before. In each fold the combined recipe with the best score on inner folds is picked; the same once more without those
of one idea, and of what is built on it. Harrell's C, mean over folds; the difference to ridge Cox (`ridge_cox.py`
beside the data) has a bootstrap interval of patients within folds, the same draw for both sides, conditional on the
fitted models. A finished cohort is one line of `--out` and is not run again; an unfinished trial is resumed from
`--work`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402

import chiasm  # noqa: E402
from chiasm.evaluation.estimates import percentile_interval  # noqa: E402
from chiasm.evaluation.intervals import trial_differences, trial_scores  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402
from tcga import COHORTS, load_ridge, pick, ridge_frames  # noqa: E402

RECIPES = (
    *("late-fusion", "stacked-fusion", "early-fusion", "multi-ridge", "priority-lasso"),
    *("boosted-trees", "block-forest", "ensemble", "transfer"),
)
WITHOUT = {
    "all": (),
    "without block penalties": ("multi-ridge", "priority-lasso", "ensemble", "transfer"),
    "without borrowing": ("transfer",),
    "without the ensemble": ("ensemble",),
    "without trees": ("boosted-trees", "block-forest"),
    "without all of these": ("multi-ridge", "priority-lasso", "boosted-trees", "block-forest", "ensemble", "transfer"),
}
SLOPE = "calibration_slope"
NAME = "lines"
INTRODUCTION = """## What block penalties, borrowed strength and trees reach

`python benchmarks/lines.py`, its results in `benchmarks/results/lines.jsonl`; this part of the page is written by
`--table`. Harrell's C on the given folds of the five TCGA cohorts, each with the other four as sources of `transfer`;
"picked" is the combined recipe that inner folds like best in each outer fold, then the same without those of one idea
and of what is built on it. The difference to ridge Cox on the same folds has a 95 % bootstrap interval, conditional on
the fitted models. Slopes are of calibration, mean over the horizons; seconds are those of all fits on outer folds,
inner selection included, by the clock of a busy machine on one thread.
"""


def main() -> None:
    run(__doc__, NAME, COHORTS, reached, write_part)


def reached(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Evaluate the recipes on a cohort: a line of the results."""
    start = time.process_time()
    sources = [data / other / "cohort.toml" for other in COHORTS if other != name]
    manifest = data / name / "cohort.toml"
    trial = chiasm.evaluate(manifest, list(RECIPES), sources=sources, seed=0, out=work, resume=True, jobs=1)
    rows = {row["name"]: row for row in trial.document["recipes"]}
    ridge = ridge_frames(trial, data / name, load_ridge(data / "ridge_cox.py"))
    folds = list(trial.folds.values())
    result: dict[str, Any] = {"cohort": name, "patients": int(trial.document["cohort"]["patients"])}
    result["ridge Cox"] = mean_of(trial, ridge)
    result["recipes"] = {
        own: {"mean": round(row["mean"], 4), "slope": slope_of(row), "seconds": round(row["seconds"], 1)}
        for own, row in rows.items()
    }
    result["picked"] = {}
    for way, left in WITHOUT.items():
        names = [own for own in RECIPES if own in rows and own not in left]
        picks = picked(rows, names, list(trial.folds))
        frames = [trial.frames[own][key] for own, key in zip(picks, trial.folds, strict=True)]
        points, drawn = trial_differences(trial.kind, folds, frames, ridge, (), trial.draws)
        low, high = percentile_interval(drawn)
        result["picked"][way] = {
            "mean": mean_of(trial, frames),
            "picks": picks,
            "beside ridge Cox": [round(float(value), 4) for value in (np.mean(points), low, high)],
        }
    return {**result, "verdict": trial.verdict.sentence, "cpu": round(time.process_time() - start)}


def picked(rows: dict[str, Any], names: Sequence[str], keys: Sequence[tuple[int, str]]) -> list[str]:
    """Each outer fold's recipe with the best score on inner folds."""
    inner = {
        (name, fold["repeat"], fold["fold"]): fold["inner"]
        for name in names
        for fold in rows[name]["folds"]
        if fold["inner"] is not None
    }
    return [pick(names, inner, key) for key in keys]


def mean_of(trial: chiasm.Trial, frames: Sequence[Any]) -> float:
    """Harrell's C of predictions, mean over folds."""
    found = trial_scores("survival", list(trial.folds.values()), frames, (), trial.draws, ["harrell_c"])
    return round(float(found["harrell_c"].mean), 4)


def slope_of(row: dict[str, Any]) -> float | None:
    """Calibration slope, mean over the horizons that have one."""
    found = [own["mean"] for key, own in row["metrics"].items() if key.startswith(SLOPE) and own["mean"] is not None]
    return round(float(np.mean(found)), 3) if found else None


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    there = [name for name in COHORTS if name in rows]
    heads = f"| | {' | '.join(there)} | mean |", "|---" * (2 + len(there)) + "|"
    lines = [*heads]

    def line(name: str, values: Sequence[float | None], digits: int = 3) -> str:
        cells = ["-" if value is None else f"{value:.{digits}f}" for value in values]
        known = [value for value in values if value is not None]
        return f"| {name} | {' | '.join(cells)} | {np.mean(known) if known else math.nan:.{digits}f} |"

    def has(own: str, what: str) -> bool:
        return any(rows[name]["recipes"].get(own, {}).get(what) for name in there)

    lines.append(line("ridge Cox", [rows[name]["ridge Cox"] for name in there]))
    every = sorted({own for row in rows.values() for own in row["recipes"]})
    for own in every:
        lines.append(line(f"`{own}`", [rows[name]["recipes"].get(own, {}).get("mean") for name in there]))
    for way in WITHOUT:
        lines.append(line(f"picked, {way}", [rows[name]["picked"][way]["mean"] for name in there]))
    lines += ["", "Picked less ridge Cox, and what was picked:", ""]
    for name in there:
        own = rows[name]["picked"]["all"]
        point, low, high = own["beside ridge Cox"]
        lines.append(f"- {name}: {point:+.3f} ({low:+.3f} to {high:+.3f}); {', '.join(own['picks'])}")
    lines += ["", "Calibration slopes:", "", *heads]
    for own in (own for own in every if has(own, "slope")):
        lines.append(line(f"`{own}`", [rows[name]["recipes"].get(own, {}).get("slope") for name in there], 2))
    lines += ["", "Seconds of the fits on outer folds:", "", *heads]
    for own in (own for own in every if has(own, "seconds")):
        lines.append(line(f"`{own}`", [rows[name]["recipes"].get(own, {}).get("seconds") for name in there], 1))
    return part(page, NAME, "\n".join([INTRODUCTION, *lines, *not_run(COHORTS, rows)]) + "\n")


if __name__ == "__main__":
    main()
