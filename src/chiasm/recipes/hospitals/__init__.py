"""Federated recipes, for hospitals that share no patient data."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "flora", "hospitals.flora:Flora", "federated",
        "two modalities or more, and patients of two sites or more (`site` in the manifest)",
        Citation(
            "FLoRA: Federated Fine-Tuning Large Language Models with Heterogeneous Low-Rank Adaptations",
            "NeurIPS", 2024, "https://arxiv.org/abs/2409.05976",
        ),
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
