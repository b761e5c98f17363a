"""Recipes in which a causal language model reads modalities, and answers."""

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
    Row(
        "gmai-vl", "language.gmai_vl:GmaiVl", "language",
        "a target that is a choice, a class or a text, and a modality that is no text",
        Citation(
            "GMAI-VL & GMAI-VL-5.5M: A Large Vision-Language Model and A Comprehensive Multimodal Dataset Towards "
            "General Medical AI",
            "arXiv", 2024, "https://arxiv.org/abs/2411.14522",
        ),
        since="0.2.0",
    ),
    Row(
        "retina-vlm", "language.retina_vlm:RetinaVlm", "language",
        "a target that is a choice, a class or a text, a table to be taught by, and a modality that is neither",
        Citation(
            "Specialized curricula for training vision language models in retinal image analysis",
            "npj Digital Medicine", 2025, "https://arxiv.org/abs/2407.08410",
        ),
        since="0.2.0",
    ),
    Row(
        "biomedgpt", "language.biomedgpt:BioMedGpt", "language",
        "a target that is a choice, a class or a text, and molecules, proteins or DNA",
        Citation(
            "BioMedGPT: Open Multimodal Generative Pre-trained Transformer for BioMedicine",
            "arXiv", 2023, "https://arxiv.org/abs/2308.09442",
        ),
        since="0.2.0",
    ),
    Row(
        "med-palm-m", "language.med_palm_m:MedPalmM", "language",
        "a target that is a choice, a class or a text, and a modality that is no text; best with several questions",
        Citation("Towards Generalist Biomedical AI", "NEJM AI", 2024, "https://arxiv.org/abs/2307.14334"),
        since="0.2.0",
    ),
    Row(
        "med-gemini", "language.med_gemini:MedGemini", "language",
        "a target that is a choice, a class or a text, and a modality that is no text",
        Citation(
            "Advancing Multimodal Medical Capabilities of Gemini", "arXiv", 2024, "https://arxiv.org/abs/2405.03162",
        ),
        since="0.2.0",
    ),
    Row(
        "medmax", "language.medmax:MedMax", "language",
        "a target of classes, and images kept as patches",
        Citation(
            "MedMax: Mixed-Modal Instruction Tuning for Training Biomedical Assistants",
            "arXiv", 2024, "https://arxiv.org/abs/2412.12661",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
