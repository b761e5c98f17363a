"""Recipes that balance modalities in training: one network for all, in which none learns at the others' expense."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "agm", "balance.agm:AGMRecipe", "balance",
        "two to six modalities",
        Citation(
            "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation",
            "ICCV", 2023, "https://arxiv.org/abs/2308.07686",
        ),
        since="0.2.0",
    ),
    Row(
        "iemf", "balance.iemf:IEMFRecipe", "balance",
        "two modalities or more, ten patients with two",
        Citation(
            "Incorporating brain-inspired mechanisms for multimodal learning in artificial intelligence",
            "arXiv", 2025, "https://arxiv.org/abs/2505.10176",
        ),
        since="0.2.0",
    ),
    Row(
        "staged", "balance.staged:StagedRecipe", "balance",
        "two modalities or more",
        Citation(
            "Deep Multimodal Fusion for Surgical Feedback Classification",
            "Machine Learning for Health", 2023, "https://arxiv.org/abs/2312.03231",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
