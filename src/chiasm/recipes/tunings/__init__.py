"""Recipes that merge several fine-tuned copies of one network."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "wise-ft", "tunings.wise_ft:WiseFT", "merge",
        "two modalities or more",
        Citation(
            "Robust Fine-Tuning of Zero-Shot Models",
            "CVPR", 2022, "https://arxiv.org/abs/2109.01903",
        ),
    ),
    Row(
        "slerp-merge", "tunings.slerp_merge:SlerpMerge", "merge",
        "two modalities or more",
        Citation(
            "Fine-tuning large language models for domain adaptation: exploration of training strategies, scaling, "
            "model merging and synergistic capabilities",
            "npj Computational Materials", 2025, "https://arxiv.org/abs/2409.03444",
        ),
    ),
    Row(
        "breadcrumbs", "tunings.breadcrumbs:BreadcrumbsRecipe", "merge",
        "two modalities or more",
        Citation(
            "Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks",
            "ECCV", 2024, "https://arxiv.org/abs/2312.06795",
        ),
    ),
    Row(
        "portllm", "tunings.portllm:PortLLM", "merge",
        "two modalities or more; the package peft",
        Citation(
            "PortLLM: Personalizing Evolving Large Language Models with Training-Free and Portable Model Patches",
            "ICLR", 2025, "https://arxiv.org/abs/2410.10870",
        ),
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
