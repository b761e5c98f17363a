"""Recipes that draw label maps in images."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "unet", "segmentation.unet:UNet", "segmentation",
        "a target of label maps, and images or volumes encoded as grids",
        Citation(
            "U-Net: Convolutional Networks for Biomedical Image Segmentation",
            "MICCAI", 2015, "https://arxiv.org/abs/1505.04597",
        ),
        tried=("unet",), since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
