"""How often the verdict is wrong, and whether its intervals cover, over populations of known answer.

    python benchmarks/verdict.py [--tier linear] [--cells c-100-noise,...] [--cohorts 200] [--jobs 2] [--budget 3600]
    python benchmarks/verdict.py --table          writes the tables of docs/benchmarks.md
    python benchmarks/verdict.py --find-effects   the constants of `verdicts/cells.py`

Cells are in `verdicts/cells.py`: sizes, kinds of target and truths. Tiers: `linear` (linear and kernel recipes, one
repeat, 200 cohorts a cell), `every` (all recipes that a trial tries unasked, 30 cohorts in each of six cells) and
`repeated` (as linear, five repeats, 200 cohorts in each of four cells). Each cohort is one line of
`results/verdict/<tier>-<cell>.jsonl`; a run goes on where the files end, and stops between cohorts when its budget of
seconds is spent. Seeds go round the cells, so that what is there at any time covers all of them alike.

Truth, one a cell and quantity: the mean over cohorts and folds of each fold's picked models, as the trial fitted them,
on further patients of the same population, fresh ones for each cohort: 20,000, since a kernel of 800 patients takes
seconds for them. Over 200 cohorts these are four million, so that chance adds less than .001 to the truth of a cell.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

from verdicts.cells import CELLS, EVERY_RECIPE, REPEATED  # noqa: E402
from verdicts.effects import find_effects  # noqa: E402
from verdicts.judge import judge  # noqa: E402
from verdicts.lines import SERIES, rows_of  # noqa: E402
from verdicts.table import write_tables  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "verdict"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Tier:
    """Which recipes are tried, how often the folds are drawn, in which cells, and on how many cohorts of each."""

    every: bool
    repeats: int
    cells: Sequence[str]
    cohorts: int


TIERS = {
    "linear": Tier(False, 1, tuple(CELLS), 200),
    "every": Tier(True, 1, EVERY_RECIPE, 30),
    "repeated": Tier(False, 5, REPEATED, 200),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=list(TIERS), default="linear")
    parser.add_argument("--cells", default="", help="names, between commas; all of the tier without one")
    parser.add_argument("--cohorts", type=int, default=None, help="of each cell; what the tier says without a number")
    parser.add_argument("--further", type=int, default=20_000, help="further patients of a cohort")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no cohort is begun")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--find-effects", action="store_true")
    options = parser.parse_args()
    if options.find_effects:
        print("\n".join(f"    ({kind!r}, {gain}): {effect}," for (kind, gain), effect in find_effects().items()))
        return
    if options.table:
        print(write_tables(options.out, PAGE, TIERS))
        return
    tier = TIERS[options.tier]
    cells = [part for part in options.cells.split(",") if part] or list(tier.cells)
    unknown = [cell for cell in cells if cell not in CELLS]
    if unknown:
        raise SystemExit(f"no cell is called '{unknown[0]}': there are {', '.join(CELLS)}")
    waiting = left(options.out, options.tier, cells, options.cohorts or tier.cohorts)
    run(options.out, options.tier, waiting, options.further, options.jobs, options.budget)


def left(out: Path, tier: str, cells: Sequence[str], cohorts: int) -> list[tuple[str, int]]:
    """(cell, seed) of the cohorts that are not in the files yet, the first seed of every cell first."""
    done = {cell: {row["seed"] for row in rows_of(out / f"{tier}-{cell}.jsonl")} for cell in cells}
    return [(cell, seed) for seed in range(cohorts) for cell in cells if seed not in done[cell]]


def run(out: Path, tier: str, waiting: Sequence[tuple[str, int]], further: int, jobs: int, budget: float) -> None:
    """Judge these cohorts side by side, a line a cohort as they come; none is begun after the budget."""
    out.mkdir(parents=True, exist_ok=True)
    for cell in {cell for cell, _ in waiting}:
        mend(out / f"{tier}-{cell}.jsonl")
    start, tasks, running = time.monotonic(), iter(waiting), set[Future[dict[str, Any]]]()
    with ProcessPoolExecutor(jobs) as pool:
        while True:
            while len(running) < jobs and time.monotonic() - start < budget:
                task = next(tasks, None)
                if task is None:
                    break
                running.add(pool.submit(judged, tier, *task, further))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                row = future.result()
                cell = row.pop("cell")
                with (out / f"{tier}-{cell}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row, separators=(",", ":")) + "\n")
                print(f"{time.monotonic() - start:7.0f} s  {tier} {cell} {row['seed']}: {row['outcome']}", flush=True)


def mend(file: Path) -> None:
    """Cut a line off that an interrupted run has not finished."""
    if file.exists():
        text = file.read_text(encoding="utf-8")
        file.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")


def judged(tier: str, cell: str, seed: int, further: int) -> dict[str, Any]:
    """A line of the results with its cell, and the seconds of work it took."""
    own, start = TIERS[tier], time.process_time()
    row = judge(CELLS[cell], seed, every=own.every, repeats=own.repeats, further=further)
    return {**row, "cpu": round(time.process_time() - start, 2), "further": further, "series": SERIES, "cell": cell}


if __name__ == "__main__":
    main()
