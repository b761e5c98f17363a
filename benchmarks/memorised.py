"""Which pictures a tuned model keeps by heart, and whether tuning fewer of its parts keeps fewer at equal quality.

A small diffusion model is fitted to made pictures that are bright on the left, and tuned to few that are bright on the
right, of which some are there four times and some 16 times. `duplicates`: all parts are tuned; the share of drawn
pictures behind which one picture stands, for each picture that was there once, four times, 16 times. `small weights`:
SaRA. `searched`: MemControl over parts and rates, by pictures that no row of the page is measured on; each choice of
its front, and tuning all parts with each rate of `RATES`, is tuned again with other seeds and measured beside other
pictures. Quality is the kernel distance (KID) to pictures that nothing was tuned to. Made pictures are noise, so that
none is like another but by heart. A line that is there is not run again; `--table` writes the part of
docs/generation.md.

    python benchmarks/memorised.py [--data ../shared/data] [--out benchmarks/results/....jsonl] [case ...]
    python benchmarks/memorised.py --table
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from chiasm.generation.memorised import memorised, memory_controlled, repeated  # noqa: E402
from chiasm.generation.picture_diffusion import FittedPictures, PictureDiffusion  # noqa: E402
from chiasm.generation.picture_likeness import kernel_distance, untrained  # noqa: E402
from chiasm.generation.tuned_pictures import (  # noqa: E402
    Tuning,
    changed_weights,
    sites_of,
    tuned,
    tuned_small,
)
from pages import ROOT, not_run, part, rows_of, run  # noqa: E402

NAME = "memorised"
PAGE = ROOT / "docs" / "generation.md"
CASES = ("duplicates", "small weights", "searched")
SIDE, MANY, FEW, HELD = 4, 400, 32, 150
BASE = PictureDiffusion(width=8, levels=2, steps=200, batch=16, draws=8, learning_rate=4e-3)
HOW = Tuning(steps=120, batch=16)
RATES = (1.5e-3, 6e-3)
TRIALS, SEARCHED, DRAWN, SEEDS = 12, 200, 300, (1, 2)
TIMES = (1, 4, 16)


def measured(case: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results."""
    start = time.process_time()
    base, train, times, choosing, judging = pictures()
    taught = repeated(train, times)
    rows: list[dict[str, Any]] = []
    if case == "searched":
        front = memory_controlled(
            base, taught, train, choosing, HOW, trials=TRIALS, rates=(RATES[0], RATES[-1]), drawn=SEARCHED
        )
        ways = [(own.sites, own.rate) for own in front] + [(sites_of(base), rate) for rate in RATES]
        for place, (sites, rate) in enumerate(ways):
            models = [tuned(base, taught, None, Tuning(HOW.steps, HOW.batch, rate), sites, seed) for seed in SEEDS]
            searched = front[place].costs if place < len(front) else None
            rows.append({
                "parts": list(sites), "rate": rate, "searched": searched, **judged(base, models, train, times, judging)
            })  # fmt: skip
    else:
        for rate in RATES:
            how = Tuning(HOW.steps, HOW.batch, rate)
            models = [
                tuned(base, taught, None, how, sites_of(base), seed) if case == "duplicates"
                else tuned_small(base, taught, None, Tuning(HOW.steps // 2, HOW.batch, rate), seed)
                for seed in SEEDS
            ]  # fmt: skip
            rows.append({"parts": [], "rate": rate, **judged(base, models, train, times, judging)})
    return {
        "cohort": case, "pictures": len(train), "steps": HOW.steps, "drawn": DRAWN, "seeds": len(SEEDS),
        "base": judged(base, [base] * len(SEEDS), train, times, judging), "rows": rows,
        "seconds": round(time.process_time() - start),
    }  # fmt: skip


@cache
def pictures() -> tuple[FittedPictures, Tensor, np.ndarray, Tensor, Tensor]:
    """The base, the pictures that it is tuned to and how often each is there, and others to search by and judge by."""
    generator = torch.Generator().manual_seed(0)
    left, few, choosing, judging = (
        torch.rand(n, 1, SIDE, SIDE, generator=generator) * 1.6 - 0.8 for n in (MANY, FEW, HELD, HELD)
    )
    left[..., : SIDE // 2] = 0.6 + left[..., : SIDE // 2] / 4
    for own in (few, choosing, judging):
        own[..., SIDE // 2 :] = 0.6 + own[..., SIDE // 2 :] / 4
    times = np.ones(FEW, dtype=int)
    times[: FEW // 8], times[FEW // 8 : FEW // 4] = TIMES[2], TIMES[1]
    return BASE.fit(left, None, 0), few, times, choosing, judging


def judged(
    base: FittedPictures, models: list[FittedPictures], train: Tensor, times: np.ndarray, held: Tensor
) -> dict[str, Any]:
    """What models of several seeds keep by heart, and how near what they draw comes to films held out."""
    found = []
    for seed, model in zip(SEEDS, models, strict=True):
        drawn = model.sample(DRAWN, seed)
        own = memorised(drawn, train, held)
        found.append(
            (own.share, kernel_distance(untrained(drawn), untrained(held)), *(own.of(times == k) for k in TIMES))
        )
    heart, kid, *each = (list(map(float, own)) for own in zip(*found, strict=True))
    return {
        "memorised": heart, "kid": kid, "each": dict(zip(map(str, TIMES), each, strict=True)),
        "weights": changed_weights(base, models[0]),
    }  # fmt: skip


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """Tables of all cases that have run."""
    lines: list[str] = []
    for case in (case for case in CASES if case in rows):
        own = rows[case]
        lines += [
            f"{case.capitalize()}: {own['pictures']} pictures, {own['steps']} steps, {own['drawn']} drawn by each of "
            f"{own['seeds']} seeds, {own['seconds']:,} CPU seconds. Means of the seeds, in brackets least and most.",
            "",
            "| tuned | rate | weights | memorised | KID | " + " | ".join(f"one there {k}x" for k in TIMES) + " |",
            "|---" * (5 + len(TIMES)) + "|",
            _row("nothing", "-", own["base"]),
            *(_row(_name(case, one), f"{one['rate']:.1e}", one) for one in own["rows"]),
        ]
        lines.append("")
    return "\n".join([*lines, *not_run(CASES, rows)]).rstrip() + "\n"


def _name(case: str, row: dict[str, Any]) -> str:
    if case != "searched":
        return {"duplicates": "all parts", "small weights": "the smallest weights"}[case]
    return "all parts" if row["searched"] is None else f"of the front: {', '.join(row['parts']) or 'nothing'}"


def _row(name: str, rate: str, own: dict[str, Any]) -> str:
    def told(values: list[float], digits: int) -> str:
        return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"

    each = (told(own["each"][str(k)], 4) for k in TIMES)
    cells = (name, rate, f"{own['weights']:,}", told(own["memorised"], 3), told(own["kid"], 5), *each)
    return f"| {' | '.join(cells)} |"


def write_part(results: Path, page: Path) -> str:
    """Write the tables to docs/generation.md, and return them."""
    return part(PAGE, NAME, text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, NAME, CASES, measured, write_part)
