"""A small SAM that is trained on made shapes and nothing else, and written as a folder of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from chiasm.compute.isolation import own_randomness, threads_for
from chiasm.segmentation.promptable import PromptedSam
from chiasm.segmentation.prompted_training import FROM_NOTHING, corrected
from chiasm.segmentation.prompts import pointed_prompts
from chiasm.segmentation.sam import build_sam, small_config

CLICKS = 1
OBJECTS = 2


def made_shapes(rng: np.random.Generator, side: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A picture `(side, side)` of two to four ellipses, brighter or darker than about them, and the code of each pixel.

    They lie one upon another on a slope of grey, under noise; brightness has mean 0 and deviation 1.
    """
    down, across = np.mgrid[:side, :side] / side
    values = 0.2 * (rng.normal() * down + rng.normal() * across)
    codes = np.zeros((side, side), dtype=np.int64)
    for code in range(1, int(rng.integers(2, 5)) + 1):
        y, x = down - rng.uniform(0.15, 0.85), across - rng.uniform(0.15, 0.85)
        turn, (long, short) = rng.uniform(0, np.pi), rng.uniform(0.08, 0.3, 2)
        a, b = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
        inside = (a / long) ** 2 + (b / short) ** 2 < 1
        codes[inside] = code
        values = np.where(inside, rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 2.0), values)
    values = values + rng.uniform(0.02, 0.3) * rng.normal(size=values.shape)
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32), codes


def train_small_sam(
    folder: Path,
    *,
    seed: int = 0,
    steps: int = 1000,
    batch: int = 8,
    size: int = 64,
    patch: int = 8,
    width: int = 64,
    depth: int = 2,
    rate: float = 1e-3,
    told: Callable[[int, float], None] | None = None,
) -> None:
    """Train a SAM from nothing to draw what is asked for in made shapes, and write it with `model.safetensors`.

    Args:
        told: called after each step with its number and loss.
    """
    rng = np.random.default_rng(seed)
    with own_randomness(seed, "cpu"), threads_for(1e9):
        network = PromptedSam({"made": 1}, 1, build_sam(small_config(size, patch, width, depth)), (), begun=False)
        network.words.requires_grad_(False)
        trained = [own for own in network.parameters() if own.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=1e-2)
        falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
        owner = torch.arange(batch).repeat_interleave(OBJECTS)
        present = torch.ones(batch, 1, dtype=torch.bool)
        for step in range(steps):
            made = [made_shapes(rng, size) for _ in range(batch)]
            images = torch.from_numpy(np.stack([values for values, _ in made]))[:, None]
            chosen = [rng.choice(np.setdiff1d(codes, [0]), OBJECTS) for _, codes in made]
            codes = torch.from_numpy(np.stack([own for _, own in made]))
            truth = codes[owner] == torch.from_numpy(np.concatenate(chosen))[:, None, None]
            asked = {"made": images}, present, owner, torch.zeros_like(owner), truth, None
            losses = corrected(network, *asked, pointed_prompts, CLICKS, FROM_NOTHING)
            loss = torch.stack(list(losses.values())).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            falling.step()
            if told is not None:
                told(step, float(loss.detach()))
        folder.mkdir(parents=True, exist_ok=True)
        network.sam.save_pretrained(str(folder))
