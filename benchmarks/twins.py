"""Controllers in simulators of patients: a trained network beside PID, the best constant dose, the usual, the lowest.

Each twin of `chiasm control` with its own defaults: controllers are chosen on some patients and scenarios, and tried on
others. `glucose` trains on adults and adolescents 1 to 5 of simglucose and is tried on 6 to 10 of each, over two days
in three scenarios. Prints the table and the sentences of each twin, one twin after another.

    python benchmarks/twins.py glucose predator-prey metabolic > benchmarks/results/twins.txt
"""

from __future__ import annotations

import sys
import time

import chiasm

COLUMNS = ("cost", "in_range", "below", "very_low", "episodes", "dose")


def main() -> None:
    for twin in sys.argv[1:] or ("glucose", "predator-prey", "metabolic"):
        start = time.process_time()
        found = chiasm.control({"twin": twin})
        print(f"{twin}: {time.process_time() - start:.0f} s of one core")
        for row in found.table.to_dict("records"):
            told = (f"{own} {row[own]:.3f} ({row[f'{own}_low']:.3f} to {row[f'{own}_high']:.3f})" for own in COLUMNS)
            print(f"  {row['controller']:14s} {'  '.join(told)}")
        for sentence in found.sentences:
            print(f"  {sentence}")
        checks = (f"{epoch}: {cost:.3f}" for epoch, cost in found.study.trained.checked)
        print(f"  checks: {', '.join(checks)}", flush=True)


if __name__ == "__main__":
    main()
