"""A storable part of each kind that a release can write and that none of the archived models holds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from chiasm import artifact
from chiasm.adapters.attach import attach
from chiasm.adapters.attention_lora import AttentionLoRA
from chiasm.adapters.channel_spatial import ChannelSpatial
from chiasm.adapters.peft_families import NormTuning
from chiasm.adapters.saved import save_adapter
from chiasm.adapters.scale_shift import ScaleShift
from chiasm.adapters.side_network import UniPT
from chiasm.adapters.verbalizer import Verbalizer
from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.catalogue import CATALOGUE, make_encoder
from chiasm.encoders.molecule.cells import CellComponents
from chiasm.encoders.table.scaling import PooledTokens
from chiasm.fitting.unimodal import Prior
from chiasm.fusion.centre_shift import CentreShift
from chiasm.merging.patch import make_patch
from chiasm.objectives.coba import CoBaState
from chiasm.readers import Cells
from chiasm.recipes.hospitals.federation import Plan

# an encoder with options that are not its defaults, where it has some; "" for the others
OPTIONS = {
    "patches": "size=28,normalise=none",
    "chada": "size=32,dim=16,depth=2,heads=2",
    "volume-patches": "size=16,low=-500",
    "slices": "count=4",
    "tiles": "most=9",
    "tile-statistics": "most=9",
    "hf": "networks/bert,length=24,level=token",
    "monai": "random=true,dims=2,size=32",
    "timm": "name=vit_tiny_patch16_224,weights=weights.safetensors",
    "open-clip": "name=ViT-B-32,weights=weights.safetensors",
    "minilm": "chunks=16",
    "sentences": "folder=networks/bert,pieces=8",
    "rocket": "leads=I+II",
    "net1d": "size=small,random=true,windows=2",
    "events": "references=3",
    "fingerprint": "bits=256",
    "graph": "rounds=2",
    "kmers": "windows=2",
    "cells": "components=3",
}


def archived_parts() -> dict[str, Any]:
    """Name to part: every encoder of the catalogue, and what else is stored outside models or inside few of them."""
    rng = np.random.default_rng(0)
    before, after = ({"weight": torch.from_numpy(rng.normal(size=(3, 2)).astype(np.float32))} for _ in range(2))
    cells = [Cells(rng.poisson(3.0, (6, 8)).astype(np.float32), tuple(f"G{k}" for k in range(8))) for _ in range(4)]
    rows = {name: rng.normal(size=(5, 3)).astype(np.float32) for name in ("rna", "text")}
    encoders = {f"encoder {e.name}": make_encoder(f"{e.name}:{OPTIONS[e.name]}", e.reads[0]) for e in CATALOGUE}
    return {
        **encoders,
        "fitted cells": CellComponents(components=3, genes=6).fit(cells),
        "attention-lora": AttentionLoRA(rank=2),
        "norm-tuning": NormTuning(),
        "unipt": UniPT(narrow=4),
        "pooled tokens": PooledTokens(BagEncoder(3)),
        "prior": Prior(np.array([0.3, -0.3])),
        "channel-spatial": ChannelSpatial(ratio=0.5),
        "verbalizer": Verbalizer({"no": (6,), "yes": (5, 7)}),
        "saved adapter": _saved(),
        "centre-shift": CentreShift.fit(rows, 0.6),
        "patch": make_patch(before, after),
        "coba": CoBaState(2, np.ones(2), rng.random((2, 2)), rng.random((2, 1)), np.array([0.5])),
        "federation plan": Plan(rounds=2, rank=2),
    }


def _saved() -> Any:
    """An adapter of two layers as it lies on disk."""
    with tempfile.TemporaryDirectory() as place:
        network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        save_adapter(Path(place) / "adapter", attach(network, ScaleShift(), lambda name, _: name == "0"))
        return artifact.load(Path(place) / "adapter")
