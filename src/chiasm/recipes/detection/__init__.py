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
))
# fmt: on
"""Recipe name to row, in listing order."""
