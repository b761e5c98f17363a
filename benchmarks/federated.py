"""Hospitals that share no patient, beside all patients in one place and beside each hospital alone.

    python benchmarks/federated.py [--data ../shared/data] [--out runs/federated] [--jobs 1] [cohort ...]

For each cohort the given folds. Sites of a training set are gathered into three hospitals. `pooled` is HEALNet on all
training patients; `alone-1` to `alone-3` on those of one hospital, `alone-1`, the largest, being the base of every
federation; `flora`, `fedavg` and `zero-pad` go on from it for the same rounds of the same length. Harrell's C within
each test fold, mean of the folds; differences by a bootstrap of patients within folds, the same draw for both sides,
conditional on the fitted models and the one seed. Then what FLoRA's rounds send.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

import chiasm
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import trial_differences
from chiasm.federated.wire import adapter_shapes, to_bytes
from chiasm.recipes.fusion.healnet import HealNetRecipe
from chiasm.recipes.hospitals.federation import Participant
from chiasm.recipes.hospitals.flora import Flora

COHORTS = ("tcga-blca", "tcga-gbmlgg", "tcga-luad")
HOSPITALS = 3
FEDERATIONS = {
    "flora": Flora(hospitals=HOSPITALS, ranks="8/4/2"),
    "flora, one rank": Flora(hospitals=HOSPITALS, ranks="4"),
    "zero-pad": Flora(hospitals=HOSPITALS, ranks="8/4/2", aggregation="zero-pad"),
    "fedavg": Flora(hospitals=HOSPITALS, ranks="4", aggregation="fedavg"),
}


@dataclass(frozen=True)
class Alone:
    """HEALNet on the patients of one hospital, the largest being number one."""

    number: int
    family: ClassVar[str] = "fusion"
    paper: ClassVar[Any] = HealNetRecipe.paper

    @property
    def name(self) -> str:
        return f"alone-{self.number}"

    def supports(self, cohort: chiasm.Cohort) -> None:
        Flora(hospitals=HOSPITALS).supports(cohort)

    def fit(self, cohort: chiasm.Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> Any:
        rows = Flora(hospitals=HOSPITALS).hospital_rows(cohort)[self.number - 1]
        return HealNetRecipe().fit(cohort.subset(rows), seed=seed, checkpoint=checkpoint, device=device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=COHORTS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs/federated"))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    recipes: dict[str, Any] = {"pooled": HealNetRecipe(), **FEDERATIONS}
    recipes |= {f"alone-{k}": Alone(k) for k in range(1, HOSPITALS + 1)}
    for name in options.cohorts:
        start = time.perf_counter()
        cohort = chiasm.open_cohort(options.data / name / "cohort.toml")
        trials = {}  # one each: together their inner folds would be fitted too, to pick the best for a verdict
        for shown, recipe in recipes.items():
            place = options.out / name / shown.replace(", ", "-").replace(" ", "-")
            trials[shown] = chiasm.evaluate(cohort, [recipe], out=place, resume=True, jobs=options.jobs)
        print(f"\n{name}: {len(cohort)} patients, {time.perf_counter() - start:.0f} s")
        print(compared(trials).to_string(), flush=True)
    print(f"\n{name}, all patients, one round of flora:\n{traffic(cohort).to_string()}")


def compared(trials: dict[str, chiasm.Trial]) -> pd.DataFrame:
    """Harrell's C of each, and its difference to the pooled run and to the hospital that made the base."""
    first = trials["pooled"]
    folds = list(first.folds.values())
    frames = {shown: list(next(iter(own.frames.values())).values()) for shown, own in trials.items()}
    rows = {}
    for shown, trial in trials.items():
        (own,) = trial.table().to_dict("records")
        row = {"C": f"{own['mean']:.3f} ({own['low']:.3f} to {own['high']:.3f})", "seconds": f"{own['seconds']:.0f}"}
        for other in ("pooled", "alone-1"):
            points, draws = trial_differences("survival", folds, frames[shown], frames[other], (), first.draws)
            low, high = percentile_interval(draws)
            row[f"less {other}"] = "" if shown == other else f"{np.mean(points):+.3f} ({low:+.3f} to {high:+.3f})"
        rows[shown] = row
    return pd.DataFrame(rows).T


def traffic(cohort: chiasm.Cohort) -> pd.DataFrame:
    """Bytes of tensors to and from each hospital in a round."""
    recipe = FEDERATIONS["flora"]
    parts = recipe.hospital_rows(cohort)
    base = HealNetRecipe(epochs=1).fit(cohort.subset(parts[0]), seed=0)
    plan, ranks = recipe.plan(0), [int(part) for part in recipe.ranks.split("/")]
    members = [Participant(base, cohort.subset(own), plan, rank, "") for own, rank in zip(parts, ranks, strict=True)]
    adapters = [member.train(1) for member in members]
    down = len(to_bytes(plan.put_together(adapters, [member.patients for member in members])))
    numbers = {
        "patients": [len(own) for own in parts],
        "rank": ranks,
        "numbers trained": [sum(a * b for a, b in adapter_shapes(members[0].sites, rank).values()) for rank in ranks],
        "bytes up": [len(to_bytes(adapter)) for adapter in adapters],
        "bytes down": [down] * len(parts),
    }
    return pd.DataFrame(numbers, index=[f"hospital {k}" for k in range(1, len(parts) + 1)])


if __name__ == "__main__":
    main()
