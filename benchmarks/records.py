"""Hospital stays as events: what a record's language gives beside summaries, with few labels and with all.

    python benchmarks/records.py [--data ../shared/data] [--out benchmarks/results/records.jsonl] [line ...]
    python benchmarks/records.py --table    writes the part of docs/benchmarks.md

physionet2012, events alone: death in hospital from the first 48 hours in intensive care, on the first `FOLDS` of five
folds of one repeat, seed 0. With 1, 10 and 100 % of the labels of the training stays, drawn by outcome and the smaller
share within the larger. Summaries and `irregular-ehr` read whole records, `ehr-mamba` of each parameter the last value
in each half day. It is trained from scratch on the labelled stays, and once more after it has learned
what comes next in all training stays, those without a label too; no test stay is read before it is tested.

Sizes and passes of the networks follow from what two slow cores afford: three passes without labels, then at most 8, 20
and 40 over all, 10 and 1 % of the labelled stays, which is little. They were chosen before a test stay was scored, but
for two: the passes over all labelled stays (6 before) and the patience with 1 and 100 % (now that with 10 %) were
settled when the scores with 10 % were known; no score of theirs was. A line `recipe at share` is
finished once it is in `--out`; the predictions of its folds, and what was learned without labels, are kept in `--work`.
A line `later less earlier at share` is a contrast named here, computed from these.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

import chiasm  # noqa: E402
from chiasm.evaluation import Protocol  # noqa: E402
from chiasm.evaluation.contrasts import contrast, whole_values  # noqa: E402
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_scores  # noqa: E402
from chiasm.evaluation.protocol import plan  # noqa: E402
from chiasm.evaluation.run import usable  # noqa: E402
from chiasm.recipes.registry import make_recipe  # noqa: E402
from fuse import DRAWS  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402
from wings import opened  # noqa: E402

COHORT = "physionet2012-events"
FOLDS = 3  # of five
SHARES = (100, 10, 1)
PASSES = {100: "epochs=8,patience=5", 10: "epochs=20,patience=5", 1: "epochs=40,patience=5"}
MAMBA = "modality=spans,depth=1,steps=128"
RECIPES = {
    "logistic regression on summaries": "single:events,models=linear",
    "boosting on summaries": "boosted-trees:modality=events",
    "irregular-ehr": "irregular-ehr:modality=events,{passes}",
    "ehr-mamba from scratch": f"ehr-mamba:{MAMBA},base_epochs=0,{{passes}}",
    "ehr-mamba pretrained": f"ehr-mamba:{MAMBA},base_epochs=3,{{passes}}",
}
CONTRASTS = (
    ("ehr-mamba pretrained", "ehr-mamba from scratch"),
    ("ehr-mamba pretrained", "boosting on summaries"),
    ("irregular-ehr", "boosting on summaries"),
    ("boosting on summaries", "logistic regression on summaries"),
)
SUMMARIES = ("logistic regression on summaries", "boosting on summaries")  # which share what is fitted on a fold
LANGUAGE = ("ehr-mamba pretrained", "ehr-mamba from scratch")
ORDER = ((LANGUAGE, 10), (SUMMARIES, 10), (LANGUAGE, 1), (SUMMARIES, 1), (LANGUAGE, 100), (SUMMARIES, 100))
LINES = [
    *(f"{own} at {share}" for group, share in ORDER for own in group),
    *(f"irregular-ehr at {share}" for share in SHARES[::-1]),
    *(f"{later} less {earlier} at {share}" for later, earlier in CONTRASTS for share in SHARES),
]
NAME = "records"
INTRODUCTION = """## Hospital stays as events, with few labels and with all

`python benchmarks/records.py`, its results in `benchmarks/results/records.jsonl`; this part of the page is written by
`--table`. Death in hospital from the events of the first 48 hours in intensive care (PhysioNet 2012), AUROC with 95 %
bootstrap intervals, conditional on the fitted models. `ehr-mamba` reads of each parameter the last value in each half
day, the others whole records. Of the training stays of each fold 1, 10 or 100 % have a label;
`pretrained` has first learned what comes next in all of them, in three passes, and is the same from there on as `from
scratch`: at most 8, 20 or 40 passes over 100, 10 or 1 % of the labels. That is little training for a network. The
passes at 100 % and how long is waited at 100 and 1 % were set when the scores with 10 % were known, for both alike.
The rows of `pretrained` were measured when the first phase took the time between two events of the same time, zero, for
a normal logarithm, too, whose likelihood has no bound and outweighed that of what comes next; since then zero has a
probability of its own and the spread a least one. These rows, and the differences with them, are to be measured again.
"""


def main() -> None:
    torch.set_num_threads(1)
    run(__doc__, NAME, LINES, one, write_part)


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Score a recipe on the folds with a share of the labels, or hold two against each other: a line of the results."""
    what, _, share = line.rpartition(" at ")
    work = work.parent
    cohort, folds, splits = prepared(data, work)
    classes, draws = cohort.target.names, patient_draws(folds, len(cohort), DRAWS, 0)
    sides = what.split(" less ")
    found = [predicted(cohort, splits, own, int(share), work) for own in sides]
    row: dict[str, Any] = {"cohort": line, "patients": len(cohort), "folds": len(folds), "metric": "auroc"}
    frames = [own[0] for own in found]
    if len(sides) == 1:
        value = trial_scores("classification", folds, frames[0], classes, draws, ["auroc"])["auroc"]
        more = {"recipe": spec_of(what, int(share)), "labels": found[0][1], "seconds": round(found[0][2], 1)}
        return {**row, "value": rounded(value.mean, value.low, value.high), **more}
    values = [whole_values("classification", folds, own, classes, draws) for own in frames]
    sizes = [np.mean([len(own) for own in part]) for part in zip(*((s.test, s.train) for s in splits), strict=True)]
    apart = contrast(*values, n_test=float(sizes[0]), n_train=float(sizes[1]))
    return {**row, "difference": rounded(*apart.numbers)}


def rounded(*values: float) -> list[float]:
    return [round(float(value), 4) for value in values]


def spec_of(own: str, share: int) -> str:
    """The recipe with the options of a share."""
    return RECIPES[own].format(passes=PASSES[share])


@cache
def prepared(data: Path, work: Path) -> tuple[chiasm.Cohort, list[TestFold], list[Any]]:
    """The stays, encoded, with the folds that are tested."""
    cohort, _ = usable(chiasm.encode(opened(COHORT, data, work), jobs=1).cohort)
    splits = plan(cohort, Protocol(folds=5, repeats=1), 0)[:FOLDS]
    own = cohort.outcome
    folds = [TestFold(s.repeat, s.fold, s.test, own.take(s.test), own.take(s.train), None) for s in splits]
    return cohort, folds, splits


def labelled(cohort: chiasm.Cohort, share: int) -> chiasm.Cohort:
    """Training stays of which a share keeps its label, drawn within each outcome; of more labels fewer are a part."""
    value, rng = cohort.outcome.value, np.random.default_rng(0)
    known = np.zeros(len(cohort), bool)
    for own in np.unique(value):
        rows = rng.permutation(np.flatnonzero(value == own))
        known[rows[: int(np.ceil(len(rows) * share / 100))]] = True
    outcome = replace(cohort.outcome, known=known, value=np.where(known, value, 0))
    return cohort.with_target(cohort.target, outcome)


def predicted(
    cohort: chiasm.Cohort, splits: Sequence[Any], own: str, share: int, work: Path
) -> tuple[list[pd.DataFrame], int, float]:
    """Predictions of the test stays fold by fold, the labels of a fold, and the seconds of all fits."""
    frames, labels, seconds = [], 0, 0.0
    for split in splits:
        train = labelled(cohort.subset(split.train), share)
        labels = int(train.outcome.known.sum())
        kept = work / f"{own} at {share}, {split.key}.parquet"
        if not kept.exists():
            start, begun = time.perf_counter(), work / "begun" / f"{own}, {split.key}"
            for file in begun.glob("*"):
                if "next event" not in file.name:  # which is the same for every share
                    file.unlink()
            model = make_recipe(spec_of(own, share)).fit(train, seed=0, checkpoint=begun)
            test = cohort.subset(split.test)
            frame = model.predict(test.with_target(None, None)).loc[list(test.ids)]
            frame.assign(seconds=time.perf_counter() - start).to_parquet(kept)
        frame = pd.read_parquet(kept)
        seconds += float(frame["seconds"].iloc[0])
        frames.append(frame.drop(columns="seconds"))
    return frames, labels, seconds


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    scored = {name: row for name, row in rows.items() if "value" in row}
    lines = [INTRODUCTION]
    if scored:
        first = next(iter(scored.values()))
        stays = f"{first['patients']:,} stays, the first {first['folds']} of five folds."
        lines.append(
            f"{stays} Seconds are of all fits by the clock of a busy machine on one thread; what is\n"
            "learned without labels counts where it was learned first, with 10 %.\n"
        )
    lines.append("| | " + " | ".join(f"{share} % of the labels | seconds" for share in SHARES) + " |")
    lines.append("|---" * (1 + 2 * len(SHARES)) + "|")
    for own in RECIPES:
        cells = []
        for share in SHARES:
            row = scored.get(f"{own} at {share}")
            cells += ["-", "-"] if row is None else [said(row["value"]), f"{row['seconds']:.0f}"]
        lines.append(f"| {own} | {' | '.join(cells)} |")
    lines += ["", *sentences(rows), *not_run(LINES, rows)]
    return part(page, NAME, "\n".join(lines) + "\n")


def sentences(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Who wins at each share, and the named contrasts with what their intervals say."""
    lines, language = [], "ehr-mamba pretrained"
    for share in SHARES:
        own = {name: rows[f"{name} at {share}"]["value"][0] for name in RECIPES if f"{name} at {share}" in rows}
        if own:
            best = max(own, key=lambda name: own[name])
            beside = f"; {language} has {own[language]:.3f}" if language in own and best != language else ""
            lines.append(f"- With {share} % of the labels {best} wins, {own[best]:.3f}{beside}.")
    for name, row in rows.items():
        if "difference" in row:
            mean, low, high = row["difference"]
            verdict = "more" if low > 0 else "less" if high < 0 else "not told apart"
            lines.append(f"- {name} %: {mean:+.3f} ({low:+.3f} to {high:+.3f}), {verdict}.")
    return lines


def said(value: Sequence[float]) -> str:
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"


if __name__ == "__main__":
    main()
