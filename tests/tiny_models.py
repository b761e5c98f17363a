"""Tiny transformers models with random weights, saved as their authors save theirs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import transformers

from chiasm.encoders.weights import seeded

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
EYES = {**SMALL, "image_size": 32, "patch_size": 8}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fever", "cough", "no", "and", ".", "a"]
RESIDUES = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWC", "<mask>"]
SIGHT = {"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "size": 32, "resample": 3}


def tiny_models(root: Path) -> Path:
    """vit, dinov2, resnet, clip, mae, bert, t5, gpt and esm, each in its folder below `root`."""
    for name, content in files().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@cache
def files() -> dict[str, bytes]:
    """The files of all models, made once a process: their places below the root, and what they hold."""
    with TemporaryDirectory() as place:
        _make(Path(place))
        every = [path for path in Path(place).rglob("*") if path.is_file()]
        return {str(path.relative_to(place)): path.read_bytes() for path in every}


def _make(root: Path) -> None:
    t = transformers
    words = {"vocab_size": len(WORDS), "max_position_embeddings": 40}
    proteins = {"vocab_size": len(RESIDUES), "pad_token_id": 1, "max_position_embeddings": 66, "mask_token_id": 24}
    text = {**SMALL, "vocab_size": len(WORDS), "max_position_embeddings": 40, "eos_token_id": 3}
    made = {
        "vit": lambda: t.ViTModel(t.ViTConfig(**EYES), add_pooling_layer=False),
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**EYES)),
        "resnet": lambda: t.ResNetModel(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
        ),
        "clip": lambda: t.CLIPModel(t.CLIPConfig(text_config=text, vision_config={**EYES, "hidden_size": 24})),
        "t5": lambda: t.T5EncoderModel(
            t.T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        ),
        "mae": lambda: t.ViTMAEModel(t.ViTMAEConfig(**EYES)),
        "bert": lambda: t.BertForMaskedLM(t.BertConfig(**SMALL, **words)),
        "gpt": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(
                vocab_size=len(WORDS), n_positions=40, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3
            )
        ),
        "esm": lambda: t.EsmModel(
            t.EsmConfig(**SMALL, **proteins, position_embedding_type="rotary", token_dropout=True)
        ),
    }
    with seeded(0):
        for name, make in made.items():
            make().save_pretrained(root / name)
    for name in ("vit", "dinov2", "resnet", "clip", "mae"):
        (root / name / "preprocessor_config.json").write_text(json.dumps(SIGHT))
    for name in ("bert", "clip", "t5", "gpt"):
        (root / name / "vocab.txt").write_text("\n".join(WORDS))
        t.BertTokenizer(str(root / name / "vocab.txt")).save_pretrained(root / name)
    (root / "esm" / "vocab.txt").write_text("\n".join(RESIDUES))
    t.EsmTokenizer(str(root / "esm" / "vocab.txt")).save_pretrained(root / "esm")
