"""The methods by which networks are pretrained on rasters."""

from __future__ import annotations

import math

from chiasm.pretraining.rasters import bm_mae, byol, dino, mae, moco, simclr, spark, swav, text_beside
from chiasm.pretraining.rasters.learner import RasterMethod

METHODS: dict[str, RasterMethod] = {
    "mae": RasterMethod(
        mae.build, ("vit",), "hidden patches from those that are seen", "He et al., CVPR 2022, arXiv:2111.06377",
        share=0.75, alone=True,
    ),
    "simclr": RasterMethod(
        simclr.build, ("vit", "conv"), "which two views are of one item", "Chen et al., ICML 2020, arXiv:2002.05709",
        nothing=lambda items: math.log(2 * items - 1),
    ),
    "spark": RasterMethod(
        spark.build, ("conv",), "hidden patches from those that are seen", "Tian et al., ICLR 2023, arXiv:2301.03580",
        share=0.6,
    ),
    "moco": RasterMethod(
        moco.build, ("vit", "conv"), "which view is of the same item, among items of earlier steps",
        "He et al., CVPR 2020, arXiv:1911.05722", nothing=math.log,
    ),
    "byol": RasterMethod(
        byol.build, ("vit", "conv"), "how a slow copy of the network sees another view of the item",
        "Grill et al., NeurIPS 2020, arXiv:2006.07733", chooses=False,
    ),
    "swav": RasterMethod(
        swav.build, ("vit", "conv"), "to which of equally used prototypes another view of the item belongs",
        "Caron et al., NeurIPS 2020, arXiv:2006.09882", nothing=lambda items: math.log(swav.PROTOTYPES),
    ),
    "dino": RasterMethod(
        dino.build, ("vit", "conv"), "what a slow copy of the network chooses for another view of the item",
        "Caron et al., ICCV 2021, arXiv:2104.14294", chooses=False,
    ),
    "chada": RasterMethod(
        dino.build, ("channels",), "what a slow copy of the network chooses for another view of the channels there are",
        "Bourriez et al., CVPR 2024, arXiv:2311.15264", chooses=False,
    ),
    "bm-mae": RasterMethod(
        bm_mae.build, ("channels",), "hidden patches of every contrast from those that are seen of any",
        "Robinet et al., 2025, arXiv:2505.00568", share=0.75, alone=True,
    ),
    "clip": RasterMethod(
        text_beside.clip, ("vit", "conv"), "which text is the item's", "Radford et al., ICML 2021, arXiv:2103.00020",
        beside=("text",), nothing=math.log,
    ),
    "siglip": RasterMethod(
        text_beside.siglip, ("vit", "conv"), "of each item and text, whether they belong together",
        "Zhai et al., ICCV 2023, arXiv:2303.15343", beside=("text",),
    ),
    "unicl": RasterMethod(
        text_beside.unicl, ("vit", "conv"), "which texts are of the item's labels, or its own",
        "Yang et al., CVPR 2022, arXiv:2204.03610", beside=("text", "labels"),
    ),
    "flair": RasterMethod(
        text_beside.flair, ("vit", "conv"), "which texts are of a label that the item has",
        "Silva-Rodriguez et al., Medical Image Analysis 2025, arXiv:2308.07898", beside=("text", "labels"),
    ),
    "devide": RasterMethod(
        text_beside.devide, ("vit", "conv"), "which texts are of a label that the item has, and where it shows them",
        "Luo et al., 2024, arXiv:2404.03618", beside=("text", "labels"),
    ),
    "bioclip": RasterMethod(
        text_beside.bioclip, ("vit", "conv"), "which captions are of the item's species",
        "Stevens et al., CVPR 2024, arXiv:2311.18803", beside=("text", "labels"),
    ),
    "clinical-labels": RasterMethod(
        text_beside.build_clinical, ("vit", "conv"), "which views are of an item, or of one with the same labels",
        "Prabhushankar et al., OLIVES, NeurIPS 2022, arXiv:2209.11195", beside=("labels",),
    ),
}  # fmt: skip
