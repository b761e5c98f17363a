"""Adaptation recipes: encoder networks fine-tuned to the task, mostly by few weights."""

from chiasm.citation import Citation
from chiasm.fitting.row import Row, by_name

# fmt: off
ROWS = by_name((
    Row(
        "probe", "adaptation.probe:Probe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "Understanding Intermediate Layers Using Linear Classifier Probes",
            "ICLR workshop", 2017, "https://arxiv.org/abs/1610.01644",
        ),
    ),
    Row(
        "full-tuning", "adaptation.full_tuning:FullTuning", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "Universal Language Model Fine-tuning for Text Classification",
            "ACL", 2018, "https://arxiv.org/abs/1801.06146",
        ),
    ),
    Row(
        "staged-transfer", "adaptation.staged_transfer:StagedTransfer", "adaptation",
        "a modality whose encoder is a network, and a declared column that is learned first",
        Citation(
            "Breast Tumor Classification Using EfficientNet Deep Learning Model",
            "arXiv", 2024, "https://arxiv.org/abs/2411.17870",
        ),
        since="0.2.0",
    ),
    Row(
        "distilled", "adaptation.distilled:Distilled", "adaptation",
        "a modality whose encoder is a network, and classes",
        Citation(
            "Training data-efficient image transformers & distillation through attention",
            "ICML", 2021, "https://arxiv.org/abs/2012.12877",
        ),
        since="0.2.0",
    ),
    Row(
        "lora", "adaptation.lora:LoRARecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "LoRA: Low-Rank Adaptation of Large Language Models",
            "ICLR", 2022, "https://arxiv.org/abs/2106.09685",
        ),
    ),
    Row(
        "ia3", "adaptation.ia3:IA3Recipe", "adaptation",
        "a modality whose encoder is a transformer with maps to keys and values of its own",
        Citation(
            "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
            "NeurIPS", 2022, "https://arxiv.org/abs/2205.05638",
        ),
    ),
    Row(
        "norm-tuning", "adaptation.norm_tuning:NormTuningRecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
            "ICLR", 2024, "https://arxiv.org/abs/2312.11420",
        ),
    ),
    Row(
        "prefix", "adaptation.prefix:PrefixRecipe", "adaptation",
        "text whose encoder is a transformer that takes a cache of keys and values (BERT, GPT)",
        Citation(
            "Prefix-Tuning: Optimizing Continuous Prompts for Generation",
            "ACL", 2021, "https://arxiv.org/abs/2101.00190",
        ),
    ),
    Row(
        "ssf", "adaptation.ssf:ScaleShiftRecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "Scaling & Shifting Your Features: A New Baseline for Efficient Model Tuning",
            "NeurIPS", 2022, "https://arxiv.org/abs/2210.08823",
        ),
    ),
    Row(
        "dvpt", "adaptation.dvpt:DynamicPromptRecipe", "adaptation",
        "a modality whose encoder is a transformer of images or volumes; with attend=false of text too",
        Citation(
            "DVPT: Dynamic Visual Prompt Tuning of Large Pre-trained Models for Medical Image Analysis",
            "arXiv", 2023, "https://arxiv.org/abs/2307.09787",
        ),
    ),
    Row(
        "petl-ast", "adaptation.petl_ast:PetlAstRecipe", "adaptation",
        "a modality whose encoder is a transformer; with block=conv one of images, volumes or ECGs",
        Citation(
            "Parameter-Efficient Transfer Learning of Audio Spectrogram Transformers",
            "arXiv", 2023, "https://arxiv.org/abs/2312.03694",
        ),
    ),
    Row(
        "pego", "adaptation.pego:PegoRecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "Learn to Preserve and Diversify: Parameter-Efficient Group with Orthogonal Regularization for Domain "
            "Generalization",
            "ECCV", 2024, "https://arxiv.org/abs/2407.15085",
        ),
    ),
    Row(
        "lt-sft", "adaptation.lt_sft:LotteryTicketRecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "Composable Sparse Fine-Tuning for Cross-Lingual Transfer",
            "ACL", 2022, "https://arxiv.org/abs/2110.07560",
        ),
    ),
    Row(
        "sara", "adaptation.sara:SaraRecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "SaRA: High-Efficient Diffusion Model Fine-tuning with Progressive Sparse Low-Rank Adaptation",
            "arXiv", 2024, "https://arxiv.org/abs/2409.06633",
        ),
    ),
    Row(
        "memcontrol", "adaptation.memcontrol:MemControlRecipe", "adaptation",
        "a modality whose encoder is a network: text, image, volume or ECG",
        Citation(
            "MemControl: Mitigating Memorization in Diffusion Models via Automated Parameter Selection",
            "WACV", 2025, "https://arxiv.org/abs/2405.19458",
        ),
    ),
    Row(
        "unipt", "adaptation.unipt:UniPTRecipe", "adaptation",
        "a modality whose encoder is a network of two blocks or more that answer alike",
        Citation(
            "UniPT: Universal Parallel Tuning for Transfer Learning with Efficient Parameter and Memory",
            "CVPR", 2024, "https://arxiv.org/abs/2308.14316",
        ),
    ),
    Row(
        "prompt-learning", "adaptation.prompt_learning:PromptLearning", "adaptation",
        "a class to predict, and a text whose encoder is hf:folder of a language model with its head",
        Citation(
            "Clinical Prompt Learning with Frozen Language Models",
            "IEEE TNNLS", 2023, "https://arxiv.org/abs/2205.05535",
        ),
    ),
    Row(
        "mftcoder", "adaptation.mftcoder:MFTCoderRecipe", "adaptation",
        "a multilabel target; an encoder with a network, unless adapt=nothing",
        Citation(
            "MFTCoder: Boosting Code LLMs with Multitask Fine-Tuning",
            "KDD", 2024, "https://arxiv.org/abs/2311.02303",
        ),
    ),
    Row(
        "got-d", "adaptation.got_d:GotD", "adaptation",
        "patients of several sites; what the inner recipe needs",
        Citation(
            "Get More for Less: Principled Data Selection for Warming Up Fine-Tuning in LLMs",
            "ICLR", 2024, "https://arxiv.org/abs/2405.02774",
        ),
    ),
    Row(
        "noise-mask", "adaptation.noise_mask:NoiseMask", "adaptation",
        "images whose encoder is a network that reads them whole, and a class to predict",
        Citation(
            "Policy Gradient-Driven Noise Mask",
            "arXiv", 2024, "https://arxiv.org/abs/2406.14568",
        ),
    ),
    Row(
        "more", "adaptation.more:More", "adaptation",
        "two modalities or more, some patients with both, one of them with an encoder that is a network",
        Citation(
            "MoRE: Multi-Modal Contrastive Pre-training with Transformers on X-Rays, ECGs, and Diagnostic Report",
            "arXiv", 2024, "https://arxiv.org/abs/2410.16239",
        ),
        since="0.2.0",
    ),
))
# fmt: on
"""Recipe name to row, in listing order."""
