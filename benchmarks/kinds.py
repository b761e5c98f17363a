"""`chiasm evaluate` on cohorts of files, cells and events, against each modality alone and against knowing nothing.

    python benchmarks/kinds.py [--data ../shared/data] [--out runs/kinds] [--jobs 2] [cohort ...]

Knowing nothing scores AUROC .5, R² 0 and C .5. Intervals are those of the trial: a bootstrap of patients, or groups,
within test folds. `davis-affinity` runs on the given split, where the concordance index stands beside DeepDTA's
published .878 (Öztürk et al., Bioinformatics 2018); its test pairs are scored again without those whose drug and
sequence stand together in training, and the cohort is split again so that no drug, or no protein, is on both sides,
since pairs drawn at random share both.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import chiasm
from chiasm.cohort.digests import as_hex
from chiasm.evaluation.estimates import percentile_interval
from chiasm.metrics.scores import score

LINEAR = ("late-fusion", "early-fusion", "stacked-fusion")
NEURAL = ("healnet", "lego-merge", "lego-fuse")
# Cohort -> recipes beside every modality alone. One modality has nothing to fuse.
COHORTS: dict[str, tuple[str, ...]] = {
    "ptbxl-ecg": (*LINEAR, *NEURAL),
    "pbc-visits": (*LINEAR, *NEURAL),
    "eicu-day-one": (*LINEAR, "kron-rls", *NEURAL),
    "pubmedqa": (*LINEAR, "kron-rls", *NEURAL),
    "molecules-bbbp": (),
    "molecules-clintox": (),
    "molecules-delaney": (),
    "chest-xray": (),
    "adrenal-ct": (),
    "davis-affinity": (*LINEAR, "kron-rls"),
}
DEEP_DTA = 0.878
DRAWS = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=list(COHORTS))
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs/kinds"))
    parser.add_argument("--jobs", type=int, default=None)
    options = parser.parse_args()
    rows = []
    for name in options.cohorts:
        start = time.perf_counter()
        found = chiasm.encode(chiasm.open_cohort(options.data / name / "cohort.toml"), jobs=options.jobs)
        encoding = time.perf_counter() - start
        recipes = [*(f"single:{modality}" for modality in found.cohort.modalities), *COHORTS[name]]
        out = options.out / name
        trial = chiasm.evaluate(found.cohort, recipes, out=out, resume=True, jobs=options.jobs)
        own = table_of(name, trial)
        rows += own
        show(own)
        refused = sum(count.refused for count in found.counts.values())
        wall = time.perf_counter() - start
        print(f"  {refused} sources refused; {encoding:.0f} s to encode, {wall / 60:.1f} min in all")
        if trial.verdict is not None:
            print(f"  {trial.verdict.sentence}")
        if name == "davis-affinity":
            davis(found.cohort, trial, options.out, options.jobs)
    print()
    show(rows)


def table_of(name: str, trial: chiasm.Trial) -> list[dict[str, object]]:
    """Every recipe's primary metric with its interval, and the concordance index of a regression."""
    rows = []
    for recipe in trial.document["recipes"]:
        metrics = {recipe["metric"]: recipe["metrics"][recipe["metric"]]}
        if "c_index" in recipe["metrics"]:
            metrics["c_index"] = recipe["metrics"]["c_index"]
        for metric, value in metrics.items():
            nothing = 0.0 if metric == "r2" else 0.5
            rows.append({"cohort": name, "recipe": recipe["name"], "metric": metric, **value, "nothing": nothing})
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """A table on the screen."""
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def davis(cohort: chiasm.Cohort, trial: chiasm.Trial, out: Path, jobs: int | None) -> None:
    """The concordance index beside DeepDTA's, without repeats, and on folds that share no drug or no protein."""
    print(f"  DeepDTA on the given split: C {DEEP_DTA}")
    items = {name: digests(cohort, name) for name in cohort.modalities}
    pair = np.char.add(np.char.add(items["drug"], "|"), items["protein"])
    test = cohort.fold != "train"
    fresh = test & ~np.isin(pair, pair[~test])
    print(f"  {int((test & ~fresh).sum())} of {int(test.sum())} test pairs stand in training with drug and sequence")
    for recipe in ("kron-rls", "stacked-fusion"):
        for what, rows in (("all test pairs", test), ("without the repeats", fresh)):
            print(f"  {recipe}, {what}: C {c_index(trial, cohort, recipe, rows)}")
    for shared, other in (("drug", "protein"), ("protein", "drug")):
        held = replace(cohort, group=items[shared], fold=None)
        own = chiasm.evaluate(
            held, [f"single:{other}", "kron-rls"], out=out / f"davis-by-{shared}", resume=True, jobs=jobs
        )
        print(f"  no {shared} on both sides of a fold:")
        show(table_of(f"davis by {shared}", own))


def digests(cohort: chiasm.Cohort, modality: str) -> np.ndarray:
    """(B,) the content of a modality, which everybody has: equal for equal drugs and sequences."""
    return np.array(as_hex(cohort.digests[:, cohort.modalities.index(modality)]))


def c_index(trial: chiasm.Trial, cohort: chiasm.Cohort, recipe: str, rows: np.ndarray) -> str:
    """The concordance index of one recipe over some test patients, with a bootstrap interval."""
    frame = trial.predictions.set_index("recipe").loc[recipe].set_index("patient")
    ids = cohort.ids[rows]
    predicted, outcome = frame.loc[list(ids)].reset_index(drop=True), cohort.outcome.take(rows)
    point = score("regression", predicted, outcome, metrics=["c_index"])["c_index"][0]
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(ids), np.full(len(ids), 1 / len(ids)), size=DRAWS)
    low, high = percentile_interval(
        score("regression", predicted, outcome, weights=weights, metrics=["c_index"])["c_index"]
    )
    return f"{point:.4f} ({low:.4f} to {high:.4f}), {len(ids):,} pairs"


if __name__ == "__main__":
    main()
