"""Made images of bright squares and dark discs on grey, with their boxes, as cohorts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import chiasm

SIDE = 32
LABELS = ("square", "disc")


def drawn_image(rng: np.random.Generator, most: int = 3) -> tuple[np.ndarray, list[list[object]]]:
    """An image `(SIDE, SIDE)`, and its boxes, `[label, left, top, right, bottom]` in shares; one to `most` things."""
    picture = np.full((SIDE, SIDE), 120.0) + rng.normal(0, 3, (SIDE, SIDE))
    down, across = np.mgrid[:SIDE, :SIDE]
    taken, rows = np.zeros((SIDE, SIDE), dtype=bool), list[list[object]]()
    for _ in range(int(rng.integers(1, most + 1))):
        size = int(rng.integers(6, 11))
        x, y = (int(own) for own in rng.integers(0, SIDE - size, 2))
        if taken[y : y + size, x : x + size].any():
            continue
        taken[y : y + size, x : x + size] = True
        square = bool(rng.random() < 0.5)
        middle = (y + (size - 1) / 2, x + (size - 1) / 2)
        disc = (down - middle[0]) ** 2 + (across - middle[1]) ** 2 <= (size / 2) ** 2
        inside = np.zeros_like(taken)
        inside[y : y + size, x : x + size] = True
        picture[inside if square else disc] = 220 if square else 30
        rows.append([LABELS[0 if square else 1], *(own / SIDE for own in (x, y, x + size, y + size))])
    return np.clip(picture, 0, 255).astype(np.uint8), rows


def made_cohort(folder: Path, n: int, seed: int = 0, *, encoder: str = f"patches:size={SIDE},patch=8") -> Path:
    """Write images, their boxes and an age into a folder; return the manifest."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(n):
        picture, boxes = drawn_image(rng)
        Image.fromarray(picture).save(folder / f"p{k:03d}.png")
        rows.append({"id": f"p{k:03d}", "boxes": json.dumps(boxes), "age": float(rng.normal(60, 5))})
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "shapes"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        f'[target]\nkind = "boxes"\ncolumn = "boxes"\nlabels = {json.dumps(list(LABELS))}\n'
        f'[modalities.image]\nkind = "image"\npath = "{{id}}.png"\nencoder = "{encoder}"\n',
        encoding="utf-8",
    )
    return folder / "cohort.toml"


def opened(folder: Path, n: int, seed: int = 0) -> chiasm.Cohort:
    """The cohort of `made_cohort`, encoded."""
    return chiasm.encode(chiasm.open_cohort(made_cohort(folder, n, seed))).cohort
