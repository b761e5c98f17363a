"""Made images of two discs in one of two contrasts, which no image tells apart: one is the other turned upside down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import chiasm

SIDE = 32
LABELS = ("kidney", "spleen")
LEVELS = {"ct": (128, 220, 40), "mr": (128, 40, 220)}  # of no label and of each label


def unpaired(folder: Path, n: int, seed: int = 0, *, side: int = SIDE) -> chiasm.Cohort:
    """Patients of whom every second one has a `ct`, the others an `mr`, in which the two discs change their greys."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    down, across = np.mgrid[:side, :side]
    rows = []
    for k in range(n):
        codes = np.zeros((side, side), dtype=np.uint8)
        middles = np.array([[side / 4, side / 4], [3 * side / 4, 3 * side / 4]]) + rng.uniform(-2, 2, (2, 2))
        if rng.random() < 0.5:
            middles[:, 1] = side - middles[:, 1]
        for code, middle in zip(rng.permutation(2) + 1, middles, strict=True):
            codes[((down - middle[0]) ** 2 + (across - middle[1]) ** 2) <= rng.uniform(side / 8, side / 5) ** 2] = code
        contrast = ("ct", "mr")[k % 2]
        grey = np.array(LEVELS[contrast], dtype=float)[codes] + rng.normal(0, 10, codes.shape)
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(folder / f"p{k:03d}_{contrast}.png")
        Image.fromarray(codes).save(folder / f"p{k:03d}_map.png")
        rows.append({"id": f"p{k:03d}", "map": f"p{k:03d}_map.png"})
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    modalities = "".join(
        f'[modalities.{name}]\nkind = "image"\npath = "{{id}}_{name}.png"\nencoder = "grid"\n' for name in LEVELS
    )
    (folder / "cohort.toml").write_text(
        'name = "unpaired"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        f'[target]\nkind = "mask"\ncolumn = "map"\nlabels = ["kidney", "spleen"]\n{modalities}',
        encoding="utf-8",
    )
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml")).cohort
