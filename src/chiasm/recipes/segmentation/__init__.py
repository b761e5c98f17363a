"""Recipes that draw label maps in images."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "unet", "segmentation.unet:UNet", "segmentation",
        "a target of label maps, and images or volumes encoded as grids",
        Citation(
            "U-Net: Convolutional Networks for Biomedical Image Segmentation",
            "MICCAI", 2015, "https://arxiv.org/abs/1505.04597",
        ),
        tried=("unet",), since="0.2.0",
    ),
    Row(
        "ssma-dense", "segmentation.ssma_dense:SsmaDense", "segmentation",
        "a target of label maps, and images or volumes encoded as grids",
        Citation(
            "Self-Supervised Model Adaptation for Multimodal Semantic Segmentation",
            "IJCV", 2019, "https://arxiv.org/abs/1808.03833",
        ),
        since="0.2.0",
    ),
    Row(
        "mulmodseg", "segmentation.mulmodseg:MulModSeg", "segmentation",
        "a target of label maps, and images or volumes encoded as grids of the same channels",
        Citation(
            "MulModSeg: Enhancing Unpaired Multi-Modal Medical Image Segmentation with Modality-Conditioned Text "
            "Embedding and Alternating Training",
            "WACV", 2025, "https://arxiv.org/abs/2411.15576",
        ),
        since="0.2.0",
    ),
    Row(
        "i-medsam", "segmentation.i_medsam:IMedSAM", "segmentation",
        "a target of label maps, and images or volumes encoded as grids",
        Citation(
            "I-MedSAM: Implicit Medical Image Segmentation with Segment Anything",
            "ECCV", 2024, "https://arxiv.org/abs/2311.17081",
        ),
        since="0.2.0",
    ),
    Row(
        "sam-med2d", "segmentation.sam_med2d:SamMed2d", "segmentation",
        "a target of label maps, and pictures encoded as grids; transformers",
        Citation("SAM-Med2D", "arXiv", 2023, "https://arxiv.org/abs/2308.16184"), since="0.2.0",
    ),
    Row(
        "stu-net", "segmentation.stu_net:StuNetRecipe", "segmentation",
        "a target of label maps, and images or volumes encoded as grids",
        Citation(
            "STU-Net: Scalable and Transferable Medical Image Segmentation Models Empowered by Large-Scale Supervised "
            "Pre-training",
            "arXiv", 2023, "https://arxiv.org/abs/2304.06716",
        ),
        since="0.2.0",
    ),
    Row(
        "unit", "segmentation.unit:UniT", "segmentation",
        "a target of label maps, and images or volumes encoded as grids",
        Citation(
            "CancerUniT: Towards a Single Unified Model for Effective Detection, Segmentation, and Diagnosis of Eight "
            "Major Cancers Using a Large Collection of CT Scans",
            "ICCV", 2023, "https://arxiv.org/abs/2301.12291",
        ),
        since="0.2.0",
    ),
    Row(
        "3dsam", "segmentation.inflated_sam:InflatedSamRecipe", "segmentation",
        "a target of label maps, and volumes encoded as grids; transformers",
        Citation(
            "3DSAM-adapter: Holistic Adaptation of SAM from 2D to 3D for Promptable Tumor Segmentation",
            "Medical Image Analysis", 2024, "https://arxiv.org/abs/2306.13465",
        ),
        since="0.2.0",
    ),
    Row(
        "unibiomed", "segmentation.unibiomed:UniBiomed", "segmentation",
        "a target of label maps, pictures encoded as grids, and a text encoded by a causal language model with its "
        "inputs kept; transformers",
        Citation(
            "UniBiomed: A Universal Foundation Model for Grounded Biomedical Image Interpretation",
            "arXiv", 2025, "https://arxiv.org/abs/2504.21336",
        ),
        since="0.2.0",
    ),
    Row(
        "monai", "segmentation.monai:Monai", "segmentation",
        "a target of label maps, images or volumes encoded as grids, and MONAI",
        Citation(
            "MONAI: An open-source framework for deep learning in healthcare",
            "arXiv", 2022, "https://arxiv.org/abs/2211.02701",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
