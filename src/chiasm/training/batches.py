"""Batching of patients: random for tokens of one length, and by similar length for ragged bags to limit padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from chiasm.tokens import Packed, Tokens

MOST_STEPS = 256  # of an epoch: a larger cohort is stopped, and its rate lowered, by so many steps, not by passes
POOL = 16  # number of batches that are sorted by length together


def total_lengths(tokens: Mapping[str, Packed]) -> np.ndarray:
    """Count each patient's tokens over the ragged modalities, `(B,)`; zero if no modality is ragged."""
    total = np.zeros(len(next(iter(tokens.values()))), np.int64)
    for packed in tokens.values():
        lengths = packed.lengths
        own = lengths[lengths > 0]
        if (own != own[:1]).any():
            total += lengths
    return total


def training_batches(rows: np.ndarray, lengths: np.ndarray, size: int, generator: torch.Generator) -> list[np.ndarray]:
    """Partition `rows` randomly into batches; a last batch below half the size is merged into the one before.

    Of more than `MOST_STEPS` batches so many are returned, drawn anew for each epoch.

    Ragged patients are shuffled, sorted by length within pools of 16 batches and cut; then the batches are shuffled.
    """
    shuffled = rows[torch.randperm(len(rows), generator=generator).numpy()]
    ragged = bool(lengths[rows].any())
    if ragged:
        pools = [shuffled[start : start + POOL * size] for start in range(0, len(shuffled), POOL * size)]
        shuffled = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    if len(batches) > 1 and len(batches[-1]) < size / 2:
        batches[-2:] = [np.concatenate(batches[-2:])]
    if ragged:
        batches = [batches[k] for k in torch.randperm(len(batches), generator=generator).tolist()]
    return batches[:MOST_STEPS]


def reading_batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Partition all rows into batches of similar length, for prediction."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


def take(tokens: Mapping[str, Packed], rows: np.ndarray, device: str | torch.device = "cpu") -> dict[str, Tokens]:
    """Return the padded batch of these rows, on a device."""
    batch = {name: packed.take(rows) for name, packed in tokens.items()}
    if str(device) == "cpu":
        return batch
    return {
        name: Tokens(
            part.values.to(device), part.mask.to(device), None if part.times is None else part.times.to(device)
        )
        for name, part in batch.items()
    }


def presence(tokens: Mapping[str, Packed], names: Sequence[str]) -> np.ndarray:
    """Return which patients have tokens of which modality, `(B, M)` bool."""
    return np.stack([tokens[name].lengths > 0 for name in names], axis=1)
