"""What fine-tuning adds to a merge: `lego-fuse` against `lego-merge` on TCGA, breast-subtype and synthetic cohorts.

    python benchmarks/fuse.py [--data ../shared/data] [--out benchmarks/results/fuse.jsonl] [cohort ...]
    python benchmarks/fuse.py --table    writes the part of docs/benchmarks.md

The outer folds of one repeat (the given ones where a cohort prescribes them, else five), seed 0, nothing selected: each
recipe as it stands. A difference is the mean over folds of the primary metric; its interval is a bootstrap of patients
within folds, the same draw for both sides, conditional on the fitted models. A finished cohort is one line of `--out`
and is not run again; the fits of an unfinished one are kept in `--work`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402

import chiasm  # noqa: E402
from chiasm.evaluation import Protocol  # noqa: E402
from chiasm.evaluation.estimates import percentile_interval  # noqa: E402
from chiasm.evaluation.fits import Context, Task, run_task  # noqa: E402
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_differences, trial_scores  # noqa: E402
from chiasm.evaluation.protocol import plan  # noqa: E402
from chiasm.evaluation.run import usable  # noqa: E402
from chiasm.metrics.scores import PRIMARY  # noqa: E402
from chiasm.recipes.registry import make_recipe  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

REAL = ("breast-subtype", "tcga-blca", "tcga-brca", "tcga-gbmlgg", "tcga-luad", "tcga-ucec")
SYNTHETIC = tuple(
    f"{shape}:{kind}:{patients}"
    for kind, patients in (("classification", 200), ("survival", 300))
    for shape in ("redundant", "unique", "complementary", "xor", "noise-modality")
)
MERGE = "lego-merge"
RECIPES = (MERGE, "lego-fuse", "lego-fuse:mode=weave")
DRAWS = 1_000
NAME = "fuse"
INTRODUCTION = """## What fine-tuning adds to a merge

`python benchmarks/fuse.py`, its results in `benchmarks/results/fuse.jsonl`; this part of the page is written by
`--table`. `lego-merge`, and `lego-fuse` less it, on the outer folds of one repeat: the primary metric, mean over folds,
with 95 % bootstrap intervals, conditional on the fitted models. Synthetic cohorts are named `shape:target:patients`.
Seconds are of all recipes and folds on one thread of a busy machine, and compare nothing.
"""


def main() -> None:
    torch.set_num_threads(1)
    run(__doc__, NAME, (*REAL[:1], *SYNTHETIC, *REAL[1:]), compared, write_part)


def cohort_of(name: str, data: Path) -> chiasm.Cohort:
    """A cohort of `data`, or a synthetic one, `shape:target:patients`."""
    if ":" not in name:
        return chiasm.open_cohort(data / name / "cohort.toml")
    shape, kind, patients = name.split(":")
    return chiasm.synthetic_cohort(shape, int(patients), target=kind, seed=0)


@dataclass(frozen=True)
class Fitted:
    """What recipes predicted on the outer folds of a cohort.

    Args:
        cohort: the patients who are used, encoded.
        folds: the tested patients of each fold, with their outcomes.
        frames: recipe to its predictions, fold by fold.
        fits: recipe to the seconds of its fits, and the most parameters that one has trained.
        searches: recipe that is tuned to its search in each fold.
    """

    cohort: chiasm.Cohort
    folds: list[TestFold]
    frames: dict[str, list[Any]]
    fits: dict[str, tuple[float, int]]
    searches: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def draws(self) -> Any:
        """Bootstrap draws of patients within folds, the same for every recipe."""
        return patient_draws(self.folds, len(self.cohort), DRAWS, 0)


def fitted(cohort: chiasm.Cohort, names: Sequence[str], work: Path) -> Fitted:
    """Fit recipes on the outer folds of one repeat, each as it stands; finished fits are kept in `work`."""
    cohort, _ = usable(chiasm.encode(cohort, jobs=1).cohort)
    recipes = tuple(make_recipe(recipe) for recipe in names)
    context = Context(cohort, recipes, 0, "cpu", work, time.perf_counter)
    frames: dict[str, list[Any]] = {recipe: [] for recipe in names}
    seconds, trained = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    folds, searches = [], dict[str, list[dict[str, Any]]]()
    for split in plan(cohort, Protocol(repeats=1), 0):
        for fit in run_task(context, Task(split, tuple(range(len(recipes))))):
            frames[fit.recipe].append(fit.frame)
            seconds[fit.recipe] += fit.seconds
            if fit.tuning is not None:
                searches.setdefault(fit.recipe, []).append(fit.tuning)
            trained[fit.recipe] = max(trained[fit.recipe], fit.trained_parameters)
        groups = None if cohort.group is None else cohort.group[split.test]
        outcome = cohort.outcome
        folds.append(
            TestFold(split.repeat, split.fold, split.test, outcome.take(split.test), outcome.take(split.train), groups)
        )
    return Fitted(cohort, folds, frames, {name: (seconds[name], trained[name]) for name in names}, searches)


def compared(name: str, data: Path, work: Path, names: Sequence[str] = RECIPES) -> dict[str, Any]:
    """Fit recipes on the outer folds of a cohort, and hold all against the first: a line of the results."""
    start, base = time.process_time(), names[0]
    found = fitted(cohort_of(name, data), names, work)
    kind, classes, draws = found.cohort.target.kind, found.cohort.target.names, found.draws()
    of_each = trial_scores(kind, found.folds, found.frames[base], classes, draws, [PRIMARY[kind]])[PRIMARY[kind]]
    row = {"cohort": name, "metric": PRIMARY[kind], "patients": len(found.cohort), base: round(float(of_each.mean), 4)}
    for recipe in names[1:]:
        points, drawn = trial_differences(kind, found.folds, found.frames[recipe], found.frames[base], classes, draws)
        low, high = percentile_interval(drawn)
        row[recipe] = [round(float(value), 4) for value in (np.mean(points), low, high)]
    return {**row, "cpu": round(time.process_time() - start)}


def difference_table(
    rows: Mapping[str, Mapping[str, Any]], every: Iterable[str], names: Sequence[str] = RECIPES
) -> list[str]:
    """Lines of a table: the first recipe's metric, and what the others differ by, with intervals."""
    lines = [f"| cohort | patients | metric | {' | '.join(names)} | CPU s |", "|---" * (4 + len(names)) + "|"]
    for name in (name for name in every if name in rows):
        row = rows[name]
        cells = [f"{point:+.3f} ({low:+.3f} to {high:+.3f})" for point, low, high in (row[own] for own in names[1:])]
        first = [name, str(row["patients"]), row["metric"], f"{row[names[0]]:.3f}"]
        lines.append(f"| {' | '.join([*first, *cells, str(row['cpu'])])} |")
    return lines


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows, every = rows_of(results), [*REAL, *SYNTHETIC]
    apart = [row[own] for row in rows.values() for own in RECIPES[1:]]
    below, above = sum(high < 0 for _, _, high in apart), sum(low > 0 for _, low, _ in apart)
    lines = [INTRODUCTION, *difference_table(rows, every)]
    lines += ["", f"Of {len(apart)} intervals {below} lie below zero and {above} above.", *not_run(every, rows)]
    return part(page, NAME, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
