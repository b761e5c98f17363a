"""The contract of a generator of pictures, and the loop in which its networks are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import fields
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.readers.registry import missing

KEPT = 0.995  # of the mean of the weights at each step
UNTOLD = 0.15  # share of pictures in training whose patient is not told of
LARGEST_STEP = 1.0
LEAST_PICTURES = 8
MOST_VALUES = 1 << 21
"""Values of pictures that are drawn at once, 8 MB before a network makes more of them."""
Told = Callable[[int, int], None]
Network = TypeVar("Network", bound=nn.Module)


class FittedPainter(Protocol):
    """A fitted generator of pictures of one size, which keeps weights and no picture."""

    def sample(self, n: int, seed: int, condition: Tensor | None = None, told: Told | None = None) -> Tensor:
        """Draw n pictures `(n, C, ...)` in -1 to 1; the same seed gives the same ones.

        Args:
            condition: `(n, F)` of what is known of each patient, a row of NaN where nothing is.
            told: is called with how many are drawn, and n.
        """


class PictureGenerator(Protocol):
    """A generator of pictures with its options, before it has seen one."""

    @property
    def name(self) -> str:
        """The line by which it is asked for, with the options that are not as they would be."""

    def fit(self, pictures: Tensor, condition: Tensor | None, seed: int, told: Told | None = None) -> FittedPainter:
        """Fit to pictures `(n, C, ...)` in -1 to 1, and numbers `(n, F)` that are known of each patient or None."""


def line_of(generator: Any, name: str, apart: tuple[str, ...] = ()) -> str:
    """The line that asks for a generator: its name, and the options that are not as they would be.

    Args:
        apart: fields that are no options.
    """
    changed = [
        f"{own.name}={getattr(generator, own.name)}" for own in fields(generator)
        if own.name not in apart and getattr(generator, own.name) != own.default
    ]  # fmt: skip
    return ":".join([name, *([",".join(changed)] if changed else [])])


def require_pictures(pictures: Tensor) -> None:
    """Refuse what nothing is learnt from.

    Raises:
        ValueError: fewer than 8 pictures, or a value outside of -1 to 1.
    """
    if len(pictures) < LEAST_PICTURES:
        raise ValueError(f"{len(pictures)} pictures are too few to learn from: give {LEAST_PICTURES} or more")
    if not bool((pictures.abs() <= 1).all()):
        raise ValueError("a picture has a value outside of -1 to 1, or one that is no number: scale it first")


def require_options(rate: float, **counts: int) -> None:
    """Refuse options of a training that none can have.

    Raises:
        ValueError: a count below 1, or a rate that is not above 0.
    """
    if wrong := next((name for name, own in counts.items() if own < 1), ""):
        raise ValueError(f"{wrong}={counts[wrong]} draws nothing: give 1 or more")
    if rate <= 0:
        raise ValueError(f"learning_rate={rate:g} leads nowhere: give one above 0")


def trained(
    network: Network, loss: Callable[[Tensor, torch.Generator], Tensor], n: int, *, steps: int, batch: int, rate: float,
    seed: int, told: Told | None = None, averaged: bool = True, only: Sequence[nn.Parameter] | None = None,
) -> Network:  # fmt: skip
    """Train by Adam on batches that are drawn with the seed, and return the mean of the weights over the training.

    Args:
        loss: of the network on a batch, by the places of its pictures among n and a generator of what it draws.
        rate: rises for a tenth of the steps, then falls to 0 by a cosine.
        averaged: False: the network as the last step left it.
        only: the parameters that learn; None: those of the network.
    """
    learning = list(network.parameters()) if only is None else list(only)
    mean = deepcopy(network) if averaged else network
    optimiser = torch.optim.Adam(learning, lr=rate)
    rising = max(1, steps // 10)
    rates = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [torch.optim.lr_scheduler.LinearLR(optimiser, 0.1, 1.0, rising),
         torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps - rising))],
        [rising],
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(n, (min(batch, n),), generator=generator)
        found = loss(chosen, generator)
        optimiser.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learning, LARGEST_STEP)
        optimiser.step()
        rates.step()
        if averaged:
            average_in(mean, network, step)
        if told is not None:
            told(step + 1, steps)
    return mean


def average_in(mean: nn.Module, network: nn.Module, step: int) -> None:
    """Bring the mean of the weights nearer to those of a step, the first ones faster."""
    kept = min(KEPT, (1 + step) / (10 + step))
    with torch.no_grad():
        for own, new in zip(mean.parameters(), network.parameters(), strict=True):
            own.lerp_(new, 1 - kept)


def partly(told: Told | None, before: int, total: int) -> Told | None:
    """Tell of one part of a training of `total` steps, which `before` steps come before."""
    return None if told is None else lambda done, _: told(before + done, total)


def kept_state(network: nn.Module) -> dict[str, np.ndarray]:
    """What a fitted generator keeps of a network."""
    return {name: own.detach().numpy().copy() for name, own in network.state_dict().items()}


def with_state(network: Network, state: dict[str, np.ndarray]) -> Network:
    """The network with its weights, for prediction."""
    network.load_state_dict({name: torch.tensor(own) for name, own in state.items()})
    return network.eval()


def some_untold(condition: Tensor | None, generator: torch.Generator) -> Tensor | None:
    """What is known of patients `(B, F)`, NaN for some of them, so that it is also learnt what nothing known means."""
    if condition is None:
        return None
    untold = torch.rand(len(condition), generator=generator) < UNTOLD
    return torch.where(untold[:, None], torch.nan, condition)


def even(pictures: Tensor, step: int) -> Tensor:
    """Pictures whose sides are multiples of `step`: the last row of each side is repeated."""
    room = [own for side in reversed(pictures.shape[2:]) for own in (0, -side % step)]
    return functional.pad(pictures, room, mode="replicate") if any(room) else pictures


def cropped(pictures: Tensor, size: tuple[int, ...]) -> Tensor:
    """The first places of each side, in -1 to 1, as `even` left them in their corner."""
    return pictures[(slice(None), slice(None), *(slice(0, side) for side in size))].clamp(-1, 1)


def halvings_of(size: tuple[int, ...], asked: int) -> int:
    """How often pictures of a size are halved, so that two places or more are left of each side."""
    return max(1, min(asked, int(min(size)).bit_length() - 2))


def monai_part(module: str, name: str) -> Any:
    """A class of MONAI, imported at its first use.

    Raises:
        Unsupported: MONAI is not installed.
    """
    from importlib import import_module

    try:
        return getattr(import_module(f"monai.{module}"), name)
    except ImportError:
        raise missing("monai", "imaging", "this generator of pictures") from None
