"""Writes the cohorts that the archived models read: three kinds of source, a few dozen made patients, every target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

N = 42
TARGETS = {
    "classification": 'kind = "classification"\ncolumn = "label"',
    "multilabel": 'kind = "multilabel"\ncolumns = ["sick", "late"]',
    "regression": 'kind = "regression"\ncolumn = "value"',
    "survival": 'kind = "survival"\ntime = "months"\nevent = "died"',
}
CLINICAL = '[modalities.clinical]\nkind = "table"\ncolumns = ["a0", "a1", "a2", "grade"]'
MODALITIES = {
    "mixed": [
        CLINICAL,
        '[modalities.omics]\nkind = "omics"\ntable = "omics.csv"',
        '[modalities.cells]\nkind = "bag"\npath = "bags/{id}.npy"',
    ],
    "notes": [
        CLINICAL,
        '[modalities.note]\nkind = "text"\ntable = "notes.csv"\ncolumn = "note"\n'
        'encoder = "hf:networks/bert,length=24"',
    ],
    "scans": [
        CLINICAL,
        '[modalities.scan]\nkind = "image"\npath = "scans/{id}.png"\nencoder = "hf:networks/vit"',
    ],
    "sources": [
        CLINICAL,
        '[modalities.labs]\nkind = "events"\ntable = "labs.csv"',
        '[modalities.gene]\nkind = "dna"\ntable = "genes.csv"\ncolumn = "sequence"',
    ],
}
WORDS = ("cough", "no", "and", "a")


def write_cohorts(folder: Path) -> None:
    """Write `<sources>-<target>.toml` for every entry of `MODALITIES` and of `TARGETS`, and the files they name."""
    rng = np.random.default_rng(0)
    ids = [f"p{row:02d}" for row in range(N)]
    ill = rng.random(N) < 0.5
    code = np.arange(N) % 7 + 1  # every pattern of three modalities equally often
    first, second, third = (code & 1 > 0), (code & 2 > 0), (code & 4 > 0)
    patients = _patients(rng, ill)
    patients.loc[~first, ["a0", "a1", "a2", "grade"]] = np.nan  # a patient with empty cells lacks the table
    patients.insert(0, "id", ids)
    patients.to_csv(folder / "patients.csv", index=False)
    _write(folder / "omics.csv", ids, second, rng.normal(size=(N, 6)) + ill[:, None], [f"g{k}" for k in range(6)])
    (folder / "bags").mkdir()
    (folder / "scans").mkdir()
    notes, genes, labs = [], [], []
    for row in range(N):
        if third[row]:
            bag = rng.normal(size=(1 + row % 4, 3)) + ill[row]
            np.save(folder / "bags" / f"{ids[row]}.npy", bag.astype(np.float32))
        if not first[row] or second[row]:  # everybody has the table or the source
            words = [*rng.choice(WORDS, 1 + row % 6), *(["fever", "fever"] if ill[row] else [])]
            notes.append((ids[row], " ".join(words)))
            shares = [0.2, 0.2, 0.2, 0.4] if ill[row] else [0.4, 0.2, 0.2, 0.2]
            genes.append((ids[row], "".join(rng.choice(list("ACGT"), 40 + row, p=shares))))
            pixels = rng.integers(0, 90, (32, 32)) + 120 * ill[row] * (np.arange(32) < 16)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "scans" / f"{ids[row]}.png")
        if third[row]:
            labs += [(ids[row], hour, "K", 4 + ill[row] + rng.normal()) for hour in range(1 + row % 3)]
            labs.append((ids[row], 0, "NA", 140 + rng.normal()))
    pd.DataFrame(notes, columns=["id", "note"]).to_csv(folder / "notes.csv", index=False)
    pd.DataFrame(genes, columns=["id", "sequence"]).to_csv(folder / "genes.csv", index=False)
    pd.DataFrame(labs, columns=["id", "hours", "code", "numeric_value"]).to_csv(folder / "labs.csv", index=False)
    for name, modalities in MODALITIES.items():
        for target, words in TARGETS.items():
            head = f'name = "{name}"\n[patients]\ntable = "patients.csv"\nid = "id"\nsite = "site"\n[target]\n{words}'
            (folder / f"{name}-{target}.toml").write_text("\n".join([head, *modalities]) + "\n", encoding="utf-8")


def _patients(rng: np.random.Generator, ill: np.ndarray) -> pd.DataFrame:
    """Outcomes of every kind and a table with a category and gaps, a row a patient."""
    late = np.where(rng.random(N) < 0.2, np.nan, (rng.random(N) < 0.5).astype(float))
    table = pd.DataFrame(
        {
            "site": np.where(np.arange(N) % 2 == 0, "north", "south"),
            "label": np.where(ill, "yes", "no"),
            "value": (50 + 20 * ill + 5 * rng.normal(size=N)).round(2),
            "months": (rng.exponential(np.where(ill, 10.0, 40.0)) + 0.5).round(2),
            "died": (rng.random(N) < 0.7).astype(int),
            "sick": ill.astype(int),
            "late": late,
            "grade": rng.choice(["high", "low", "middle"], N),
        }
    )
    for k in range(3):
        table[f"a{k}"] = (rng.normal(size=N) + ill).round(4)
    table.loc[np.arange(N) % 9 == 4, "a1"] = np.nan
    return table


def _write(path: Path, ids: list[str], kept: np.ndarray, values: np.ndarray, columns: list[str]) -> None:
    frame = pd.DataFrame(values.round(4), columns=columns)
    frame.insert(0, "id", ids)
    frame[kept].to_csv(path, index=False)
