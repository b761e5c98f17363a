"""Recipes in which something stands for an absent modality: prompts, placeholders, values."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "ptunifier", "missing.ptunifier:PTUnifierRecipe", "missing",
        "two modalities or more",
        Citation(
            "Towards Unifying Medical Vision-and-Language Pre-training via Soft Prompts",
            "ICCV", 2023, "https://arxiv.org/abs/2302.08958",
        ),
        since="0.2.0",
    ),
    Row(
        "dispro", "missing.dispro:DisProRecipe", "missing",
        "two modalities or more",
        Citation(
            "Distilled Prompt Learning for Incomplete Multimodal Survival Prediction",
            "CVPR", 2025, "https://arxiv.org/abs/2503.01653",
        ),
        since="0.2.0",
    ),
    Row(
        "gtp4o", "missing.gtp4o:GTP4oRecipe", "missing",
        "two modalities or more, some patients with two",
        Citation(
            "GTP-4o: Modality-prompted Heterogeneous Graph Learning for Omni-modal Biomedical Representation",
            "ECCV", 2024, "https://arxiv.org/abs/2407.05540",
        ),
        since="0.2.0",
    ),
    Row(
        "filled", "missing.filled:Filled", "missing",
        "two tables or omics blocks, of which some patients lack one",
        Citation(
            "Missing Value Imputation for Mixed Data via Gaussian Copula",
            "KDD", 2020, "https://arxiv.org/abs/1910.12845",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
