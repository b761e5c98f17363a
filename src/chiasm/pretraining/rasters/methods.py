"""The methods by which networks are pretrained on rasters."""

from __future__ import annotations

import math

from chiasm.pretraining.rasters import mae, simclr
from chiasm.pretraining.rasters.learner import RasterMethod

METHODS: dict[str, RasterMethod] = {
    "mae": RasterMethod(
        mae.build, ("vit",), "hidden patches from those that are seen", "He et al., CVPR 2022, arXiv:2111.06377",
        share=0.75, alone=True, nothing=lambda items: 1.0,
    ),
    "simclr": RasterMethod(
        simclr.build, ("vit", "conv"), "which two views are of one item", "Chen et al., ICML 2020, arXiv:2002.05709",
        nothing=lambda items: math.log(2 * items - 1),
    ),
}  # fmt: skip
