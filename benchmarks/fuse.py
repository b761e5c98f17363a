"""What fine-tuning adds to a merge: `lego-fuse` against `lego-merge` on TCGA, breast-subtype and synthetic cohorts.

    python benchmarks/fuse.py [--data ../shared/data] [--out benchmarks/results/fuse.jsonl] [cohort ...]
    python benchmarks/fuse.py --table    writes the part of docs/benchmarks.md

The outer folds of one repeat (the given ones where a cohort prescribes them, else five), seed 0, nothing selected: each
recipe as it stands. A difference is the mean over folds of the primary metric; its interval is a bootstrap of patients
within folds, the same draw for both sides, conditional on the fitted models. A finished cohort is one line of `--out`
and is not run again; the fits of an unfinished one are kept in `--work`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402

import chiasm  # noqa: E402
from chiasm.artifact import write_text  # noqa: E402
from chiasm.evaluation import Protocol  # noqa: E402
from chiasm.evaluation.estimates import percentile_interval  # noqa: E402
from chiasm.evaluation.fits import Context, Task, run_task  # noqa: E402
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_differences, trial_scores  # noqa: E402
from chiasm.evaluation.protocol import plan  # noqa: E402
from chiasm.evaluation.run import usable  # noqa: E402
from chiasm.metrics.scores import PRIMARY  # noqa: E402
from chiasm.recipes.registry import make_recipe  # noqa: E402

REAL = ("breast-subtype", "tcga-blca", "tcga-brca", "tcga-gbmlgg", "tcga-luad", "tcga-ucec")
SYNTHETIC = tuple(
    f"{shape}:{kind}:{patients}"
    for kind, patients in (("classification", 200), ("survival", 300))
    for shape in ("redundant", "unique", "complementary", "xor", "noise-modality")
)
MERGE = "lego-merge"
RECIPES = (MERGE, "lego-fuse", "lego-fuse:mode=weave")
DRAWS = 1_000
RESULTS = Path(__file__).parent / "results" / "fuse.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- fuse: begin -->", "<!-- fuse: end -->"
INTRODUCTION = """## What fine-tuning adds to a merge

`python benchmarks/fuse.py`, its results in `benchmarks/results/fuse.jsonl`; this part of the page is written by
`--table`. `lego-merge`, and `lego-fuse` less it, on the outer folds of one repeat: the primary metric, mean over folds,
with 95 % bootstrap intervals, conditional on the fitted models. Synthetic cohorts are named `shape:target:patients`.
Seconds are of all recipes and folds on one thread of a busy machine, and compare nothing.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=[*REAL[:1], *SYNTHETIC, *REAL[1:]])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=Path("runs/fuse"))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(write_part(options.out, PAGE))
        return
    torch.set_num_threads(1)
    done = {row["cohort"] for row in rows_of(options.out)}
    for name in options.cohorts:
        if name not in done:
            row = compared(name, options.data, options.work / name.replace(":", "-"))
            options.out.parent.mkdir(parents=True, exist_ok=True)
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def cohort_of(name: str, data: Path) -> chiasm.Cohort:
    """A cohort of `data`, or a synthetic one, `shape:target:patients`."""
    if ":" not in name:
        return chiasm.open_cohort(data / name / "cohort.toml")
    shape, kind, patients = name.split(":")
    return chiasm.synthetic_cohort(shape, int(patients), target=kind, seed=0)


def compared(name: str, data: Path, work: Path, names: Sequence[str] = RECIPES) -> dict[str, Any]:
    """Fit recipes on the outer folds of a cohort, and hold all against the first: a line of the results."""
    start, base = time.process_time(), names[0]
    cohort, _ = usable(chiasm.encode(cohort_of(name, data), jobs=1).cohort)
    recipes = tuple(make_recipe(recipe) for recipe in names)
    context = Context(cohort, recipes, 0, "cpu", work, time.perf_counter)
    frames: dict[str, list[Any]] = {recipe: [] for recipe in names}
    folds = []
    for split in plan(cohort, Protocol(repeats=1), 0):
        for fit in run_task(context, Task(split, tuple(range(len(recipes))))):
            frames[fit.recipe].append(fit.frame)
        groups = None if cohort.group is None else cohort.group[split.test]
        outcome = cohort.outcome
        folds.append(
            TestFold(split.repeat, split.fold, split.test, outcome.take(split.test), outcome.take(split.train), groups)
        )
    kind, classes = cohort.target.kind, cohort.target.names
    draws = patient_draws(folds, len(cohort), DRAWS, 0)
    of_each = trial_scores(kind, folds, frames[base], classes, draws, [PRIMARY[kind]])[PRIMARY[kind]]
    row = {"cohort": name, "metric": PRIMARY[kind], "patients": len(cohort), base: round(float(of_each.mean), 4)}
    for recipe in names[1:]:
        points, drawn = trial_differences(kind, folds, frames[recipe], frames[base], classes, draws)
        low, high = percentile_interval(drawn)
        row[recipe] = [round(float(value), 4) for value in (np.mean(points), low, high)]
    return {**row, "cpu": round(time.process_time() - start)}


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The finished cohorts; a line that a killed run left cut is not one."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = {row["cohort"]: row for row in rows_of(results)}
    every = [*REAL, *SYNTHETIC]
    lines = [f"| cohort | patients | metric | {' | '.join(RECIPES)} | CPU s |", "|---" * (4 + len(RECIPES)) + "|"]
    for name in (name for name in every if name in rows):
        row = rows[name]
        cells = [f"{point:+.3f} ({low:+.3f} to {high:+.3f})" for point, low, high in (row[own] for own in RECIPES[1:])]
        lines.append(
            f"| {name} | {row['patients']} | {row['metric']} | {row[MERGE]:.3f} | {' | '.join(cells)} | {row['cpu']} |"
        )
    apart = [row[own] for row in rows.values() for own in RECIPES[1:]]
    below, above = sum(high < 0 for _, _, high in apart), sum(low > 0 for _, low, _ in apart)
    lines += ["", f"Of {len(apart)} intervals {below} lie below zero and {above} above."]
    missing = [name for name in every if name not in rows]
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    text = "\n".join([INTRODUCTION, *lines]) + "\n"
    head, found, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    if not found:
        head, rest = f"{head.rstrip()}\n\n", END
    write_text(page, f"{head}{BEGIN}\n{text}{END}{rest.partition(END)[2] or chr(10)}")
    return text


if __name__ == "__main__":
    main()
