"""Embedding of a knowledge graph: TransE (Bordes et al., NeurIPS 2013), a relation is a step from head to tail."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TRIES = 16


def distance(entities: Tensor, relations: Tensor, triples: Tensor) -> Tensor:
    """Return `d = |h + r - t|_2` of each triple, `(n,)`: the less, the more a triple holds (equation 1 of the paper).

    Heads and tails are at unit length, as the paper holds them, so that no vector makes a distance by its size.

    Args:
        entities, relations: `(E, D)` and `(R, D)`.
        triples: `(n, 3)` int64 places of head, relation and tail.
    """
    heads, tails = (functional.normalize(entities[triples[:, place]], dim=1) for place in (0, 2))
    return (heads + relations[triples[:, 1]] - tails).square().sum(1).clamp_min(1e-12).sqrt()


def margin_loss(true: Tensor, false: Tensor, margin: float = 1.0) -> Tensor:
    """Return the mean of `max(0, margin + d(true) - d(false))`, a scalar; zero without a pair.

    A pair that is apart by the margin or more has gradient zero.

    Args:
        true, false: `(n,)` distances of triples and of what each was corrupted to.
        margin: above zero; in the paper 1 or 2.
    """
    return functional.relu(margin + true - false).sum() / max(1, len(true))


def corrupted(
    triples: Tensor, known: Tensor, entities: int, relations: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw another head or another tail, each with probability one half, for every triple; never a true triple.

    Where sixteen draws gave true triples alone, as where a relation holds of all, no other is made.

    Args:
        triples: `(n, 3)` int64.
        known: `(N,)` int64, the `keys` of all true triples, sorted.
        entities, relations: E and R.
        generator: draws, on the CPU.

    Returns:
        the corrupted triples `(n, 3)`, and `(n,)` bool where one was made.
    """
    made, wrong = triples.clone(), torch.ones(len(triples), dtype=torch.bool)
    for _ in range(TRIES):
        if not bool(wrong.any()):
            break
        place = torch.where(torch.rand(len(triples), generator=generator) < 0.5, 0, 2)
        drawn = torch.randint(entities, (len(triples),), generator=generator)
        tried = triples.scatter(1, place[:, None], drawn[:, None])
        made = torch.where(wrong[:, None], tried, made)
        wrong = is_known(made, known, entities, relations)
    return made, ~wrong


def keys(triples: Tensor, entities: int, relations: int) -> Tensor:
    """Return a number for each triple, `(n,)` int64, different for different ones."""
    return (triples[:, 0] * relations + triples[:, 1]) * entities + triples[:, 2]


def is_known(triples: Tensor, known: Tensor, entities: int, relations: int) -> Tensor:
    """Tell which triples are among `known`, sorted keys: `(n,)` bool."""
    if not len(known):
        return torch.zeros(len(triples), dtype=torch.bool)
    wanted = keys(triples, entities, relations)
    return known[torch.searchsorted(known, wanted).clamp_max(len(known) - 1)] == wanted
