"""False alarms in a year of weekly looks, and how soon a drift is found: 52 batches against a summary of training.

A reference of 300 patients with two tables (measured numbers that hang together, whole numbers with ties, a category,
and cells that are missing), one of which a fifth lack; 15 patients a week from the same distribution, or from one that
changes in week 20. Every year draws its own reference, so that the looks of a year hang together by it.

    PYTHONPATH=src python benchmarks/monitoring.py --years 100 > benchmarks/results/monitoring.txt
    PYTHONPATH=src python benchmarks/monitoring.py --years 100 --only fewer    that row alone
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from chiasm.cohort import cohort_from_frames
from chiasm.fitting.reference import reference_of
from chiasm.models.looks import Look, looked
from chiasm.models.monitoring import drift_tests, frames_of

RATE, WEEKS, WEEKLY, TRAINED, CHANGE = 0.05, 52, 15, 300, 20
Frames = dict[str, pd.DataFrame]


def drawn(n: int, rng: np.random.Generator, prefix: str) -> Frames:
    """Draw the two tables of n patients."""
    index = pd.Index([f"{prefix}{k:05d}" for k in range(n)], dtype=object)
    common = rng.normal(size=n)
    blood = pd.DataFrame({f"b{k}": np.exp(common + rng.normal(size=n)) for k in range(5)}, index=index)
    blood.loc[rng.uniform(size=n) < 0.1, "b0"] = np.nan
    clinical = pd.DataFrame(
        {"age": np.round(rng.normal(62, 11, n)), "ward": rng.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05])},
        index=index,
    )
    return {"blood": blood[rng.uniform(size=n) < 0.8], "clinical": clinical}


def unchanged(frames: Frames, rng: np.random.Generator) -> Frames:
    return frames


def shifted(frames: Frames, rng: np.random.Generator) -> Frames:
    """Age rises by half a standard deviation."""
    return {**frames, "clinical": frames["clinical"].assign(age=frames["clinical"]["age"] + 5.5)}


def another_unit(frames: Frames, rng: np.random.Generator) -> Frames:
    """One column is ten times larger."""
    return {**frames, "blood": frames["blood"].assign(b1=frames["blood"]["b1"] * 10)}


def fewer(frames: Frames, rng: np.random.Generator) -> Frames:
    """Half of those who had the blood test have none."""
    return {**frames, "blood": frames["blood"][rng.uniform(size=len(frames["blood"])) < 0.5]}


def year(change: Callable[[Frames, np.random.Generator], Frames], seed: int) -> list[Look]:
    """Look at 52 weeks of patients."""
    rng = np.random.default_rng(seed)
    before, after = drawn(TRAINED, rng, "t"), drawn(WEEKS * WEEKLY, rng, "n")
    first = [f"n{k:05d}" for k in range(CHANGE * WEEKLY)]
    later = change({name: frame[~frame.index.isin(first)] for name, frame in after.items()}, rng)
    came = {name: pd.concat([frame[frame.index.isin(first)], later[name]]) for name, frame in after.items()}
    trained, new = (
        cohort_from_frames(pd.DataFrame(index=own["clinical"].index), {**own}, name="simulated")
        for own in (before, came)
    )
    reference = reference_of(trained)
    frames = frames_of(reference, new, None)
    batches = [(f"{week + 1}", np.arange(week * WEEKLY, (week + 1) * WEEKLY)) for week in range(WEEKS)]
    return looked(batches, lambda rows: drift_tests(reference, frames, rows), rate=RATE, looks=WEEKS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=100)
    parser.add_argument("--only", nargs="*", help="Names of changes; all by default.")
    options = parser.parse_args()
    years = options.years
    print(f"{years} years of {WEEKS} weekly looks at {WEEKLY} patients against {TRAINED}; rate {RATE:g} a year\n")
    heads = [f"what changes in week {CHANGE}", "years with an alarm", "before the change", "median delay"]
    print(f"{heads[0]:34} {heads[1]:>20} {heads[2]:>18} {heads[3]:>13}")
    for change in (unchanged, shifted, another_unit, fewer):
        if options.only and change.__name__ not in options.only:
            continue
        alarms, early, delays = 0, 0, []
        for seed in range(years):
            found = [week for week, look in enumerate(year(change, seed)) if look.alarm]
            alarms += bool(found)
            early += bool(found) and found[0] < CHANGE
            delays += [week - CHANGE + 1 for week in found if week >= CHANGE][:1]
        delay = f"{np.median(delays):.0f} weeks" if delays and change is not unchanged else "-"
        print(
            f"{change.__name__.replace('_', ' '):34} {alarms / years:>20.3f} {early / years:>18.3f} {delay:>13}",
            flush=True,
        )


if __name__ == "__main__":
    main()
