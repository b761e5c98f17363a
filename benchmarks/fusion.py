"""Every recipe that fuses or aligns modalities, beside every baseline, on the same folds, less `late-fusion`.

    python benchmarks/fusion.py [--data ../shared/data] [--out benchmarks/results/fusion.jsonl] [cohort ...]
    python benchmarks/fusion.py --table    writes the part of docs/benchmarks.md

The outer folds of one repeat (the given ones where a cohort prescribes them, else five), seed 0, nothing selected: each
recipe as it stands, where it supports the cohort. A cohort `name/modality=40` lacks that modality in 40 % of those who
have it, drawn at random. Intervals are bootstraps of patients within folds, the same draw for both sides of a
difference, conditional on the fitted models. A finished recipe is one line of `--out` and is not run again; late
fusion, with which each is compared, is kept in `--work`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import chiasm
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import trial_differences, trial_scores
from chiasm.metrics.scores import PRIMARY
from chiasm.recipes.catalogue import ROWS
from chiasm.recipes.registry import make_recipe, supported
from fuse import Fitted, fitted
from pages import PAGE, ROOT, part, results_of
from verdicts.lines import whole_lines
from wings import opened

COHORTS = (
    *("breast-subtype", "tcga-blca", "tcga-luad", "tcga-ucec", "tcga-gbmlgg", "tcga-brca", "pbc-visits"),
    *("single-cell-multiomics", "ptbxl-ecg", "physionet2012", "davis-affinity"),
    *(f"breast-subtype/{modality}={share}" for modality in ("mirna", "mrna") for share in (20, 40, 60)),
)
LATE = "late-fusion"
APART = ("single", "presence", "transfer")  # of one modality, of none, and one that needs a source cohort
FAMILIES = ("baseline", "kernel", "fusion", "merge", "alignment", "missing", "balance")
NAME = "fusion"
INTRODUCTION = """## Ways to fuse and to align, side by side

`python benchmarks/fusion.py`, its results in `benchmarks/results/fusion.jsonl`; this part of the page is written by
`--table`. Every recipe that supports the cohort on the outer folds of one repeat, as it stands: the primary metric,
mean over folds, and less `late-fusion`, with 95 % bootstrap intervals, conditional on the fitted models.
`name/modality=40` is the cohort with that modality removed from 40 % of those who have it. Seconds are of all folds, by
the clock of a busy machine on one thread; parameters are the most that one fold has trained.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=COHORTS)
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=results_of(NAME))
    parser.add_argument("--work", type=Path, default=Path("runs") / NAME)
    parser.add_argument("--recipes", default="", help="only these, separated by commas")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(write_part(options.out, PAGE))
        return
    torch.set_num_threads(1)
    for name in options.cohorts:
        work = options.work / name.replace("/", "-")
        cohort = chiasm.encode(cohort_of(name, options.data, work), jobs=1).cohort
        for recipe in filter(None, options.recipes.split(",")) if options.recipes else recipes_of(cohort):
            done = {(row["cohort"], row["recipe"]) for row in whole_lines(options.out)}
            if (name, recipe) not in done and supported(make_recipe(recipe), cohort):
                row = line_of(name, recipe, cohort, work)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)


def cohort_of(name: str, data: Path, work: Path) -> chiasm.Cohort:
    """Open a cohort; of `name/modality=40` 40 % of those who have the modality lack it."""
    base, _, lacking = name.partition("/")
    cohort = opened(base, data, work)
    if not lacking:
        return cohort
    modality, _, share = lacking.partition("=")
    rows = cohort.rows_of(modality)
    rng = np.random.default_rng(0)
    return cohort.without(modality, rng.permutation(rows)[: round(len(rows) * int(share) / 100)])


def recipes_of(cohort: chiasm.Cohort) -> list[str]:
    """Names of the recipes that support a cohort, late fusion first."""
    rows = [row for row in ROWS.values() if row.family in FAMILIES and row.name not in APART]
    names = dict.fromkeys([LATE, *(name for row in rows for name in row.tried or (row.name,))])
    return [name for name in names if supported(make_recipe(name), cohort)]


def line_of(name: str, recipe: str, cohort: chiasm.Cohort, work: Path) -> dict[str, Any]:
    """Fit a recipe on the outer folds of a cohort, and hold it against late fusion: a line of the results."""
    late = fitted(cohort, [LATE], work / LATE)
    own = late if recipe == LATE else fitted(cohort, [recipe], work / "own" / recipe.replace(":", "-"))
    kind, classes, draws = late.cohort.target.kind, late.cohort.target.names, late.draws()
    primary = PRIMARY[kind]
    score = trial_scores(kind, own.folds, own.frames[recipe], classes, draws, [primary])[primary]
    seconds, trained = own.fits[recipe]
    row = {"cohort": name, "recipe": recipe, "metric": primary, "patients": len(late.cohort)}
    row |= {"score": _rounded(score.mean, score.low, score.high), "seconds": round(seconds, 1), "parameters": trained}
    return row if own is late else {**row, "less_late": difference(own, late, recipe, draws)}


def difference(own: Fitted, late: Fitted, recipe: str, draws: Any) -> list[float]:
    """A recipe less late fusion: mean over folds, and the ends of its interval."""
    kind, classes = late.cohort.target.kind, late.cohort.target.names
    points, drawn = trial_differences(kind, late.folds, own.frames[recipe], late.frames[LATE], classes, draws)
    return _rounded(np.mean(points), *percentile_interval(drawn))


def _rounded(*values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = whole_lines(results)
    found = list(dict.fromkeys(row["cohort"] for row in rows))
    lines = [INTRODUCTION]
    for name in sorted(found, key=COHORTS.index):
        lines += [*table_of([row for row in rows if row["cohort"] == name]), ""]
    apart = [row["less_late"] for row in rows if "less_late" in row]
    below, above = sum(high < 0 for _, _, high in apart), sum(low > 0 for _, low, _ in apart)
    lines.append(
        f"Of {len(apart)} differences {above} have an interval above zero, {below} one below: recipes named under such "
        "a cohort did better, or worse, than late fusion there, and the others are not shown to differ from it."
    )
    missing = [name for name in COHORTS if name not in found]
    lines += ["", f"Not run: {', '.join(missing)}."] if missing else []
    return part(page, NAME, "\n".join(lines) + "\n")


def table_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of one cohort's table, the best first."""
    first = rows[0]
    lines = [
        f"### {first['cohort']}: {first['patients']:,} patients, {first['metric']}",
        "",
        "| recipe | mean | less late-fusion | seconds | parameters |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row["score"][0]):
        mean, low, high = row["score"]
        less = row.get("less_late")
        apart = "" if less is None else f"{less[0]:+.3f} ({less[1]:+.3f} to {less[2]:+.3f})"
        own = f"{row['recipe']} | {mean:.3f} ({low:.3f} to {high:.3f}) | {apart}"
        lines.append(f"| {own} | {row['seconds']:.0f} | {row['parameters']:,} |")
    better = [row["recipe"] for row in rows if "less_late" in row and row["less_late"][1] > 0]
    worse = [row["recipe"] for row in rows if "less_late" in row and row["less_late"][2] < 0]
    lines += ["", f"Better than late fusion: {', '.join(better) or 'none'}. Worse: {', '.join(worse) or 'none'}."]
    return lines


if __name__ == "__main__":
    main()
