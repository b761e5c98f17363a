"""Folds side by side: the pool of processes against one fold after the other, on the same trial.

    python benchmarks/folds.py [--jobs 2] [--patients 300]

Prints the wall time of both and their ratio, and checks that the predictions and the figures are equal.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

import chiasm
from chiasm.compute.memo import forget

RECIPES = ["single:m1", "single:m2", "late-fusion", "healnet", "lego-merge", "lego-fuse"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--patients", type=int, default=300)
    options = parser.parse_args()
    cohort = chiasm.synthetic_cohort("complementary", options.patients, seed=0)
    warm_up(cohort)
    trials, seconds = {}, {}
    for jobs in (1, options.jobs):
        forget()
        start = time.perf_counter()
        trials[jobs] = chiasm.evaluate(cohort, RECIPES, chiasm.Protocol(folds=5), seed=0, jobs=jobs)
        seconds[jobs] = time.perf_counter() - start
        print(f"{jobs} at a time: {seconds[jobs]:.1f} s", flush=True)
    one, many = trials[1], trials[options.jobs]
    numbers = one.predictions.select_dtypes(np.number).columns
    difference = np.abs(one.predictions[numbers].to_numpy() - many.predictions[numbers].to_numpy()).max()
    print(f"{seconds[1] / seconds[options.jobs]:.2f} times faster with {options.jobs} processes")
    print(f"largest difference between their predictions: {difference:.1e}")
    same = one.table()[["mean", "low", "high"]].equals(many.table()[["mean", "low", "high"]])
    print(f"figures equal: {same}")
    if not same:
        raise SystemExit("the pool gave other figures than one fold after the other")


def warm_up(cohort: chiasm.Cohort) -> None:
    """Imports and first calls must not be charged to whoever comes first."""
    few = cohort.subset(np.arange(60))
    chiasm.evaluate(few, ["lego-fuse:epochs=1,fuse_epochs=1"], chiasm.Protocol(folds=2), jobs=1)


if __name__ == "__main__":
    main()
