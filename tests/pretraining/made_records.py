"""Made records of events with known answers: codes that follow one another, and times that a code tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.readers.reading import Events

CODES = np.array([f"LAB//{letter}" for letter in "abcd"])
FOLLOWS = 0.9
"""Chance that a code is followed by the next one; any of the four follows else. Of a code's time no more is drawn."""


def records(number: int, seed: int = 0, on_grid: bool = False) -> list[Events]:
    """Records of 8 to 16 events without values; the next one comes an hour behind a and c, half a day behind b and d.

    Args:
        on_grid: these times are exact, and no hour but none at all, as in records that are written visit by visit.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        places = [int(rng.integers(4))]
        while len(places) < rng.integers(8, 17):
            places.append((places[-1] + 1) % 4 if rng.random() < FOLLOWS else int(rng.integers(4)))
        waits = np.where(np.array(places) % 2, 12.0, 0.0 if on_grid else 1.0)
        waits = waits if on_grid else waits * rng.uniform(0.9, 1.1, len(places))
        hours = np.concatenate([[0.0], np.cumsum(waits)[:-1]])
        found.append(Events(hours, CODES[places], np.full(len(places), np.nan, np.float32)))
    return found


def write_records(folder: Path, own: list[Events], encoder: str = "", **columns: list[str]) -> Path:
    """Write a cohort of one modality of events, `stays`, with further columns of its table."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"p{k:03d}" for k in range(len(own))]
    rows = [
        {"id": name, "hours": hour, "code": code}
        for name, record in zip(ids, own, strict=True)
        for hour, code in zip(record.hours, record.codes, strict=True)
    ]
    pd.DataFrame(rows).to_csv(folder / "events.csv", index=False)
    table = pd.DataFrame({"id": ids, "sick": [k % 2 for k in range(len(own))], **columns})
    table.to_csv(folder / "patients.csv", index=False)
    group = 'group = "group"\n' if "group" in columns else ""
    named = f'encoder = "{encoder}"\n' if encoder else ""
    (folder / "cohort.toml").write_text(
        f'name = "made"\n[patients]\ntable = "patients.csv"\nid = "id"\n{group}[target]\nkind = "classification"\n'
        f'column = "sick"\n[modalities.stays]\nkind = "events"\ntable = "events.csv"\n{named}',
        encoding="utf-8",
    )
    return folder / "cohort.toml"
