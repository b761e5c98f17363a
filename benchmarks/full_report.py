"""What the full report of a TCGA cohort costs, part by part, on one thread.

    python benchmarks/full_report.py [--data ../shared/data] [--out benchmarks/results/full_report.jsonl] [cohort ...]
    python benchmarks/full_report.py --table    writes the part of docs/benchmarks.md

Each cohort by its handed manifest with a price for each modality and subgroups by age and sex, the given folds and the
recipes that a trial tries without a list: `chiasm evaluate`, then `chiasm.full_report`, with one process (`jobs=1`).
Seconds of the processors and by the clock; with two processes on two quiet cores the clock shows half of the former at
best. The page is opened again: its bytes, its sections, what it asks of a network. A finished cohort is one line of
`--out`; an unfinished trial is gone on with, and its seconds are those of all its processes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import chiasm  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

COHORTS = ("tcga-blca", "tcga-gbmlgg")
SEX = "is_female"
PRICES = {"clinical": 0, "rna": 900, "cnv": 400, "mutation": 600}
WORTH = 20_000.0
SPENT = "seconds.json"
NAME = "full_report"
INTRODUCTION = """## What a full report costs

`python benchmarks/full_report.py`, its results in `benchmarks/results/full_report.jsonl`; this part of the page is
written by `--table`. `chiasm evaluate --full-report` on the handed folds with every recipe that a trial tries without a
list, one process, one thread of a busy machine: seconds of the processors (by the clock) of each part. Prices and worth
are made up, subgroups are age and sex.
"""


def main() -> None:
    run(__doc__, NAME, COHORTS, reported, write_part)


def manifest(name: str, data: Path, work: Path) -> Path:
    """Copy a handed cohort, whose files lie beside its manifest, with subgroups and prices; return the manifest."""
    work.mkdir(parents=True, exist_ok=True)
    text = (data / name / "cohort.toml").read_text(encoding="utf-8")
    for file in re.findall(r'(?:table|groups) = "([^"]*)"', text):
        if not (work / file).exists():
            shutil.copy(data / name / file, work / file)
    text = text.replace('site = "site"\n', f'site = "site"\nsubgroups = ["age", "{SEX}"]\n')
    for modality, price in PRICES.items():
        text = text.replace(f"[modalities.{modality}]\n", f"[modalities.{modality}]\ncost = {price}\n")
    (work / "cohort.toml").write_text(text, encoding="utf-8")
    return work / "cohort.toml"


def spent() -> float:
    return sum(os.times()[:4])


def reported(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Evaluate a cohort and write its full report: a line of the results."""
    cohort = chiasm.open_cohort(manifest(name, data, work))
    folder, file = work / "run", work / SPENT
    parts: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    if not (folder / "trial.json").exists():
        wall, start = time.perf_counter(), spent()
        chiasm.evaluate(cohort, out=folder, jobs=1, resume=folder.exists())
        parts["trial"] = added(parts.get("trial"), [spent() - start, time.perf_counter() - wall])
        file.write_text(json.dumps(parts))
    found = chiasm.full_report(folder, cohort, worth=WORTH, jobs=1)
    parts |= {own: [cpu, clock] for own, (clock, cpu) in found.seconds.items()}
    page = (folder / "report.html").read_text(encoding="utf-8")
    trial = chiasm.load_trial(folder)
    return {
        "cohort": name,
        "patients": len(trial.outcomes),
        "recipes": len(trial.document["recipes"]),
        "outcome": trial.verdict.outcome if trial.verdict else "",
        "picks": [trial.verdict.best_fused, trial.verdict.best_single] if trial.verdict else [],
        "seconds": {own: [round(value, 1) for value in both] for own, both in parts.items()},
        "left out": dict(found.left_out),
        "megabytes": round(len(page.encode()) / 1e6, 2),
        "sections": len(re.findall(r"<section ", page)),
        "asks of a network": len(re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|png|svg|woff2?)"', page)),
    }


def added(before: list[float] | None, more: list[float]) -> list[float]:
    return more if before is None else [a + b for a, b in zip(before, more, strict=True)]


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    names = [name for name in COHORTS if name in rows]
    every = list(dict.fromkeys(own for name in names for own in rows[name]["seconds"]))
    lines = [INTRODUCTION, f"| part | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for own in every:
        lines.append(
            f"| {own.replace('_', ' ')} | {' | '.join(told(rows[name]['seconds'].get(own)) for name in names)} |"
        )
    lines.append(f"| **in all** | {' | '.join(told(total(rows[name])) for name in names)} |")
    lines += [""]
    for name in names:
        row = rows[name]
        without = "".join(f" Without {own}: {why}" for own, why in row["left out"].items())
        lines.append(
            f"{name}: {row['patients']} patients, {row['recipes']} recipes, {row['sections']} sections, "
            f"{row['megabytes']} MB, {row['asks of a network']} files asked of a network; "
            f"picked `{row['picks'][0]}` and `{row['picks'][1]}`, {row['outcome']}.{without}"
        )
    return part(page, NAME, "\n".join([*lines, *not_run(COHORTS, rows), ""]))


def total(row: dict[str, Any]) -> list[float]:
    return [sum(both[k] for both in row["seconds"].values()) for k in (0, 1)]


def told(both: list[float] | None) -> str:
    return "-" if both is None else f"{both[0]:.0f} ({both[1]:.0f})"


if __name__ == "__main__":
    main()
