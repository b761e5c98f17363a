"""Alignment recipes: modalities brought into one space without labels, in which they are compared and found."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "clip-pairs", "alignment.clip_pairs:ClipPairs", "alignment",
        "two modalities or more, some patients with both",
        Citation(
            "Learning Transferable Visual Models From Natural Language Supervision",
            "ICML", 2021, "https://arxiv.org/abs/2103.00020",
        ),
        since="0.2.0",
    ),
    Row(
        "symile", "alignment.symile:Symile", "alignment",
        "two modalities or more, some patients with all, or with several",
        Citation(
            "Contrasting with Symile: Simple Model-Agnostic Representation Learning for Unlimited Modalities",
            "NeurIPS", 2024, "https://arxiv.org/abs/2411.01053",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
