"""Public function that makes a cohort of the crops of boxes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chiasm.api.item_cohorts import write_items
from chiasm.cohort.opened import as_cohort
from chiasm.detection.crops import Crops, write_crops

MODALITY = """[modalities.crop]
kind = "image"
path = "crops/{id}.png"
"""


def crops(cohort: Any, out: str | os.PathLike[str], *, modality: str = "", margin: float = 0.1) -> Crops:
    """Cut the boxes of a cohort out of its images, and write a cohort of them to the folder `out`.

    Each crop is a patient of `out/cohort.toml`, with the box's label as its class; the crops of one image, or of one
    group of the cohort, are one group, which no fold parts. `chiasm.patients_right` then says of how many images every
    crop, or most, were told rightly.

    Args:
        cohort: a cohort with a target of boxes, or the path of its manifest.
        modality: the one of the images; empty: the only one of images.
        margin: how much more than the box is cut out on each side, as a share of it.

    Raises:
        Unsupported: the target is not boxes, or no box can be cut out.
    """
    folder = Path(out)
    found = write_crops(as_cohort(cohort), folder, modality, margin)
    write_items(folder, found.table, "crops", "image", "classification", MODALITY)
    return found
