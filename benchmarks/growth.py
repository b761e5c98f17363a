"""How the time of check, fit and evaluate grows with patients, columns and modalities: log-log slopes.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [--quick] [--limit 600] [--axis patients ...] [--stage fit ...]

Every measurement is the processor time of one stage, after a small cohort has brought all imports. What was measured is
kept in the file of `--out` and not run again, so that a run that was interrupted goes on. A series ends where the next
size, at the growth seen so far, would take longer than `--limit`. The exponent is the slope through the last three
sizes that took a tenth of a second or more: 1 where twice the data takes twice the time. Networks are trained for two
epochs.

The other sizes stay at 1,000 patients (300 for columns), 10 columns a modality and 2 modalities; a tenth of the
patients lacks each modality. `--quick` leaves the largest sizes out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import chiasm
from chiasm.compute.memo import forget

SIZES = {
    "patients": (1_000, 4_000, 16_000, 50_000, 200_000),
    "columns": (10, 100, 1_000, 10_000, 50_000),
    "modalities": (2, 5, 10, 20),
}
QUICK = {"patients": 16_000, "columns": 10_000, "modalities": 10}
FIXED = {"patients": 1_000, "columns": 10, "modalities": 2}
FEWER = {"columns": {"patients": 300}}
RECIPES = (
    "single:m00", "early-fusion", "late-fusion", "stacked-fusion", "kron-rls", "healnet:epochs=2",
    "lego-merge:epochs=2", "lego-fuse:epochs=2,fuse_epochs=2",
)  # fmt: skip
TARGETS = ("classification", "regression", "survival")
STAGES = (*((f"check {target}") for target in TARGETS), *(f"fit {name}" for name in RECIPES), "evaluate late-fusion")
LEAST = 0.1  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds of processor time for one measurement")
    parser.add_argument("--axis", nargs="*", default=list(SIZES))
    parser.add_argument("--stage", nargs="*", default=[""], help="how the names of stages begin")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "growth.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, float | str] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for axis in options.axis:
        for stage in (own for own in STAGES if own.startswith(tuple(options.stage))):
            known: list[tuple[int, float]] = []
            for size in SIZES[axis]:
                if options.quick and size > QUICK[axis]:
                    break
                key = f"{axis} | {stage} | {size}"
                if key not in found:
                    if expected(known, size) > options.limit:
                        break
                    found[key] = measured(axis, size, stage)
                    options.out.write_text(json.dumps(found, indent=1) + "\n")
                    print(key, found[key], flush=True)
                value = found[key]
                if isinstance(value, str):
                    break
                known.append((size, value))
    print(table(found))


def expected(known: list[tuple[int, float]], size: int) -> float:
    """Expect the seconds of a size from the growth between the last two, or twice that of the size if there is one."""
    if not known:
        return 0.0
    (last, seconds) = known[-1]
    slope = 2.0
    if len(known) > 1 and known[-2][1] >= LEAST:
        slope = np.log(seconds / known[-2][1]) / np.log(last / known[-2][0])
    return float(seconds * (size / last) ** slope) if seconds >= LEAST else 0.0


def measured(axis: str, size: int, stage: str) -> float | str:
    """Run one stage and return its processor seconds, or why it does not run."""
    what, _, name = stage.partition(" ")
    sizes = {**FIXED, **FEWER.get(axis, {}), axis: size}
    target = name if what == "check" else "regression" if name == "kron-rls" else "classification"
    perform(what, name, made(60, 3, 2, target))
    cohort = made(**sizes, target=target)
    forget()
    begin = time.process_time()
    try:
        perform(what, name, cohort)
    except chiasm.Unsupported as refused:
        return str(refused)
    return round(time.process_time() - begin, 3)


def perform(what: str, name: str, cohort: chiasm.Cohort) -> None:
    """Check, fit or evaluate."""
    if what == "check":
        chiasm.check_cohort(cohort)
    elif what == "fit":
        chiasm.fit(cohort, name, seed=0)
    else:
        chiasm.evaluate(cohort, [name], chiasm.Protocol(folds=2), seed=0, jobs=1)


def made(patients: int, columns: int, modalities: int, target: str) -> chiasm.Cohort:
    """Make a cohort in memory: three columns of each modality carry one signal, the others noise."""
    rng = np.random.default_rng(0)
    ids = pd.Index([f"p{k:07d}" for k in range(patients)], dtype=object)
    signal = rng.normal(size=patients)
    frames = {}
    for m in range(modalities):
        values = rng.normal(size=(patients, columns))
        values[:, :3] += signal[:, None]
        frame = pd.DataFrame(values, ids, [f"c{k}" for k in range(columns)])
        frames[f"m{m:02d}"] = frame[rng.random(patients) < 0.9]
    if target == "survival":
        time_to = -30 * np.log(rng.random(patients)) * np.exp(-signal)
        table = pd.DataFrame({"months": time_to, "died": (rng.random(patients) < 0.6) * 1}, ids)
        return chiasm.cohort_from_frames(table, frames, chiasm.Survival("months", "died"))
    number = signal + rng.normal(size=patients)
    if target == "regression":
        return chiasm.cohort_from_frames(pd.DataFrame({"y": number}, ids), frames, chiasm.Regression("y"))
    table = pd.DataFrame({"y": np.where(number > 0, "a", "b")}, ids)
    return chiasm.cohort_from_frames(table, frames, chiasm.Classification("y"))


def table(found: dict[str, float | str]) -> str:
    """A table in Markdown: the exponents of each stage, and the seconds of the largest size."""
    lines = ["| stage | " + " | ".join(SIZES) + " |", "|---|" + "---|" * len(SIZES)]
    for stage in STAGES:
        cells = []
        for axis, sizes in SIZES.items():
            own = [(size, found[key]) for size in sizes if (key := f"{axis} | {stage} | {size}") in found]
            known = [(size, float(value)) for size, value in own if not isinstance(value, str)]
            cells.append(cell(known))
        lines.append(f"| `{stage}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(known: list[tuple[int, float]]) -> str:
    """The exponent over the last three sizes that took long enough, and the largest size with its seconds."""
    long = [(size, seconds) for size, seconds in known if seconds >= LEAST][-3:]
    end = f"{known[-1][1]:.1f} s at {known[-1][0]:,}" if known else "-"
    if len(long) < 2:
        return end
    slope = np.polyfit(np.log([size for size, _ in long]), np.log([seconds for _, seconds in long]), 1)[0]
    return f"{slope:.2f} ({end})"


if __name__ == "__main__":
    main()
