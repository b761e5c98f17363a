"""Recipes in which words teach images: reports, names of labels, what experts wrote of them, lineages of species."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "unicl", "vision_language.unicl:UniCl", "vision language",
        "a target with labels, or a modality of text beside another",
        Citation(
            "Unified Contrastive Learning in Image-Text-Label Space",
            "CVPR", 2022, "https://arxiv.org/abs/2204.03610",
        ),
        since="0.2.0",
    ),
    Row(
        "siglip", "vision_language.siglip:SigLip", "vision language",
        "a target with labels, or a modality of text beside another",
        Citation(
            "Sigmoid Loss for Language Image Pre-Training",
            "ICCV", 2023, "https://arxiv.org/abs/2303.15343",
        ),
        since="0.2.0",
    ),
    Row(
        "flair", "vision_language.flair:Flair", "vision language",
        "prompts of experts for each label",
        Citation(
            "A Foundation Language-Image Model of the Retina (FLAIR): Encoding Expert Knowledge in Text Supervision",
            "Medical Image Analysis", 2025, "https://arxiv.org/abs/2308.07898",
        ),
        since="0.2.0",
    ),
    Row(
        "devide", "vision_language.devide:DeViDe", "vision language",
        "prompts of experts for each label; best with a modality of text",
        Citation(
            "DeViDe: Faceted Medical Knowledge for Improved Medical Vision-Language Pre-training",
            "arXiv", 2024, "https://arxiv.org/abs/2404.03618",
        ),
        since="0.2.0",
    ),
    Row(
        "bioclip", "vision_language.bioclip:BioClip", "vision language",
        "labels that are species, with their lineages",
        Citation(
            "BioCLIP: A Vision Foundation Model for the Tree of Life",
            "CVPR", 2024, "https://arxiv.org/abs/2311.18803",
        ),
        since="0.2.0",
    ),
    Row(
        "clinical-labels", "vision_language.clinical_labels:ClinicalLabels", "vision language",
        "a table of clinical numbers beside another modality",
        Citation(
            "OLIVES Dataset: Ophthalmic Labels for Investigating Visual Eye Semantics",
            "NeurIPS", 2022, "https://arxiv.org/abs/2209.11195",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
