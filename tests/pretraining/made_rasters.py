"""Made rasters: waves of a direction and a wavelength of their own, on one to three axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def waves(number: int, channels: int, size: int, axes: int, seed: int = 0) -> NDArray[np.float32]:
    """Return `(n, C, *space)` around 50, with an amplitude of 20."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.linspace(0, 2 * np.pi, size)] * axes, indexing="ij"))
    rates = rng.uniform(0.5, 2.0, (number, channels, axes))
    phase = rng.uniform(0, 2 * np.pi, (number, channels, *[1] * axes))
    found = 50 + 20 * np.sin(np.tensordot(rates, places, 1) + phase)
    return np.asarray(found, np.float32)


def write_images(folder: Path, items: NDArray[np.float32], encoder: str = "", **columns: list[str]) -> Path:
    """Write a cohort of grey images `(n, 1, H, W)` of 16 bits; `fold` prescribes the folds."""
    from PIL import Image

    (folder / "png").mkdir(parents=True, exist_ok=True)
    names = [f"p{k:03d}" for k in range(len(items))]
    for name, values in zip(names, items, strict=True):
        Image.fromarray((values[0] * 500).clip(0, 65_535).astype(np.uint16)).save(folder / "png" / f"{name}.png")
    rows = [
        ["id", "sick", *columns],
        *map(list, zip(names, [str(k % 2) for k in range(len(items))], *columns.values(), strict=True)),
    ]
    (folder / "patients.csv").write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    if "fold" in columns:
        lines = [",".join(row) for row in (("id", "fold"), *zip(names, columns["fold"], strict=True))]
        (folder / "folds.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    named = f'encoder = "{encoder}"\n' if encoder else ""
    folds = '[folds]\ntable = "folds.csv"\n' if "fold" in columns else ""
    (folder / "cohort.toml").write_text(
        f'name = "made"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\n'
        f'column = "sick"\n[modalities.image]\nkind = "image"\npath = "png/{{id}}.png"\n{named}{folds}',
        encoding="utf-8",
    )
    return folder / "cohort.toml"
