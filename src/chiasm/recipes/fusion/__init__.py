"""Fusion recipes: networks that read several modalities together, or merge blocks trained on one modality each."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "healnet", "fusion.healnet:HealNetRecipe", "fusion",
        "two modalities or more",
        Citation(
            "HEALNet: Multimodal Fusion for Heterogeneous Biomedical Data",
            "NeurIPS", 2024, "https://arxiv.org/abs/2311.09115",
        ),
        tried=("healnet",),
    ),
    Row(
        "lego-merge", "fusion.lego_merge:LegoMerge", "merge",
        "two modalities or more; no patient needs both",
        Citation(
            "Multimodal Lego: Model Merging and Fine-Tuning Across Topologies and Modalities",
            "ICLR", 2025, "https://arxiv.org/abs/2405.19950",
        ),
        tried=("lego-merge",),
    ),
    Row(
        "lego-fuse", "fusion.lego_fuse:LegoFuseRecipe", "fusion",
        "two modalities or more, some patients with both",
        Citation(
            "Multimodal Lego: Model Merging and Fine-Tuning Across Topologies and Modalities",
            "ICLR", 2025, "https://arxiv.org/abs/2405.19950",
        ),
        tried=("lego-fuse", "lego-fuse:mode=weave"),
    ),
    Row(
        "centre-shift", "fusion.centre_shift:CentreShiftRecipe", "fusion",
        "two modalities or more, best of encoders of one width",
        Citation(
            "Multimodal Deep Learning for Low-Resource Settings: A Vector Embedding Alignment Approach for Healthcare "
            "Applications",
            "arXiv", 2024, "https://arxiv.org/abs/2406.02601",
        ),
        since="0.2.0",
    ),
    Row(
        "cmta", "fusion.cmta:CmtaRecipe", "fusion",
        "two modalities or more, ten patients with two",
        Citation(
            "Cross-Modal Translation and Alignment for Survival Analysis",
            "ICCV", 2023, "https://arxiv.org/abs/2309.12855",
        ),
        since="0.2.0",
    ),
    Row(
        "ssma", "fusion.ssma:SsmaRecipe", "fusion",
        "two modalities or more, ten patients with two",
        Citation(
            "Self-Supervised Model Adaptation for Multimodal Semantic Segmentation",
            "IJCV", 2019, "https://arxiv.org/abs/1808.03833",
        ),
        since="0.2.0",
    ),
    Row(
        "uni-perceiver", "fusion.uni_perceiver:UniPerceiverRecipe", "fusion",
        "two modalities or more",
        Citation(
            "Uni-Perceiver: Pre-training Unified Architecture for Generic Perception for Zero-shot and Few-shot Tasks",
            "CVPR", 2022, "https://arxiv.org/abs/2112.01522",
        ),
        since="0.2.0",
    ),
    Row(
        "mammal", "fusion.mammal:MammalRecipe", "fusion",
        "two modalities or more",
        Citation(
            "MAMMAL - Molecular Aligned Multi-Modal Architecture and Language",
            "arXiv", 2024, "https://arxiv.org/abs/2410.22367",
        ),
        since="0.2.0",
    ),
    Row(
        "bm-mae", "fusion.bm_mae:BmMaeRecipe", "fusion",
        "two modalities or more",
        Citation(
            "Multimodal Masked Autoencoder Pre-training for 3D MRI-Based Brain Tumor Analysis with Missing Modalities",
            "arXiv", 2025, "https://arxiv.org/abs/2505.00568",
        ),
        since="0.2.0",
    ),
    Row(
        "irregular-ehr", "fusion.irregular_ehr:IrregularEhrRecipe", "fusion",
        "two modalities or more, best with events among them",
        Citation(
            "Improving Medical Predictions by Irregular Multimodal Electronic Health Records Modeling",
            "ICML", 2023, "https://arxiv.org/abs/2210.12156",
        ),
        since="0.2.0",
    ),
    Row(
        "ehr-mamba", "fusion.ehr_mamba:EhrMambaRecipe", "fusion",
        "event records",
        Citation(
            "EHRMamba: Towards Generalizable and Scalable Foundation Models for Electronic Health Records",
            "ML4H", 2024, "https://arxiv.org/abs/2405.14567",
        ),
        since="0.2.0",
    ),
    Row(
        "contextual-fusion", "fusion.contextual_fusion:ContextualFusionRecipe", "fusion",
        "two modalities or more, best of frozen encoders; none is guarded unless it is named",
        Citation(
            "Contextual Fusion For Adversarial Robustness",
            "arXiv", 2020, "https://arxiv.org/abs/2011.09526",
        ),
        since="0.2.0",
    ),
    Row(
        "biod2c", "fusion.biod2c:BioD2CRecipe", "fusion",
        "two modalities or more, ten patients with two",
        Citation(
            "BioD2C: A Dual-level Semantic Consistency Constraint Framework for Biomedical VQA",
            "MICCAI", 2025, "https://arxiv.org/abs/2503.02476",
        ),
        since="0.2.0",
    ),
    Row(
        "urfound", "fusion.urfound:UrFound", "fusion",
        "two modalities or more, one of them language",
        Citation(
            "UrFound: Towards Universal Retinal Foundation Models via Knowledge-Guided Masked Modeling",
            "MICCAI", 2024, "https://arxiv.org/abs/2408.05618",
        ),
        since="0.2.0",
    ),
    Row(
        "gin", "fusion.gin:Gin", "fusion",
        "a molecule encoded by `bonds`, and another modality",
        Citation(
            "How Powerful are Graph Neural Networks?",
            "ICLR", 2019, "https://arxiv.org/abs/1810.00826",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
