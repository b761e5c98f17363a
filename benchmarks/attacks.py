"""What attacks take from networks of a real cohort: on one modality, and on all at once.

    python benchmarks/attacks.py [--data ../shared/data] [--out benchmarks/results/attacks.jsonl] [line ...]
    python benchmarks/attacks.py --table    writes the part of docs/benchmarks.md

pbc-visits, survival from a landmark, five folds of one repeat: `contextual-fusion` as it stands and with its guarded
branch, and `healnet`, under `chiasm.stress(faults="attack")`. The published threat model moves one branch; the honest
one moves every modality, for an attacker who knows the network is not kept to one. Noise is random signs of the size of
the attack. A line is `recipe`, finished once it is in `--out`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import chiasm  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

COHORT = "pbc-visits"
RECIPES = ("contextual-fusion", "contextual-fusion:guarded=visits,alpha=0.1", "healnet")
NAME = "attacks"
INTRODUCTION = """## What attacks take from networks

`python benchmarks/attacks.py`, its results in `benchmarks/results/attacks.jsonl`; this part of the page is written by
`--table`. pbc-visits, 290 patients, five folds: Harrell's C of networks whose tokens are moved by so many standard
deviations of the training tokens, by who knows network and outcome (fgsm in one step, pgd in ten), beside random moves
of that size; 95 % intervals, given the fitted models. Contextual fusion was published against an attack on one branch;
`(all)` moves every modality, which is the attack to judge a recipe by.
"""


def main() -> None:
    run(__doc__, NAME, RECIPES, attacked, write_part)


def attacked(recipe: str, data: Path, work: Path) -> dict[str, Any]:
    """Attack a recipe: a line of the results."""
    start = time.process_time()
    found = chiasm.stress(
        data / COHORT / "cohort.toml", [recipe], faults="attack", protocol=chiasm.Protocol(repeats=1), jobs=1
    )
    rows = found.attacks.round(4)
    return {
        "cohort": recipe,
        "metric": found.metric,
        "attacks": rows.astype(object).where(rows.notna(), None).to_dict("records"),
        "not attacked": dict(found.not_attacked),
        "cpu seconds": round(time.process_time() - start),
    }


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = [INTRODUCTION, "| recipe | attack | on | radius | clean | noise | attacked | lost |", f"|{'---|' * 8}"]
    for recipe in (own for own in RECIPES if own in rows):
        for own in rows[recipe]["attacks"]:
            lost = "not estimable" if own["lost"] is None else f"{100 * own['lost']:.0f} %"
            attack = f"{own['attacked']:.3f} ({own['low']:.3f} to {own['high']:.3f})"
            lines.append(
                f"| `{recipe}` | {own['attack']} | {own['modality']} | {own['radius']:g} | {own['clean']:.3f} | "
                f"{own['noise']:.3f} | {attack} | {lost} |"
            )
    lines += [f"`{own}`: {why}" for row in rows.values() for own, why in row["not attacked"].items()]
    return part(page, NAME, "\n".join([*lines, *not_run(RECIPES, rows), ""]))


if __name__ == "__main__":
    main()
