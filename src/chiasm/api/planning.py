"""Public function that plans networks of label maps from what the images of a cohort are like."""

from __future__ import annotations

import os
from pathlib import Path

from chiasm.api.encoding import encode
from chiasm.cohort import Cohort, Unsupported, open_cohort
from chiasm.fitting.of_images import images_named
from chiasm.segmentation.grids import KINDS
from chiasm.segmentation.plan import Plan, plan_of


def plan(
    cohort: Cohort | str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, modality: str = ""
) -> Plan:
    """Plan the spacing, window and batch of networks that draw label maps, and write the plan.

    Args:
        cohort: a cohort of a target of label maps, or its manifest; what is not encoded yet is encoded.
        out: file of the plan, .json, for the option `plan` of recipes that draw label maps.
        modality: the one that is read; empty: all that are images.

    Raises:
        Unsupported: the target is no label maps, or there are no images encoded as grids.
    """
    opened = cohort if isinstance(cohort, Cohort) else open_cohort(cohort)
    if opened.target is None or not opened.target.has_masks:
        raise Unsupported('what is planned draws label maps: write kind = "mask" in [target]')
    names = images_named(opened, modality, KINDS, "label maps are drawn")
    found = plan_of(encode(opened.with_modalities(list(names))).cohort, names)
    if out is not None:
        found.write(Path(out))
    return found
