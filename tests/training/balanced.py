"""A small concatenation with a batch of patients of whom some lack a modality, for the tests of balanced trainings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from chiasm.fusion.concatenated import Concatenated
from chiasm.heads.head import Head
from chiasm.tokens import Tokens
from chiasm.training import Batch, Network, Step, TargetTensors
from chiasm.training.objective import Objective

SHAPES = {"a": (3, 2), "b": (4, 0), "c": (2, 3)}
OUTPUTS = {"classification": 3, "multilabel": 2, "regression": 1, "survival": 1}


def batch(kind: str, shapes: dict[str, tuple[int, int]] = SHAPES, n: int = 14, *, complete: bool = False) -> Batch:
    """Patients with every pattern of modalities in turn, or with all, and outcomes of a kind of target."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.arange(n) % (2 ** len(shapes) - 1) + 1
    present = torch.stack([codes >> m & 1 for m in range(len(shapes))], 1).bool() | complete
    tokens = {
        name: Tokens(
            torch.randn(n, slots or 4, width, generator=generator), torch.ones(n, slots or 4, dtype=torch.bool)
        )
        for name, (width, slots) in shapes.items()
    }
    value: dict[str, Tensor] = {
        "classification": (torch.arange(n) % 3).float(),
        "multilabel": torch.where(torch.rand(n, 2, generator=generator) < 0.2, torch.nan, (codes[:, None] % 2).float()),
        "regression": torch.randn(n, generator=generator),
        "survival": torch.rand(n, generator=generator).round(decimals=1) + 0.1,
    }
    event = torch.arange(n) % 3 > 0 if kind == "survival" else torch.zeros(n, dtype=torch.bool)
    return Batch(tokens, present, TargetTensors(value[kind], event))


def network(kind: str, shapes: dict[str, tuple[int, int]] = SHAPES, *, dropout: float = 0.0, **options: Any) -> Network:
    """A concatenation of width 6 with the head of a kind of target."""
    torch.manual_seed(0)
    return Network(Concatenated(shapes, 6, dropout, **options), Head(6, OUTPUTS[kind], kind))


def gradients(network: Network, given: Batch, objective: Objective, hook: Any = None) -> dict[str, Tensor]:
    """The gradients of one step of an objective, from one state of the global generator."""
    network.train().zero_grad(set_to_none=True)
    torch.manual_seed(1)
    computed = objective(network, given)
    computed.total.backward()
    if hook is not None:
        hook(Step(network, given, computed, 0))
    return {name: own.grad.clone() for name, own in network.named_parameters() if own.grad is not None}
