"""Records of events in two small cohorts: a network that first learned what comes next, from scratch, and summaries.

    python benchmarks/few_records.py [--data ../shared/data] [pbc-visits eicu-day-one]
    python benchmarks/few_records.py --table    writes the part of docs/benchmarks.md

Events alone, five folds, seed 0; persons of eicu-day-one stay on one side. `ehr-mamba` pretrained has in
each fold first learned the next event of the training patients, in ten passes; from scratch it is the same network
without. All options are the recipe's own but for one layer, and stood before anything was tested. Beside it stand a
linear model and boosted trees on summaries of the same events, and `irregular-ehr`. A finished cohort is one line.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import torch  # noqa: E402

import chiasm  # noqa: E402
from chiasm.metrics.scores import PRIMARY  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402
from tested import difference, scores_of, tested  # noqa: E402

COHORTS = {"pbc-visits": "visits", "eicu-day-one": "events"}  # and the modality of events
RECIPES = {
    "linear on summaries": "single:{events},models=linear",
    "boosting on summaries": "boosted-trees:modality={events}",
    "irregular-ehr": "irregular-ehr:modality={events}",
    "ehr-mamba from scratch": "ehr-mamba:modality={events},depth=1,base_epochs=0",
    "ehr-mamba pretrained": "ehr-mamba:modality={events},depth=1,base_epochs=10",
}
OURS = "ehr-mamba pretrained"
NAME = "few_records"
INTRODUCTION = """## Records of events in two small cohorts

`python benchmarks/few_records.py`, its results in `benchmarks/results/few_records.jsonl`; this part of the page is
written by `--table`. Survival after a year of visits (pbc-visits) and a stay of more than three days (eicu-day-one)
from events alone, five folds, with 95 % bootstrap intervals, conditional on the fitted models.
`pretrained` has in each fold first learned what comes next in the records of the training patients.
"""


def one(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Test all recipes on the records of a cohort: a line of the results."""
    start, events = time.process_time(), COHORTS[name]
    cohort = chiasm.open_cohort(data / name / "cohort.toml").with_modalities([events])
    cohort = chiasm.encode(cohort, jobs=1).cohort
    recipes = {label: spec.format(events=events) for label, spec in RECIPES.items()}
    trial = tested(cohort, list(recipes.values()), chiasm.Protocol(folds=5, repeats=1))
    metric = PRIMARY[trial.kind]
    return {
        "cohort": name,
        "patients": len(cohort),
        "metric": metric,
        "recipes": recipes,
        "values": {label: scores_of(trial, spec, [metric])[metric] for label, spec in recipes.items()},
        "differences": {
            label: difference(trial, recipes[OURS], spec, metric) for label, spec in recipes.items() if label != OURS
        },
        "cpu": round(time.process_time() - start),
    }


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    rows = {name: rows[name] for name in COHORTS if name in rows}
    heads = [f"{name}, {row['metric']}, {row['patients']} patients" for name, row in rows.items()]
    lines = [INTRODUCTION, "| | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for label in RECIPES:
        cells = [figure(row["values"][label], "{:.3f}") for row in rows.values()]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines.append("")
    for name, row in rows.items():
        best = max(row["values"], key=lambda label: row["values"][label]["mean"] or 0.0)
        lines.append(f"- {name}: the highest is {best}. Pretrained less the others:")
        for label, value in row["differences"].items():
            told = value["low"] is not None
            verdict = (
                "more" if told and value["low"] > 0 else "less" if told and value["high"] < 0 else "not told apart"
            )
            lines.append(f"  {label} {figure(value, '{:+.3f}')}, {verdict};")
        lines[-1] = lines[-1][:-1] + "."
    return part(page, NAME, "\n".join([*lines, *not_run(COHORTS, rows)]) + "\n")


def figure(value: dict[str, float | None], form: str) -> str:
    """A number with its interval."""
    if value["mean"] is None:
        return "not estimable"
    ends = "" if value["low"] is None else f" ({form.format(value['low'])} to {form.format(value['high'])})"
    return form.format(value["mean"]) + ends


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(__doc__, NAME, list(COHORTS), one, write_part)
