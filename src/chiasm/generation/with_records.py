"""Event records of drawn patients, and rows in which what is told of records stands for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from chiasm.cohort import Unsupported
from chiasm.errors import count
from chiasm.generation.record_network import fit_records
from chiasm.generation.records import Records, most_told
from chiasm.generation.rows import Rows


class Recorded(NamedTuple):
    """Drawn, training and held out patients with what is told of their records, the drawn records, and sentences."""

    made: Rows
    train: Rows
    held: Rows
    records: dict[str, Records]
    sentences: tuple[str, ...]


def with_records(
    made: Rows,
    train: tuple[Rows, Mapping[str, Records]],
    held: tuple[Rows, Mapping[str, Records]],
    seed: int,
) -> Recorded:
    """Draw the records of patients whose other columns, and how many events there are in how many hours, are drawn.

    What is told of a record, to compare patients by: these two, and how often each of at most twenty codes is there and
    its mean value.

    Raises:
        Unsupported: no code of a modality is of five patients.
    """
    rows, drawn, said = [made, train[0], held[0]], {}, []
    for name, own in train[1].items():
        codes = most_told(own)
        if not codes:
            raise Unsupported(
                f"no code of modality '{name}' is of five patients, so that nobody could hide: leave it out"
            )
        fitted = fit_records(own, train[0], seed)
        drawn[name] = fitted.sample(made, made.present[name], seed)
        left = len(set(own.codes.tolist())) - len(fitted.words.codes)
        if left:
            said.append(f"{count(left, 'code')} of '{name}' that fewer than five patients have are left out.")
        told = [records.told(codes) for records in (drawn[name], own, held[1][name])]
        same = told[1].columns
        rows = [
            replace(one, blocks=one.blocks | {name: frame.reindex(columns=same)})
            for one, frame in zip(rows, told, strict=True)
        ]
    return Recorded(rows[0], rows[1], rows[2], drawn, tuple(said))
