"""Pictures of patients: a spot whose place is each patient's own, bright where the outcome is 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDE = 12


def spots(n: int, seed: int = 0, side: int = SIDE) -> tuple[Tensor, np.ndarray]:
    """Pictures `(n, 1, side, side)` in -1 to 1, and the outcome `(n,)` of 0 and 1."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(0, 2, n)
    centre = rng.uniform(3, side - 3, (n, 2))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    far = ((grid[None] - centre[:, :, None, None]) ** 2).sum(1)
    values = -0.8 + (0.6 + 0.9 * bright)[:, None, None] * np.exp(-far / 6) + 0.05 * rng.normal(size=far.shape)
    return torch.tensor(values[:, None].clip(-1, 1), dtype=torch.float32), bright


def picture_cohort(folder: Path, n: int, lack: int = 0, seed: int = 0) -> Path:
    """Write a cohort of a table, an outcome and a PNG of each patient but the first `lack`; return its manifest."""
    from PIL import Image

    pictures, bright = spots(n, seed)
    rng = np.random.default_rng(seed + 1)
    age = 60 + 8 * bright + rng.normal(0, 6, n).round(1)
    (folder / "png").mkdir(parents=True)
    rows = ["patient,age,sick"] + [f"c{k},{age[k]:.1f},{'yes' if bright[k] else 'no'}" for k in range(n)]
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    for k in range(lack, n):
        Image.fromarray(((pictures[k, 0].numpy() + 1) / 2 * 255).astype(np.uint8)).save(folder / "png" / f"c{k}.png")
    (folder / "cohort.toml").write_text(
        'name = "spots"\n[patients]\ntable = "patients.csv"\nid = "patient"\n'
        '[target]\nkind = "classification"\ncolumn = "sick"\n'
        '[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n'
        '[modalities.image]\nkind = "image"\npath = "png/{id}.png"\n'
    )
    return folder / "cohort.toml"
