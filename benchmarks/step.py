"""One training step of `lego-fuse`: three modalities of 200 features, batch 32, one core.

    python benchmarks/step.py

Prints the median wall time of a forward pass, a backward pass and an optimiser step, for latents of 16 x 64 and of
64 x 64. For scale: the released MM-Lego code takes about 200 ms for one such modality with latents of 64 x 64.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import torch

from chiasm.encoders import OmicsEncoder
from chiasm.fusion.lego import LegoFuse
from chiasm.fusion.lego_block import LegoBlock
from chiasm.heads.head import Head
from chiasm.tokens import Tokens
from chiasm.training import Network

BATCH, FEATURES, STEPS = 32, 200, 60


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    tokens = {}
    for name in ("a", "b", "c"):
        frame = pd.DataFrame(rng.normal(size=(400, FEATURES)), columns=[f"x{k}" for k in range(FEATURES)])
        encoder = OmicsEncoder().fit(frame)
        tokens[name] = encoder.encode(frame.iloc[:BATCH])
    print(f"{FEATURES} features become {tokens['a'].values.shape[1]} tokens of width {tokens['a'].values.shape[2]}")
    for latents, width in ((16, 64), (64, 64)):
        for mode in ("stack", "weave"):
            network = build(tokens, latents, width, mode)
            parameters = sum(parameter.numel() for parameter in network.parameters())
            print(f"{latents} x {width} {mode}: {measure(network, tokens):.1f} ms a step, {parameters:,} parameters")


def build(tokens: dict[str, Tokens], latents: int, width: int, mode: str) -> Network:
    """Three blocks, fused, and a head for two classes."""
    blocks = {
        name: LegoBlock(own.values.shape[2], own.values.shape[1], latents=latents, latent_width=width)
        for name, own in tokens.items()
    }
    return Network(LegoFuse(blocks, mode), Head(width, 2, "classification"))


def measure(network: Network, tokens: dict[str, Tokens]) -> float:
    """The median of `STEPS` training steps, in milliseconds, after five that are not counted."""
    present = torch.ones(BATCH, len(tokens), dtype=torch.bool)
    value, event = torch.arange(BATCH) % 2, torch.zeros(BATCH, dtype=torch.bool)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    seconds = []
    for _ in range(STEPS + 5):
        start = time.perf_counter()
        link, _ = network(tokens, present)
        loss = network.head.loss(link, value.float(), event)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[5:]) * 1000)


if __name__ == "__main__":
    main()
