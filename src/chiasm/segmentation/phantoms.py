"""Phantoms: made images of a body in two contrasts whose label map is known, alone or as the files of a cohort.

A body of soft tissue holds an organ with a tumour in it, and beside it another organ. The first contrast, `clear`,
shows both organs well and the tumour hardly; the second, `noisy`, shows the tumour under noise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = ("organ", "tumour", "other")
CONTRASTS = ("clear", "noisy")
NOISE = (0.06, 0.16)
"""Deviation of the noise of each contrast, whose brightness lies between 0 and 1."""
# brightness of air, body, organ, tumour, other organ, and the core of a malignant tumour
BRIGHT = {"clear": (0.05, 0.35, 0.65, 0.59, 0.5, 0.59), "noisy": (0.05, 0.4, 0.45, 0.85, 0.3, 0.55)}
SPACING_MM = 2.0
Shape = tuple[int, int] | tuple[int, int, int]
Floats = NDArray[np.float32]


def phantom(
    seed: int | Sequence[int],
    shape: Shape = (64, 64),
    noise: Sequence[float] = NOISE,
    *,
    inverted: bool = False,
    useful: bool = True,
    tumour: bool = True,
    malignant: bool = False,
) -> tuple[dict[str, Floats], NDArray[np.uint8]]:
    """The images of a phantom by contrast, float32 between 0 and 1, and its codes: 0, or 1 + the place in `LABELS`.

    The same seed gives the same anatomy and the same noise, whatever the other arguments say.

    Args:
        shape: of images and codes.
        noise: deviation of the noise in `clear` and in `noisy`.
        inverted: bright is dark, as between two kinds of scanner.
        useful: whether `noisy` shows anything; otherwise it is noise alone.
        tumour: whether there is one.
        malignant: whether the tumour has a core, which `noisy` shows darker than its rim.
    """
    rng = np.random.default_rng(seed)
    axes = len(shape)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))
    body = inside(at, rng.normal(0, 0.03, axes), rng.uniform(0.78, 0.92, axes), rng)
    side = np.where(rng.random() < 0.5, -1.0, 1.0)
    middle = np.r_[rng.uniform(-0.15, 0.15, axes - 1), -0.33 * side + rng.normal(0, 0.03)]
    radius = rng.uniform(0.26, 0.36, axes)
    organ = inside(at, middle, radius, rng)
    beside = np.r_[rng.uniform(-0.25, 0.25, axes - 1), 0.4 * side + rng.normal(0, 0.03)]
    other = inside(at, beside, rng.uniform(0.14, 0.24, axes), rng)
    way = rng.normal(size=axes)
    place = middle + 0.4 * radius * way / np.linalg.norm(way)
    size = rng.uniform(0.09, 0.16)
    lesion = inside(at, place, np.full(axes, size), rng) & organ
    core = inside(at, place, np.full(axes, 0.55 * size), rng) & lesion
    codes = np.zeros(shape, dtype=np.uint8)
    codes[other & body] = 3
    codes[organ & body] = 1
    tissue = np.where(codes == 3, 4, codes + body)
    if tumour:
        codes[lesion & body] = 2
        tissue[lesion & body] = 3
        tissue[core & body & malignant] = 5
    field = 1 + 0.1 * np.tensordot(rng.normal(0, 0.5, axes), at, 1)  # of a coil: brighter on one side
    images = {}
    for name, spread in zip(CONTRASTS, noise, strict=True):
        grain = rng.normal(0, 1, shape)
        clean = np.array(BRIGHT[name])[tissue] * field
        if name == CONTRASTS[1] and not useful:
            clean, spread = np.full(shape, 0.4), max(spread, 0.16)
        values = clean + spread * grain
        images[name] = np.clip(1 - values if inverted else values, 0, 1).astype(np.float32)
    return images, codes


def inside(
    at: NDArray[np.float64], middle: NDArray[np.float64], radius: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Whether each place `(axes, ...)` lies in an ellipsoid whose surface is wavy."""
    wide = (slice(None), *[None] * len(middle))
    way = (at - middle[wide]) / radius[wide]
    far = np.sqrt((way**2).sum(0))
    unit = way / np.maximum(far, 1e-9)
    waves = np.zeros(at.shape[1:])
    for often in (2, 3):
        waves += 0.06 * np.prod(np.cos(often * unit + rng.uniform(0, 2 * np.pi, len(middle))[wide]), axis=0)
    return np.asarray(far <= 1 + waves)


def phantom_cohort(
    folder: Path,
    patients: int,
    shape: Shape = (64, 64),
    missing: float = 0.0,
    seed: int = 0,
    *,
    noise: Sequence[float] = NOISE,
    inverted: bool = False,
    useful: bool = True,
    healthy: float = 0.0,
) -> Path:
    """Write phantoms as a cohort, pictures in PNG or volumes in NIfTI of 2 mm a voxel; return its manifest.

    The table has the patients' label maps, an age, and in `malignant` whether the tumour is, every second one.

    Args:
        missing: share of the patients who lack one of the contrasts, each as often as the other.
        noise, inverted, useful: see `phantom`.
        healthy: share of the patients without a tumour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    lacking = rng.permutation(patients)  # the first of them lack a contrast
    well = rng.permutation(patients) < round(healthy * patients)
    ending = "png" if len(shape) == 2 else "nii.gz"
    rows = ["id,map,age,malignant"]
    for k in range(patients):
        malignant = bool(k % 2) and not well[k]
        images, codes = phantom(
            (seed, k), shape, noise, inverted=inverted, useful=useful, tumour=not well[k], malignant=malignant
        )
        for place, (name, values) in enumerate(images.items()):
            if not (lacking[k] < round(missing * patients) and lacking[k] % 2 == place):
                written(folder / f"p{k:03d}_{name}.{ending}", np.round(255 * values).astype(np.uint8))
        written(folder / f"p{k:03d}_map.{ending}", codes)
        rows.append(f"p{k:03d},p{k:03d}_map.{ending},{rng.normal(60, 8):.1f},{int(malignant)}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    kind = "image" if len(shape) == 2 else "volume"
    modalities = "".join(
        f'[modalities.{name}]\nkind = "{kind}"\npath = "{{id}}_{name}.{ending}"\nencoder = "grid"\n'
        for name in CONTRASTS
    )
    (folder / "cohort.toml").write_text(
        'name = "phantoms"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        f'[target]\nkind = "mask"\ncolumn = "map"\nlabels = {json.dumps(list(LABELS))}\n{modalities}',
        encoding="utf-8",
    )
    return folder / "cohort.toml"


def written(path: Path, values: NDArray[np.uint8]) -> None:
    """Write `(H, W)` as PNG, or `(D, H, W)` as NIfTI that is read again with the same axes."""
    if values.ndim == 2:
        from PIL import Image

        Image.fromarray(values).save(path)
        return
    import nibabel

    turned = values.transpose(2, 1, 0)[::-1, ::-1]
    image = nibabel.Nifti1Image(turned, np.diag([SPACING_MM] * 3 + [1.0]))  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nibabel.save(image, path)
