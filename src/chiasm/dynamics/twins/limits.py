"""Limits of a dose that hold whatever a controller proposes: a range, a rise, whole increments, and a stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.dynamics.twins.simulator import Quantity
from chiasm.dynamics.twins.straight_through import rounded_down
from chiasm.errors import count


@storable("dose-limits")
@dataclass(frozen=True)
class Limits:
    """What a dose may be, one number for each of the A quantities that are given.

    Attributes:
        least: lowest dose; what is given when no number is proposed, and at a stop.
        most: highest dose.
        rise: how much more than in the step before may be given; falling is always allowed. 0 for no limit.
        increment: doses are `least` plus whole increments; 0 for any.
        stop_below: where the measurement falls below it, the lowest dose is given; None for no stop.
        stop_of: which measurement is asked.
    """

    least: tuple[float, ...]
    most: tuple[float, ...]
    rise: tuple[float, ...]
    increment: tuple[float, ...]
    stop_below: float | None = None
    stop_of: int = 0

    def __post_init__(self) -> None:
        for name in ("least", "most", "rise", "increment"):  # a stored list
            object.__setattr__(self, name, tuple(float(own) for own in getattr(self, name)))
        lengths = {len(self.least), len(self.most), len(self.rise), len(self.increment)}
        if len(lengths) != 1:
            raise ValueError("limits differ in how many doses they are of: give one number for each dose")
        for least, most, rise, increment in zip(self.least, self.most, self.rise, self.increment, strict=True):
            if not least < most:
                raise ValueError(f"the range of a dose from {least:g} to {most:g} is empty: put the lower number first")
            if not rise >= 0:
                raise ValueError(f"a rise of {rise:g} a step is below 0: give a number above 0, or 0 for no limit")
            if not 0 <= increment <= most - least:
                raise ValueError(
                    f"increments of {increment:g} do not fit into doses from {least:g} to {most:g}: choose smaller ones"
                )
            if 0 < rise < increment:
                raise ValueError(
                    f"a rise of {rise:g} a step is less than one increment of {increment:g}, so that no dose could "
                    "ever rise: allow a larger rise, or choose smaller increments"
                )

    def allowed(self, proposed: Tensor, before: Tensor | None, measured: Tensor) -> Tensor:
        """Return the dose that is given, `(B, A)`; the gradient is that of the proposal where no limit binds.

        Args:
            proposed: `(B, A)`; what is no number counts as the lowest dose.
            before: the dose of the step before, None in the first.
            measured: `(B, O)`, what the instrument shows; a stop where it is no number, too.
        """
        least, most = proposed.new_tensor(self.least), proposed.new_tensor(self.most)
        dose = torch.where(torch.isnan(proposed), least, proposed)
        rise = proposed.new_tensor([own or math.inf for own in self.rise])
        highest = most if before is None else torch.minimum(most, before + rise)
        dose = torch.maximum(torch.minimum(dose, highest), least)
        if any(self.increment):
            dose = rounded_down(dose, least, proposed.new_tensor(self.increment))
        if self.stop_below is not None:
            dose = torch.where((measured[:, self.stop_of] >= self.stop_below)[:, None], dose, least)
        return dose


def require_fitting(limits: Limits, doses: Sequence[Quantity], measures: Sequence[Quantity]) -> None:
    """Ask that limits are of as many doses as a simulator gives, of ones that can be, and stop on what it measures.

    Raises:
        ValueError: they are not.
    """
    if len(limits.least) != len(doses):
        raise ValueError(
            f"limits are of {count(len(limits.least), 'dose')} and the simulator gives {len(doses)}: give one number "
            "for each"
        )
    for own, least, most in zip(doses, limits.least, limits.most, strict=True):
        if least < own.least or most > own.most:
            raise ValueError(
                f"doses from {least:g} to {most:g} of {own} hold some that cannot be given: it lies from {own.least:g} "
                f"to {own.most:g}"
            )
    if limits.stop_below is not None and not 0 <= limits.stop_of < len(measures):
        raise ValueError(f"a stop asks measurement {limits.stop_of} of {len(measures)}: they count from 0")
