"""Recipes in which a causal language model reads modalities through a connector, and answers."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "llava-med", "language.llava_med:LlavaMed", "language",
        "a target that is a choice, a class or a text, and a modality that is no text",
        Citation(
            "LLaVA-Med: Training a Large Language-and-Vision Assistant for Biomedicine in One Day",
            "NeurIPS", 2023, "https://arxiv.org/abs/2306.00890",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
