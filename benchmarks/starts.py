"""What a residual start gives to a network: `healnet` and `lego-fuse` with and without it, less `late-fusion`.

    python benchmarks/starts.py [--data ../shared/data] [--out benchmarks/results/starts.jsonl] [cohort ...]
    python benchmarks/starts.py --table    writes the part of docs/benchmarks.md

The outer folds of one repeat (the given ones where a cohort prescribes them, else five), seed 0, nothing selected: each
recipe as it stands; `fuse.py` says how the intervals are made. A finished cohort is one line of `--out` and is not run
again; the fits of an unfinished one are kept in `--work`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from fuse import compared, difference_table
from pages import not_run, part, rows_of, run

COHORTS = (
    *("breast-subtype", "pbc-visits", "eicu-day-one", "tcga-blca", "tcga-luad", "tcga-ucec", "tcga-gbmlgg"),
    *("tcga-brca", "davis-affinity", "ptbxl-ecg", "pubmedqa"),
)
LATE = "late-fusion"
RECIPES = (LATE, "healnet", "healnet:upon=stacked", "lego-fuse", "lego-fuse:upon=stacked")
MARGIN = 0.01
NAME = "starts"
INTRODUCTION = """## What a residual start gives to a network

`python benchmarks/starts.py`, its results in `benchmarks/results/starts.jsonl`; this part of the page is written by
`--table`. `late-fusion`, and networks less it, with and without `upon=stacked`, on the outer folds of one repeat:
the primary metric, mean over folds, with 95 % bootstrap intervals, conditional on the fitted models. Seconds are
processor time of all recipes and folds, on one thread of a busy machine.
"""


def main() -> None:
    torch.set_num_threads(1)
    run(__doc__, NAME, COHORTS, partial(compared, names=RECIPES), write_part)


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = [INTRODUCTION, *difference_table(rows, COHORTS, RECIPES), ""]
    for own in RECIPES[1:]:
        mean = float(np.mean([row[own][0] for row in rows.values()]))
        said = "within" if mean >= -MARGIN else "beyond"
        lines.append(f"- `{own}` less `{LATE}`: {mean:+.3f} in the mean of {len(rows)}, {said} {MARGIN} below it.")
    return part(page, NAME, "\n".join([*lines, *not_run(COHORTS, rows)]) + "\n")


if __name__ == "__main__":
    main()
