"""What a residual start gives to a network: `healnet` and `lego-fuse` with and without it, less `late-fusion`.

    python benchmarks/starts.py [--data ../shared/data] [--out benchmarks/results/starts.jsonl] [cohort ...]
    python benchmarks/starts.py --table    writes the part of docs/benchmarks.md

The outer folds of one repeat (the given ones where a cohort prescribes them, else five), seed 0, nothing selected: each
recipe as it stands; `fuse.py` says how the intervals are made. A finished cohort is one line of `--out` and is not run
again; the fits of an unfinished one are kept in `--work`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from chiasm.artifact import write_text
from fuse import compared, rows_of

COHORTS = (
    *("breast-subtype", "pbc-visits", "eicu-day-one", "tcga-blca", "tcga-luad", "tcga-ucec", "tcga-gbmlgg"),
    *("tcga-brca", "davis-affinity", "ptbxl-ecg", "pubmedqa"),
)
LATE = "late-fusion"
RECIPES = (LATE, "healnet", "healnet:upon=stacked", "lego-fuse", "lego-fuse:upon=stacked")
MARGIN = 0.01
RESULTS = Path(__file__).parent / "results" / "starts.jsonl"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- starts: begin -->", "<!-- starts: end -->"
INTRODUCTION = """## What a residual start gives to a network

`python benchmarks/starts.py`, its results in `benchmarks/results/starts.jsonl`; this part of the page is written by
`--table`. `late-fusion`, and networks less it, with and without `upon=stacked`, on the outer folds of one repeat:
the primary metric, mean over folds, with 95 % bootstrap intervals, conditional on the fitted models. Seconds are
processor time of all recipes and folds, on one thread of a busy machine.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=COHORTS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=Path("runs/starts"))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(write_part(options.out, PAGE))
        return
    torch.set_num_threads(1)
    done = {row["cohort"] for row in rows_of(options.out)}
    for name in (name for name in options.cohorts if name not in done):
        row = compared(name, options.data, options.work / name, RECIPES)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = {row["cohort"]: row for row in rows_of(results)}
    there = [name for name in COHORTS if name in rows]
    lines = [f"| cohort | patients | metric | {' | '.join(RECIPES)} | CPU s |", "|---" * (4 + len(RECIPES)) + "|"]
    for name in there:
        row = rows[name]
        cells = [f"{point:+.3f} ({low:+.3f} to {high:+.3f})" for point, low, high in (row[own] for own in RECIPES[1:])]
        lines.append(
            f"| {name} | {row['patients']} | {row['metric']} | {row[LATE]:.3f} | {' | '.join(cells)} | {row['cpu']} |"
        )
    lines.append("")
    for own in RECIPES[1:]:
        mean = float(np.mean([rows[name][own][0] for name in there]))
        said = "within" if mean >= -MARGIN else "beyond"
        lines.append(f"- `{own}` less `{LATE}`: {mean:+.3f} in the mean of {len(there)}, {said} {MARGIN} below it.")
    missing = [name for name in COHORTS if name not in rows]
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    text = "\n".join([INTRODUCTION, *lines]) + "\n"
    head, found, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    if not found:
        head, rest = f"{head.rstrip()}\n\n", END
    write_text(page, f"{head}{BEGIN}\n{text}{END}{rest.partition(END)[2] or chr(10)}")
    return text


if __name__ == "__main__":
    main()
