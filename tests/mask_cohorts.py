"""Made images of a disc and a square on grey in two contrasts, and volumes of an organ, with their maps, as cohorts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import chiasm

SIDE = 32
LABELS = ("disc", "square")
CONTRASTS = ("one", "two")


def drawn_image(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two contrasts `(SIDE, SIDE)`, the disc brighter in the first, the square in the second, and the label map."""
    down, across = np.mgrid[:SIDE, :SIDE]
    codes = np.zeros((SIDE, SIDE), dtype=np.uint8)
    radius, size = rng.uniform(4, 7), int(rng.integers(6, 10))
    middle = rng.uniform(9, 22, 2)
    corner = rng.integers(1, SIDE - size, 2)
    codes[corner[0] : corner[0] + size, corner[1] : corner[1] + size] = 2
    codes[(down - middle[0]) ** 2 + (across - middle[1]) ** 2 <= radius**2] = 1
    bright = {"one": np.array([100.0, 190.0, 125.0]), "two": np.array([100.0, 120.0, 30.0])}
    noisy = {name: own[codes] + rng.normal(0, 8, codes.shape) for name, own in bright.items()}
    return {name: np.clip(own, 0, 255).astype(np.uint8) for name, own in noisy.items()}, codes


def made_cohort(folder: Path, n: int = 24, seed: int = 0, *, absent: float = 0.0, more: str = "") -> Path:
    """Write images, their label maps and an age into a folder; return the manifest.

    Args:
        absent: share of the patients who lack the first contrast, and of those who lack the second.
        more: lines of `[target]`.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(n):
        images, codes = drawn_image(rng)
        lacking = rng.random()
        for place, (name, picture) in enumerate(images.items()):
            if not place * absent <= lacking < (place + 1) * absent:
                Image.fromarray(picture).save(folder / f"p{k:03d}_{name}.png")
        Image.fromarray(codes).save(folder / f"p{k:03d}_map.png")
        rows.append({"id": f"p{k:03d}", "map": f"p{k:03d}_map.png", "age": float(rng.normal(60, 5))})
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    modalities = "".join(
        f'[modalities.{name}]\nkind = "image"\npath = "{{id}}_{name}.png"\nencoder = "grid"\n' for name in CONTRASTS
    )
    (folder / "cohort.toml").write_text(
        'name = "shapes"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        f'[target]\nkind = "mask"\ncolumn = "map"\nlabels = {json.dumps(list(LABELS))}\n{more}{modalities}',
        encoding="utf-8",
    )
    return folder / "cohort.toml"


def opened(folder: Path, n: int = 24, seed: int = 0, **options: float) -> chiasm.Cohort:
    """The cohort of `made_cohort`, encoded."""
    return chiasm.encode(chiasm.open_cohort(made_cohort(folder, n, seed, **options))).cohort


def volume_cohort(folder: Path, made: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Path:
    """Write volumes `p0.nii.gz`, ... and their label maps `map0.nii.gz`, ... of an organ; return the manifest.

    Args:
        made: of each patient the values and codes of his volume, and the affine of both.
    """
    import nibabel

    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k, (values, codes, affine) in enumerate(made):
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), folder / f"p{k}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(codes.astype(np.uint8), affine), folder / f"map{k}.nii.gz")
        rows.append({"id": f"p{k}", "map": f"map{k}.nii.gz"})
    return organ_cohort(folder, rows, "scan", 'kind = "volume"\npath = "{id}.nii.gz"')


def organ_cohort(folder: Path, rows: list[dict[str, str]], name: str, lines: str) -> Path:
    """Write a table of patients with label maps of an organ, and a manifest with one modality of these lines."""
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "scans"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        f'labels = ["organ"]\n[modalities.{name}]\n{lines}\nencoder = "grid"\n'
    )
    return folder / "cohort.toml"
