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
    Row(
        "mirror", "alignment.mirror:MirrorRecipe", "alignment",
        "two modalities or more, some patients with both",
        Citation(
            "MIRROR: Multi-Modal Pathological Self-Supervised Representation Learning via Modality Alignment and "
            "Retention",
            "IEEE TMI", 2025, "https://arxiv.org/abs/2503.00374",
        ),
        since="0.2.0",
    ),
    Row(
        "imgany-retrieval", "alignment.imgany_retrieval:ImgAnyRetrieval", "alignment",
        "two modalities or more, best of encoders of one space",
        Citation(
            "Image Anything: Towards Reasoning-coherent and Training-free Multi-modal Image Generation",
            "arXiv", 2024, "https://arxiv.org/abs/2401.17664",
        ),
        since="0.2.0",
    ),
    Row(
        "fuse-language", "alignment.fuse_language:FuseLanguage", "alignment",
        "two modalities or more, one of them language",
        Citation(
            "Beyond Sight: Finetuning Generalist Robot Policies with Heterogeneous Sensors via Language Grounding",
            "arXiv", 2025, "https://arxiv.org/abs/2501.04693",
        ),
        since="0.2.0",
    ),
    Row(
        "molfm", "alignment.molfm:MolfmRecipe", "alignment",
        "a molecule encoded by `bonds`, and text; best with knowledge",
        Citation(
            "MolFM: A Multimodal Molecular Foundation Model",
            "arXiv", 2023, "https://arxiv.org/abs/2307.09484",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
