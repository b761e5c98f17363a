"""Fine-Gray beside the causes' own hazards, on stays in intensive care that end by death or by discharge.

    python benchmarks/competing.py [--data ../shared/data] [--out benchmarks/results/competing.jsonl] [cohort ...]
    python benchmarks/competing.py --table    writes the part of docs/benchmarks.md

physionet2012: death in hospital within 30 days from the first 48 hours, discharge alive as the event that rules it out
(`wings.physionet2012_stays` says who is left out), on `STAYS` stays that are drawn once, five folds of one repeat.
`early-fusion` is one ridge of the hazard of each cause, `fine-gray` of the hazard of its subdistribution, on the same
columns; beside them each modality alone, and each of the two on the events alone. The contrast was named before a fold
was scored.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402

import chiasm  # noqa: E402
from chiasm.metrics.scores import METRICS  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402
from wings import opened  # noqa: E402

COHORT, STAYS = "physionet2012-stays", 600
RECIPES = ("early-fusion", "fine-gray", "fine-gray:modality=events", "late-fusion")
CONTRAST = ("fine-gray", "early-fusion")
SHOWN = ("wolbers_c", "integrated_brier", "ipa", "auc_t2", "calibration_slope_t2", "observed_expected_t2")
NAME = "competing"
INTRODUCTION = """## Death or discharge: Fine-Gray on real stays

`python benchmarks/competing.py`, its results in `benchmarks/results/competing.jsonl`; this part of the page is written
by `--table`. Death in hospital within 30 days by what is known after two days in intensive care (PhysioNet 2012), with
discharge alive as the event that rules it out; 95 % intervals, given the fitted models. `early-fusion` has a ridge of
the hazard of each cause, `fine-gray` of the hazard of its subdistribution, on the same columns.
"""


def main() -> None:
    run(__doc__, NAME, (COHORT,), judged, write_part)


def judged(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Run the trial: a line of the results."""
    every = opened(name, data, work)
    drawn = np.random.default_rng(0).permutation(len(every))[:STAYS]
    cohort = every.subset(np.sort(drawn))
    start = time.process_time()
    folder = work / "run"
    trial = chiasm.evaluate(
        cohort, RECIPES, chiasm.Protocol(repeats=1), out=folder, jobs=1, contrasts=[CONTRAST], resume=folder.exists()
    )
    assert cohort.outcome is not None and cohort.outcome.cause is not None and trial.verdict is not None
    counts = np.bincount(cohort.outcome.cause, minlength=3).tolist()
    (contrast,) = trial.document["contrasts"]
    return {
        "cohort": name,
        "of": len(every),
        "patients": len(cohort),
        "ends": dict(zip(("followed to 30 days", "death", "discharge"), counts, strict=True)),
        "recipes": {row["name"]: row["metrics"] for row in trial.document["recipes"]},
        "verdict": trial.verdict.sentence,
        "contrast": contrast,
        "cpu seconds": round(time.process_time() - start),
    }


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = [INTRODUCTION]
    for row in rows.values():
        ends = ", ".join(f"{n} {end}" for end, n in row["ends"].items())
        lines.append(f"{row['patients']} of {row['of']} stays, drawn once: {ends}. {row['cpu seconds']} CPU seconds.\n")
        labels = {own.id: own.label for own in METRICS["competing"]}
        lines += [f"| recipe | {' | '.join(labels[own] for own in SHOWN)} |", f"|---|{'---|' * len(SHOWN)}"]
        lines += [
            f"| `{recipe}` | {' | '.join(told(scores.get(own)) for own in SHOWN)} |"
            for recipe, scores in row["recipes"].items()
        ]
        lines += ["", row["verdict"], "", row["contrast"]["sentence"]]
    return part(page, NAME, "\n".join([*lines, *not_run((COHORT,), rows), ""]))


def told(own: dict[str, float | None] | None) -> str:
    if own is None or own["mean"] is None:
        return "-"
    ends = "" if own.get("low") is None else f" ({own['low']:.3f} to {own['high']:.3f})"
    return f"{own['mean']:.3f}{ends}"


if __name__ == "__main__":
    main()
