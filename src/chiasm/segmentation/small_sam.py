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
from chiasm.segmentation.prompted_training import corrected
from chiasm.segmentation.sam import build_sam, small_config

CLICKS = 2
OBJECTS = 2


def made_shapes(rng: np.random.Generator, side: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A picture `(side, side)` of four to seven wavy ellipses and bars of any brightness, and the code of each pixel.

    They lie one upon another on a slope of grey, under noise; brightness has mean 0 and deviation 1.
    """
    down, across = np.mgrid[:side, :side] / side
    slope = rng.normal(0, 0.5, 2)
    values = slope[0] * down + slope[1] * across
    codes = np.zeros((side, side), dtype=np.int64)
    for code in range(1, int(rng.integers(4, 8)) + 1):
        y, x = down - rng.uniform(0.1, 0.9), across - rng.uniform(0.1, 0.9)
        turn = rng.uniform(0, np.pi)
        a, b = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
        long, short = rng.uniform(0.06, 0.3, 2)
        if rng.random() < 0.3:
            inside = (np.abs(a) < long) & (np.abs(b) < short)
        else:
            angle = np.arctan2(a / long, b / short)
            wave = 1 + rng.uniform(0, 0.25) * np.cos(int(rng.integers(2, 6)) * angle + rng.uniform(0, 6))
            inside = (a / long) ** 2 + (b / short) ** 2 < wave**2
        codes[inside] = code
        values = np.where(inside, rng.normal(0, 1) + 0.3 * values, values)
    values = values + rng.uniform(0.02, 0.3) * rng.normal(size=values.shape)
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32), codes


def train_small_sam(
    folder: Path,
    *,
    seed: int = 0,
    steps: int = 1500,
    batch: int = 8,
    size: int = 64,
    patch: int = 4,
    width: int = 64,
    depth: int = 4,
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
            losses = corrected(network, {"made": images}, present, owner, torch.zeros_like(owner), truth, None, CLICKS)
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
