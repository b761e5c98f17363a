"""Boxes on smears of blood: what recipes find of each kind of cell, and how many they say there are.

    python benchmarks/detection.py [--data ../shared/data] [--out benchmarks/results/detection.jsonl] [line ...]
    python benchmarks/detection.py --table    writes the part of docs/benchmarks.md

Three outer folds of one repeat, seed 0, each recipe as it is named, nothing selected; the settings of `centres` are
those of its first run, on a quarter of the smears. Average precision is COCO's; intervals are bootstraps of smears
within folds, conditional on the fitted models. The line `crops` cuts the boxes out, tells their cells by single:crop,
and counts the smears that are told rightly. A finished line is not run again; finished fits are kept in `--work`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

import chiasm  # noqa: E402
from chiasm.evaluation import Protocol  # noqa: E402
from chiasm.evaluation.estimates import percentile_interval  # noqa: E402
from chiasm.evaluation.fits import Context, Task, run_task  # noqa: E402
from chiasm.evaluation.found import label_estimates  # noqa: E402
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_differences, trial_scores  # noqa: E402
from chiasm.evaluation.protocol import plan  # noqa: E402
from chiasm.evaluation.run import usable  # noqa: E402
from chiasm.metrics.grouped import MEASURES  # noqa: E402
from chiasm.recipes.registry import make_recipe  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

LABELS = ("RBC", "WBC", "Platelets")
LINES = {
    "null": "",
    "single:image": "single:image",
    "centres": "centres:flips=all,epochs=40,learning_rate=0.004",
    "rt-detr": "detector:flips=all,epochs=40",
    "yolos": "detector:network=yolos,flips=all,epochs=40",
}
"""Line to its recipe; `null` needs none."""
DRAWS, SIZE = 1_000, 128
CROPS, OF_CROPS = "crops", ("single:crop,models=linear", "presence")
NAME = "detection"
MEANS = {"map": "mAP .50:.95", "map_50": "mAP .50", "count_error": "error of the number", "count_bias": "bias"}
"""Metrics of all labels, in the table's order."""
INTRODUCTION = f"""## Boxes on smears of blood

`python benchmarks/detection.py`, its results in `benchmarks/results/detection.jsonl`; this part of the page is written
by `--table`. 364 smears of `blood-cells-bccd`, resized to {SIZE} x {SIZE} pixels, three outer folds, everything
trained from nothing within each fold. `null` draws in every smear what training smears have on average;
`single:image` is the usual search of linear models and trees on the patches, which says how many cells there are and
draws none. Means over folds, with 95 % bootstrap intervals of smears; two smears may be of one patient, which nobody
can tell. The settings of `centres` are those of its first run, which was scored on a quarter of these smears: they were
not chosen by any figure here, but the smears were not all unseen.
"""


def main() -> None:
    torch.set_num_threads(1)
    run(__doc__, NAME, (*LINES, CROPS), line_of, write_part)


def line_of(line: str, data: Path, work: Path) -> dict[str, Any]:
    """A line of the results: boxes, or crops."""
    return (crops if line == CROPS else one)(line, data, work)


def cohort_of(data: Path, work: Path) -> chiasm.Cohort:
    """The smears and their files of boxes, copied to `work` beside a manifest."""
    source = data / "wings" / "blood-cells-bccd"
    work.mkdir(parents=True, exist_ok=True)
    for folder in ("JPEGImages", "Annotations"):
        if not (work / folder).exists():
            shutil.copytree(source / folder, work / folder)
    ids = sorted(own.stem for own in (work / "Annotations").glob("*.xml"))
    pd.DataFrame({"id": ids, "boxes": [f"Annotations/{own}.xml" for own in ids]}).to_csv(
        work / "smears.csv", index=False
    )
    (work / "cohort.toml").write_text(
        f"""name = "blood cells"
[patients]
table = "smears.csv"
id = "id"
[target]
kind = "boxes"
column = "boxes"
labels = ["RBC", "WBC", "Platelets"]
[modalities.image]
kind = "image"
path = "JPEGImages/{{id}}.jpg"
encoder = "patches:size={SIZE},patch=16,channels=3"
""",
        encoding="utf-8",
    )
    return chiasm.open_cohort(work / "cohort.toml")


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Fit a line's recipe on the outer folds, and score what it finds: a line of the results."""
    start, recipe = time.process_time(), LINES[line]
    cohort, _ = usable(chiasm.encode(cohort_of(data, work.parent / "cohort"), jobs=1).cohort)
    recipes = (make_recipe(recipe),) if recipe else ()
    context = Context(cohort, recipes, 0, "cpu", work, time.perf_counter)
    folds, frames, nulls, parameters = list[TestFold](), list[pd.DataFrame](), list[pd.DataFrame](), 0
    for split in plan(cohort, Protocol(folds=3, repeats=1), 0):
        assert cohort.outcome is not None and cohort.target is not None
        test, train = cohort.outcome.take(split.test), cohort.outcome.take(split.train)
        folds.append(TestFold(split.repeat, split.fold, split.test, test, train))
        nulls.append(cohort.target.prior_frame(train, len(split.test), LABELS))
        for fit in run_task(context, Task(split, (0,))) if recipes else ():
            frames.append(fit.frame)
            parameters = max(parameters, fit.trained_parameters)
    draws = patient_draws(folds, len(cohort), DRAWS, 0)
    said = frames or nulls
    whole = trial_scores("boxes", folds, said, LABELS, draws, list(MEANS))
    row: dict[str, Any] = {"cohort": line, "recipe": recipe or line, "smears": len(cohort), "parameters": parameters}
    row |= {name: rounded(own.mean, own.low, own.high) for name, own in whole.items()}
    if frames:
        points, drawn = trial_differences("boxes", folds, frames, nulls, LABELS, draws)
        row["less_null"] = rounded(float(np.mean(points)), *percentile_interval(drawn))
    for label, measures in zip(LABELS, label_estimates("boxes", folds, said, LABELS, draws), strict=True):
        row[label] = {name: rounded(own.mean, own.low, own.high) for name, own in measures.items()}
    return {**row, "cpu": round(time.process_time() - start)}


def crops(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Cut out the boxes, tell the cell of each crop, and count the smears of which all or most crops are right."""
    start = time.process_time()
    made = chiasm.crops(cohort_of(data, work.parent / "cohort"), work / "cohort")
    cohort = chiasm.open_cohort(work / "cohort" / "cohort.toml")
    protocol = Protocol(folds=3, repeats=1, draws=DRAWS)
    trial = chiasm.evaluate(cohort, [OF_CROPS[0]], protocol, out=work / "run", resume=True, jobs=1)
    right, table = chiasm.patients_right(trial).set_index("recipe"), trial.table().set_index("recipe")
    row: dict[str, Any] = {"cohort": line, "crops": len(made.table), "smears": made.table["image"].nunique()}
    for recipe in (*OF_CROPS, "null"):
        row[recipe] = {"auroc": rounded(*table.loc[recipe, ["mean", "low", "high"]])}
        for measure in MEASURES:
            row[recipe][measure] = rounded(*(right.loc[recipe, measure + end] for end in ("", "_low", "_high")))
    return {**row, "cpu": round(time.process_time() - start)}


def rounded(*values: float) -> list[float]:
    """The numbers to four digits behind the point."""
    return [round(float(own), 4) for own in values]


def told(three: list[float]) -> str:
    """A mean with its interval."""
    return f"{three[0]:.3f} ({three[1]:.3f} to {three[2]:.3f})"


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = [
        INTRODUCTION,
        f"| recipe | {' | '.join(MEANS.values())} | weights |",
        "|---" * (2 + len(MEANS)) + "|",
    ]
    for row in (rows[own] for own in LINES if own in rows):
        cells = [f"`{row['recipe']}`", *(told(row[own]) for own in MEANS), f"{row['parameters']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| recipe | cell | average precision | at .50 | error of the number | bias |",
        "|---|---|---|---|---|---|",
    ]
    for row in (rows[own] for own in LINES if own in rows):
        lines += [f"| `{row['recipe']}` | {own} | {' | '.join(map(told, row[own].values()))} |" for own in LABELS]
    lines += ["", *(sentence(rows[own]) for own in LINES if "less_null" in rows.get(own, {})), *not_run(LINES, rows)]
    lines += crop_lines(rows[CROPS]) if CROPS in rows else ["", "The crops were not run."]
    return part(page, NAME, "\n".join(lines) + "\n")


def crop_lines(row: Mapping[str, Any]) -> list[str]:
    """The table of what is told of crops, crop by crop and smear by smear."""
    head = ("AUROC of crops", "every crop right", "more than half right", "share right")
    cut_out = f"The {row['crops']:,} boxes cut out of {row['smears']:,} smears (`chiasm crops`)"
    lines = ["", f"{cut_out}, the crops of a smear in one fold."]
    lines += ["", f"| recipe | {' | '.join(head)} |", "|---" * 5 + "|"]
    for own in (*OF_CROPS, "null"):
        lines.append(f"| `{own}` | {' | '.join(told(row[own][name]) for name in ('auroc', *MEASURES))} |")
    said = f'Processor time: {row["cpu"]:,} s. "Every crop right" counts smears: from patient to patient.'
    return [*lines, "", said]


def sentence(row: Mapping[str, Any]) -> str:
    """Say whether a recipe finds more than the null."""
    middle, low, high = row["less_null"]
    finds = "finds more than" if low > 0 else "finds less than" if high < 0 else "cannot be told from"
    return f"- `{row['recipe']}` {finds} `null`: mAP {middle:+.3f} ({low:+.3f} to {high:+.3f})."


if __name__ == "__main__":
    main()
