"""Recipes that draw boxes in images."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "centres", "detection.centres:Centres", "detection",
        "a target of boxes, and images encoded as patches",
        Citation("Objects as Points", "arXiv", 2019, "https://arxiv.org/abs/1904.07850"),
        tried=("centres",), since="0.2.0",
    ),
    Row(
        "detector", "detection.detector:Detector", "detection",
        "a target of boxes, and images encoded as patches; the package transformers",
        Citation("DETRs Beat YOLOs on Real-time Object Detection", "CVPR", 2024, "https://arxiv.org/abs/2304.08069"),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
