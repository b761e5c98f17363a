"""Whether memory grows with the cohort: tokens that stay in the store, trained on and predicted from batch by batch.

    python benchmarks/stream.py [--patients 10000 50000 200000] [--recipe healnet] [--folder FOLDER]

A made cohort: a table of three numbers and stored tokens, 40 of 64 float32 a patient (10 KB), which a tenth of the
patients lack. Tokens are written to the store 2,000 patients at a time, then `fit` runs one epoch of a small network
and `predict` answers for everybody. Each size runs in a process of its own. Shown is the most private memory of each
step (`RssAnon`: pages of the mapped store, which the system takes back when it needs them, do not count), seconds,
what a fit and a prediction take above what is held before, and what the tokens of the cohort would take in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.room import repeatedly

TOKENS, WIDTH, AT_ONCE = 40, 64, 2_000
IDENTITY = "benchmark/1()"
SMALL = "epochs=1,latents=8,latent_width=16,depth=1,heads=2,batch=256"
OPTIONS = {"healnet": SMALL, "lego-fuse": SMALL + ",fuse_epochs=1", "early-fusion": "", "late-fusion": ""}


class Peak:
    """The most private memory of this process while a step runs, in megabytes, read every 5 ms."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, float]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        seen, start = [private_memory()], time.perf_counter()
        try:
            with repeatedly(lambda: seen.append(private_memory()), 0.005):
                yield
        finally:
            self.steps[name] = {"MB": max(seen), "more": max(seen) - seen[0], "s": time.perf_counter() - start}


def private_memory() -> float:
    """Megabytes of this process that are not pages of a mapped file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def one_size(patients: int, recipe: str, folder: Path) -> dict[str, dict[str, float]]:
    """Build, open, fit, predict; what each step took."""
    import chiasm
    from chiasm.cohort import Classification, Encoding, cohort_from_frames
    from chiasm.encoders import registry
    from chiasm.store import TokenStore

    registry.STREAMED_BYTES = 0
    peak = Peak()
    with peak.step("import"):
        import chiasm.api
    with peak.step("cohort"):
        rng = np.random.default_rng(0)
        label = rng.integers(0, 2, patients)
        ids = pd.Index([f"{k:07d}" for k in range(patients)])
        numbers = {f"x{k}": rng.normal(size=patients) + 0.3 * label for k in range(3)}
        cohort = cohort_from_frames(
            pd.DataFrame({"label": label}, index=ids),
            {"table": pd.DataFrame(numbers, index=ids), "scan": pd.DataFrame({"name": ids}, index=ids)},
            Classification("label", ("0", "1")),
            kinds={"table": "table", "scan": "text"},
        )
        del ids, numbers  # the frames are the user's own
    with peak.step("put in store"):
        keys = cohort.sources["scan"].digests(np.arange(patients))
        kept = np.arange(patients) % 10 != 0
        store = TokenStore(folder)
        for start in range(0, patients, AT_ONCE):
            tokens = rng.standard_normal((min(AT_ONCE, patients - start), TOKENS, WIDTH), dtype=np.float32)
            tokens[:, :, 0] += 0.3 * label[start : start + AT_ONCE, None]
            store.put(IDENTITY, keys[start : start + AT_ONCE], list(tokens), slots=TOKENS)
    with peak.step("open"):
        own = keys[kept]
        stored = store.open(IDENTITY, own)
        cohort = cohort.with_values("scan", "tokens", stored, kept, Encoding("text", "benchmark", IDENTITY), own)
        del keys, tokens, store
    with peak.step("fingerprint"):
        assert cohort.fingerprint
    with peak.step("fit"):
        options = OPTIONS[recipe]
        model = chiasm.fit(cohort, f"{recipe}:{options}" if options else recipe, seed=0)
    with peak.step("predict"):
        assert len(model.predict(cohort)) == patients
    return peak.steps


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether memory grows with the cohort.")
    parser.add_argument("--patients", type=int, nargs="+", default=[10_000, 50_000, 200_000])
    parser.add_argument("--recipe", choices=list(OPTIONS), default="healnet")
    parser.add_argument("--folder", type=Path, help="where to write; the system's temporary folder unless given")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(one_size(chosen.patients[0], chosen.recipe, chosen.folder)))
        return
    rows = {}
    for patients in chosen.patients:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
            command = [sys.executable, __file__, "--inside", "--recipe", chosen.recipe]
            command += ["--patients", str(patients), "--folder", str(Path(scratch) / "store")]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        rows[patients] = json.loads(done.stdout)
    print("private MB (seconds)".ljust(24) + "".join(f"{patients:>18,}" for patients in rows))
    for name in next(iter(rows.values())):
        cells = (f"{row[name]['MB']:,.0f} ({row[name]['s']:.1f})" for row in rows.values())
        print(name.ljust(24) + "".join(cell.rjust(18) for cell in cells))
    for name in ("fit", "predict"):
        cells = (f"{row[name]['more']:,.0f}" for row in rows.values())
        print(f"more in {name}".ljust(24) + "".join(cell.rjust(18) for cell in cells))
    sizes = (f"{patients * TOKENS * WIDTH * 4 / 2**20:,.0f}" for patients in rows)
    print("tokens, MB".ljust(24) + "".join(size.rjust(18) for size in sizes))


if __name__ == "__main__":
    main()
