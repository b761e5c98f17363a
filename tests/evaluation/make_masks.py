"""Writes `fixtures/masks.json`: dice, surface dice, HD95 and recognition quality of made label maps by MONAI.

It runs where MONAI is installed: `python tests/evaluation/make_masks.py`, with `src` and `tests` on the path.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PLACE = Path(__file__).parent / "fixtures" / "masks.json"
TOLERANCE = 1.5
SPACINGS = {2: (0.7, 1.3), 3: (3.0, 0.8, 0.8)}


def made(axes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The true codes of blobs of two labels, and what is said of them: moved, and some left out or added."""
    rng = np.random.default_rng([axes, seed])
    shape = (24, 20) if axes == 2 else (8, 18, 16)
    maps = [np.zeros(shape, dtype=np.int64) for _ in range(2)]
    grid = np.stack(np.meshgrid(*(np.arange(side) for side in shape), indexing="ij"), axis=-1)
    for _ in range(5):
        middle, radius, code = rng.uniform(0, shape), rng.uniform(1.5, 4.5), int(rng.integers(1, 3))
        moved = middle + rng.normal(0, 0.8, axes)
        for own, place, drawn in zip(maps, (middle, moved), (rng.random() < 0.8, rng.random() < 0.8), strict=True):
            if drawn:
                own[((grid - place) ** 2).sum(axis=-1) <= radius**2] = code
    return maps[0], maps[1]


def by_monai(truth: np.ndarray, said: np.ndarray) -> list[list[float]]:
    """`[dice, surface dice, HD95, recognition quality]` of each of two labels by MONAI."""
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
    from monai.metrics.panoptic_quality import compute_panoptic_quality
    from scipy import ndimage

    hot = [torch.from_numpy(np.stack([own == k for k in range(3)])[None].astype(np.float32)) for own in (said, truth)]
    spacing = SPACINGS[truth.ndim]
    dice = compute_dice(*hot, include_background=False)[0]
    near = compute_surface_dice(*hot, class_thresholds=[TOLERANCE] * 2, spacing=spacing)[0]
    far = compute_hausdorff_distance(*hot, percentile=95, spacing=spacing)[0]
    found = []
    for k in (1, 2):
        parts = [torch.from_numpy(ndimage.label(own == k, np.ones((3,) * own.ndim))[0]) for own in (said, truth)]
        quality = compute_panoptic_quality(*parts, metric_name="rq", match_iou_threshold=0.5)
        found.append([float(own[k - 1]) for own in (dice, near, far)] + [float(quality)])
    return found


def written() -> dict[str, Any]:
    """What the fixture holds, of ten pairs of two axes and ten of three."""
    return {f"{axes}-{seed}": by_monai(*made(axes, seed)) for axes in (2, 3) for seed in range(10)}


if __name__ == "__main__":
    PLACE.write_text(json.dumps(written(), indent=1) + "\n", encoding="utf-8")
