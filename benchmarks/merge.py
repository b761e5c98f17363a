"""Merging without joint training on the TCGA cohorts, beside the best fusion that is trained end to end.

    python benchmarks/merge.py [--data ../shared/data] [--out runs/merge] [--jobs 1] [--skip-tunings] [cohort ...]

For each cohort, on the given folds: a trial in `fusions` (linear singles and their late and stacked fusion, early
fusion, HEALNet, lego-fuse, and lego-merge as it stands in a trial), and beside it, on outer folds alone, in `merges`
other merges of lego's blocks: logits of the same blocks, soups, matched heads, the paper's own domain. In each fold the
end-to-end fusion is the one that inner folds select. Every recipe less that one, with the bootstrap of `tcga.py`:
patients within folds, the same draw for both sides, conditional on the fitted models. No row is chosen by test scores.

Then weight merges of fine-tuned networks against their number: one HEALNet is tuned on K = 1 ... 6 disjoint sixths of
the training patients, and the copies are merged.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import chiasm
from chiasm.artifact import write_text
from chiasm.evaluation import Protocol
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.fits import Context, Task, run_task
from chiasm.evaluation.intervals import trial_differences, trial_scores
from chiasm.evaluation.protocol import plan
from chiasm.evaluation.run import usable
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import finish
from chiasm.merging import METHODS, make_method, merge_models
from chiasm.metrics.scores import score
from chiasm.recipes.registry import make_recipe
from chiasm.recipes.tunings.slerp_merge import SlerpMerge
from chiasm.recipes.tunings.tuned import Tuner
from tcga import COHORTS, evaluated, pick

END_TO_END = ("early-fusion", "healnet", "lego-fuse")
FUSIONS = (
    "early-fusion", "late-fusion", "stacked-fusion", "healnet", "lego-fuse", "lego-merge",
    "lego-merge:method=harmonic", "lego-merge:method=geometric", "lego-merge:head_method=linear",
)  # fmt: skip
MERGES = (
    "lego-merge:method=logits", "lego-merge:head_method=ot", "lego-merge:domain=rfft,method=harmonic",
    "lego-merge:soup=4", "lego-merge:method=logits,soup=4",
)  # fmt: skip
MOST = 6
TUNINGS = {
    "linear": "linear", "slerp": "slerp", "task-arithmetic": "sum", "ties": "sum", "dare-ties": "sum",
    "breadcrumbs": "sum",
}  # fmt: skip
"""Methods, and whether they are means or, as in their papers, sums at a fixed scale."""
SCALE = 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=COHORTS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs/merge"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--skip-tunings", action="store_true")
    options = parser.parse_args()
    tables, draws, curves = [], {}, []
    for name in options.cohorts:
        manifest, out = options.data / name / "cohort.toml", options.out / name
        singles = [f"single:{modality}" for modality in chiasm.open_cohort(manifest).modalities]
        fusions = evaluated(manifest, out / "fusions", ",".join([*singles, *FUSIONS]), options.jobs)
        merges = fitted(manifest, out / "merges")
        table, own = compare(fusions, merges)
        tables.append(table.assign(cohort=name))
        for recipe, values in own.items():
            draws.setdefault(recipe, []).append(values)
        print(f"\n{name}\n{table.round(3).to_string()}", flush=True)
        if not options.skip_tunings:
            curves.append(curve(manifest, out / "tunings.json"))
            print(curves[-1].round(3).to_string(), flush=True)
    report(tables, draws, curves)


def fitted(manifest: Path, work: Path) -> dict[str, list[pd.DataFrame]]:
    """What each of `MERGES` predicts on each outer fold, as a trial of seed 0 would; finished fits are read back."""
    cohort, _ = usable(chiasm.open_cohort(manifest))
    recipes = tuple(make_recipe(name) for name in MERGES)
    context = Context(cohort, recipes, 0, "cpu", work, time.perf_counter)
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in MERGES}
    for split in plan(cohort, Protocol(), 0):
        for fit in run_task(context, Task(split, tuple(range(len(recipes))))):
            found[fit.recipe].append(fit.frame)
    return found


def compare(fusions: chiasm.Trial, merges: dict[str, list[pd.DataFrame]]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Harrell's C of each recipe, and its difference to the end-to-end fusion that inner folds select, with draws."""
    inner = {
        (row["name"], fold["repeat"], fold["fold"]): fold["inner"]
        for row in fusions.document["recipes"]
        for fold in row["folds"]
        if fold["inner"] is not None
    }
    folds = list(fusions.folds.values())
    sides = {name: list(fusions.frames[name].values()) for name in (row["name"] for row in fusions.document["recipes"])}
    sides["end to end"] = [fusions.frames[pick(list(END_TO_END), inner, key)][key] for key in fusions.folds]
    whom = [list(frame.index) for frame in sides["end to end"]]
    if any([list(frame.index) for frame in frames] != whom for frames in merges.values()):
        raise SystemExit("the merges and the trial of a cohort have different folds: run both again")
    rows, draws = [], {}
    for name, frames in (sides | merges).items():
        points, draws[name] = trial_differences("survival", folds, frames, sides["end to end"], (), fusions.draws)
        low, high = percentile_interval(draws[name])
        c = trial_scores("survival", folds, frames, (), fusions.draws, ["harrell_c"])["harrell_c"].mean
        rows.append({"recipe": name, "c": c, "less end to end": float(np.mean(points)), "low": low, "high": high})
    return pd.DataFrame(rows).set_index("recipe"), draws


def report(tables: list[pd.DataFrame], draws: dict[str, list[np.ndarray]], curves: list[pd.DataFrame]) -> None:
    """Means over cohorts of the recipes that all of them have."""
    every = pd.concat(tables)
    rows = []
    for recipe, values in draws.items():
        if len(values) == len(tables):
            own = every.loc[[recipe]]
            low, high = percentile_interval(np.mean(values, axis=0))
            rows.append([recipe, own["c"].mean(), own["less end to end"].mean(), low, high])
    mean = pd.DataFrame(rows, columns=["recipe", "c", "less end to end", "low", "high"]).set_index("recipe")
    print(f"\nmean over {len(tables)} cohorts\n{mean.round(3).to_string()}")
    if curves:
        shown = sum(curves[1:], curves[0]) / len(curves)
        print(f"\ntuned on K sixths and merged, mean over cohorts\n{shown.round(3).to_string()}", flush=True)


def curve(manifest: Path, file: Path) -> pd.DataFrame:
    """Harrell's C of merges of K tunings, methods by K, mean of the folds; `mean of copies` is of the copies alone."""
    if not file.exists():
        cohort, _ = usable(chiasm.open_cohort(manifest))
        folds = [pd.DataFrame(dict(tunings(cohort, split))) for split in plan(cohort, Protocol(), 0)]
        shown = sum(folds[1:], folds[0]) / len(folds)
        write_text(file, json.dumps(shown.to_dict(), indent=1))
    found = pd.DataFrame(json.loads(file.read_text(encoding="utf-8")))
    return found.set_axis(found.index.astype(int))


def tunings(cohort: chiasm.Cohort, split: object) -> Iterator[tuple[str, dict[int, float]]]:
    """Each method to C by K, on one fold."""
    train, test = cohort.subset(split.train), cohort.subset(split.test)
    training = trainable(train, zlib.crc32(split.key.encode()), None, "cpu")
    tuner = Tuner.of(training, SlerpMerge())
    base = tuner.base()
    copies = [tuner.tuned(f"sixth-{k}", base, rows=rows) for k, rows in enumerate(tuner.parts(MOST))]

    def c(state: dict) -> float:
        predictor, _ = finish(training, tuner.data, tuner.network(state), tuner.design)
        frame = pd.DataFrame({"risk": predictor.link(test)[:, 0]})
        return float(score("survival", frame, test.outcome, metrics=["harrell_c"])["harrell_c"][0])

    yield "base", dict.fromkeys(range(1, MOST + 1), c(base))
    alone = [c(copy) for copy in copies]
    yield "mean of copies", {k: float(np.mean(alone[:k])) for k in range(1, MOST + 1)}
    for name, how in TUNINGS.items():
        given = {"scale": SCALE, "normalize": False} if how == "sum" else {}
        method = make_method(name, **given)
        start = base if METHODS[name].needs_base else None
        yield name, {k: c(merge_models(copies[:k], None, method, start)) for k in range(1, MOST + 1)}


if __name__ == "__main__":
    sys.exit(main())
