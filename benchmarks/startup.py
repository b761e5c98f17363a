"""How long the commands that people type most often take to start: the quickest of five new processes.

    python benchmarks/startup.py

Aims: `import chiasm` in 0.3 s, `chiasm --help` in 0.4 s, and a check without torch. On a busy machine the processor's
seconds say more than the clock's. What may be imported is held by tests/test_architecture.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTS = {
    "python": ["-c", ""],
    "import chiasm": ["-c", "import chiasm; dir(chiasm)"],
    "chiasm --help": ["-m", "chiasm", "--help"],
    "chiasm recipes": ["-m", "chiasm", "recipes"],
    "chiasm check": ["-m", "chiasm", "check", "FOLDER"],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_cohort(Path(folder))
        for name, arguments in STARTS.items():
            arguments = [folder if own == "FOLDER" else own for own in arguments]
            cpu, wall = (min(own) for own in zip(*(seconds(arguments) for _ in range(5)), strict=True))
            print(f"{name:16s} {cpu:.2f} s of a processor, {wall:.2f} s by the clock")


def write_cohort(folder: Path) -> None:
    """Forty patients with one table."""
    rows = [f"p{number},{number % 2},{number}.5" for number in range(40)]
    (folder / "patients.csv").write_text("id,y,x\n" + "\n".join(rows))
    (folder / "cohort.toml").write_text(
        'name = "small"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\n'
        'column = "y"\n[modalities.m]\nkind = "table"\ncolumns = ["x"]\n'
    )


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Processor and wall seconds of one new Python; raises CalledProcessError where it fails."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4]), time.perf_counter() - start


if __name__ == "__main__":
    main()
