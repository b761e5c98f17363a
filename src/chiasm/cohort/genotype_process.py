"""Read the genotypes of a VCF or BCF file in a process of its own; see `own_process.py`.

The header names `samples`, and of each allele that is counted `chromosomes`, `positions`, `identifiers`, `references`
and `alleles`; `left_out` counts what is not read, by reason, `halves` half calls, `filtered` what failed a filter and
`unsure` dosages of X, Y and MT without the calls that say how many copies there are.
Behind it stand the dosages as float32, allele by allele.
"""

from __future__ import annotations

import json
import struct
import sys
from collections import Counter
from typing import Any

import numpy as np

LIMIT, DAMAGED, NO_SAMPLES, DOSAGES = 3, 4, 5, 6  # exit codes
ONCE = ("X", "Y", "M", "MT", "23", "24", "26")  # chromosomes that a patient may have once
NO_ALLELES = ("*", "<*>", "<NON_REF>", "<X>")  # an overlapping deletion, and what any other allele would be


def main(path: str, field: str, most: int) -> int:
    """Read and write; return the exit code."""
    import cyvcf2  # type: ignore[import-untyped]

    found: dict[str, list[Any]] = {
        name: [] for name in ("chromosomes", "positions", "identifiers", "references", "alleles")
    }
    counts: Counter[str] = Counter()
    blocks = []
    try:
        file = cyvcf2.VCF(path)
        samples = list(file.samples)
        if not samples:
            return NO_SAMPLES
        for record in file:
            doses = _doses(record, field, counts)
            if isinstance(doses, int):
                return doses
            counts["filtered"] += record.FILTER is not None and doses is not None
            for allele, values in zip(record.ALT, [] if doses is None else doses, strict=doses is not None):
                if allele in NO_ALLELES:
                    continue
                own = (record.CHROM, record.POS, record.ID or "", record.REF, allele)
                for name, value in zip(found, own, strict=True):
                    found[name].append(value)
                blocks.append(values)
            if len(blocks) * len(samples) > most:
                return LIMIT
    except Exception:  # messages of the package quote paths and cells
        return DAMAGED
    kinds = ("filtered", "halves", "unsure")
    left_out = {reason: number for reason, number in counts.items() if reason not in kinds and number}
    header = {"samples": samples, **found, "left_out": left_out, **{kind: counts[kind] for kind in kinds}}
    written = json.dumps(header).encode()
    sys.stdout.buffer.write(struct.pack("<Q", len(written)) + written)
    for values in blocks:
        sys.stdout.buffer.write(values.astype("<f4").tobytes())
    return 0


def _doses(record: Any, field: str, counts: Counter[str]) -> list[Any] | int | None:
    """Copies of each other allele `(n,)`, NaN where not known; None where the record is left out, or an exit code."""
    if all(allele in NO_ALLELES for allele in record.ALT):
        counts["without another allele"] += 1
        return None
    if field not in (record.FORMAT or []):
        counts[f"without {field}"] += 1
        return None
    if field == "DS":
        values = record.format("DS")
        if values is None or values.shape[1] != len(record.ALT):
            counts["with another number of dosages than alleles"] += 1
            return None
        values = np.where(np.isfinite(values), values, np.nan)
        values = values * _share(record, values, counts)[:, None]
        return DOSAGES if ((values < 0) | (values > 2)).any() else list(values.T)
    calls = np.asarray(record.genotype.array())[:, :-1]
    if calls.shape[1] > 2 and (calls[:, 2:] != -2).any():
        counts["with more than two copies"] += 1
        return None
    first = calls[:, 0]
    second = calls[:, 1] if calls.shape[1] > 1 else np.full(len(first), -2)
    second = np.where(second == -2, first, second)  # of a chromosome that is there once, the call counts twice
    counts["halves"] += int(((first < 0) != (second < 0)).sum())
    missing = (first < 0) | (second < 0)
    return [
        np.where(missing, np.nan, (first == number).astype(np.float32) + (second == number))
        for number in range(1, len(record.ALT) + 1)
    ]


def _share(record: Any, values: Any, counts: Counter[str]) -> Any:
    """By what dosages `(n, k)` are multiplied to be of two copies, `(n,)`: 2 where the call says that there is one."""
    share = np.ones(len(values))
    known = np.zeros(len(values), dtype=bool)
    if "GT" in (record.FORMAT or []):
        calls = np.asarray(record.genotype.array())[:, :-1]
        known = calls[:, 0] >= 0
        share[known & (calls.shape[1] == 1 or calls[:, 1] == -2)] = 2.0
    if record.CHROM.upper().removeprefix("CHR") in ONCE:
        counts["unsure"] += bool((~known & ~np.isnan(values).all(axis=1)).any())
    return share


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
