"""How memory and time of a sequence network grow with the length of a sequence, to 64,000 letters.

    python benchmarks/sequence_memory.py [CELL ...] && python benchmarks/sequence_memory.py --table

For each cell and length that has no line of the results yet, in a process of its own: the most resident memory while
one sequence of DNA is encoded, less that before, and the seconds. The network has width 64, two blocks, two directions
and one strand. `a letter` is the memory divided by the length: it stays or falls where memory grows linearly. `--table`
writes docs/sequences.md and the plot beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pages import ROOT, part

LENGTHS = (1_000, 4_000, 16_000, 64_000)
CELLS = ("mamba2", "mamba", "mlstm", "xlstm", "gru")
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "sequence_memory.txt", ROOT / "docs" / "sequences.md"
PLOT = ROOT / "docs" / "sequences_memory.svg"


def measure(cell: str, length: int) -> None:
    """Encode one sequence, and print megabytes and seconds as JSON."""
    import numpy as np

    from chiasm.encoders.sequence.sequence_encoder import SequenceEncoder

    encoder = SequenceEncoder(cell=cell)
    letters = np.random.default_rng(0).choice(list("ACGT"), length)
    encoder.encode(["".join(letters[:200])])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    encoder.encode(["".join(letters)])
    seconds = time.process_time() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"megabytes": megabytes, "seconds": seconds}))


def rows(results: Path) -> list[tuple[str, int, float, float]]:
    """Cell, length, megabytes and seconds of each line of the results."""
    found = re.findall(r"^(\w+)\s+([\d,]+)\s+([\d.]+)\s+[\d,.]+\s+([\d.]+)", results.read_text(encoding="utf-8"), re.M)
    return [(cell, int(length.replace(",", "")), float(mb), float(seconds)) for cell, length, mb, seconds in found]


def write_part(results: Path) -> str:
    """Write the plot and the table between the marks of the page, and return the table."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "chiasm"
    from matplotlib import pyplot

    found = rows(results)
    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    for cell in dict.fromkeys(row[0] for row in found):
        own = [row for row in found if row[0] == cell]
        axes.plot([row[1] for row in own], [max(row[2], 0.1) for row in own], marker="o", label=cell)
    axes.set(xscale="log", yscale="log", xlabel="letters of the sequence", ylabel="megabytes beyond the network")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    grown = "\n".join(["", *growth(found), ""])
    picture = f"![Memory of each cell by the length of the sequence]({PLOT.name})\n"
    return part(PAGE, "sequence_memory", f"{picture}\n```text\n{results.read_text(encoding='utf-8')}```\n{grown}")


def growth(found: Sequence[tuple[str, int, float, float]]) -> list[str]:
    """For each cell the power of the length by which memory and seconds grow, from the second length to the longest."""
    told = []
    for cell in dict.fromkeys(row[0] for row in found):
        own = [row for row in found if row[0] == cell and row[1] >= LENGTHS[1]]
        if len(own) < 2:
            continue
        (_, short, least, quick), (_, long, most, slow) = own[0], own[-1]
        powers = [math.log(more / less) / math.log(long / short) for less, more in ((least, most), (quick, slow))]
        told.append(f"`{cell}` {powers[0]:.2f} and {powers[1]:.2f} ({short:,} to {long:,} letters)")
    return (
        [f"The power of the length by which memory and seconds grow (1: linearly): {'; '.join(told)}."] if told else []
    )


def main() -> None:
    """Measure every cell at every length, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", default=CELLS, metavar="CELL")
    parser.add_argument("--one", nargs=2)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.one:
        measure(asked.one[0], int(asked.one[1]))
        return
    if asked.table:
        print(write_part(RESULTS))
        return
    found = {(cell, length): (mb, seconds) for cell, length, mb, seconds in rows(RESULTS)} if RESULTS.exists() else {}
    for cell in asked.cells:
        for length in (length for length in LENGTHS if (cell, length) not in found):
            command = [sys.executable, __file__, "--one", cell, str(length)]
            own = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            found[cell, length] = own["megabytes"], own["seconds"]
            lines = ["cell     letters       MB  bytes a letter  CPU seconds"]
            for (name, letters), (mb, seconds) in sorted(found.items(), key=lambda own: (CELLS.index(own[0][0]), own)):
                lines.append(f"{name:7} {letters:8,} {mb:8.1f} {mb * 2**20 / letters:15,.0f} {seconds:12.1f}")
            RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(cell, length, own, flush=True)


if __name__ == "__main__":
    main()
