"""Prompts of a network that takes them, as tensors: corners of a box, clicks inside and outside, a mask before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.segmentation.clicked import Click
from chiasm.segmentation.parts import Part

OUTSIDE, INSIDE, FIRST, LAST, NOTHING, ABSENT = 0, 1, 2, 3, -1, -10
"""Kinds of a place, as SAM counts them: a click outside, one inside, the corners of a box, none beside, no token."""
JITTER = 0.1
"""A drawn box is off by as much at each side, in its own length."""


@dataclass(frozen=True)
class Prompts:
    """What N masks are asked by.

    Args:
        places: `(N, P, axes)` float, in pixels of the window that is read.
        kinds: `(N, P)` int, one of the kinds above; `ABSENT` places are no tokens.
        before: `(N, ...)` bool, the masks before; None: none has one.
        given: `(N,)` bool, which of them have a mask before.
    """

    places: Tensor
    kinds: Tensor
    before: Tensor | None = None
    given: Tensor | None = None

    def __len__(self) -> int:
        return len(self.kinds)

    def with_clicks(self, places: Tensor, inside: Tensor, there: Tensor, before: Tensor) -> Prompts:
        """The same with one click more where there is one, `(N, axes)`, and with the masks that were drawn so far.

        With its first click inside, a mask that was asked of the whole image is asked by its clicks alone, as SAM is.
        """
        kinds = torch.where(there, inside.long(), ABSENT)
        together = torch.cat([self.kinds, kinds[:, None]], 1)
        return settled(Prompts(torch.cat([self.places, places[:, None]], 1), together, before, there | self.had))

    def to(self, device: torch.device) -> Prompts:
        """The same on another device."""
        before = None if self.before is None else self.before.to(device)
        return Prompts(self.places.to(device), self.kinds.to(device), before, self.had.to(device))

    @property
    def had(self) -> Tensor:
        """`(N,)` bool: has a mask before."""
        return torch.zeros_like(self.kinds[:, 0], dtype=torch.bool) if self.given is None else self.given


def whole(shape: Sequence[int], many: int) -> Prompts:
    """Ask for so many masks by a box of the whole image: what a network draws by itself."""
    corners = torch.tensor([[0.0] * len(shape), [float(side - 1) for side in shape]])
    return Prompts(corners.repeat(many, 1, 1), torch.tensor([[FIRST, LAST]]).repeat(many, 1))


def settled(own: Prompts) -> Prompts:
    """Where a click inside stands beside a box of nothing but the whole image, that box gives way to `NOTHING`."""
    if own.kinds.shape[1] < 2:
        return own
    kinds = own.kinds.clone()
    inside = (kinds == INSIDE).any(1) & (kinds[:, 0] == FIRST) & (own.places[:, 0] == 0).all(1)
    kinds[inside, 0], kinds[inside, 1] = NOTHING, ABSENT
    return Prompts(own.places, kinds, own.before, own.given)


def drawn_prompts(truth: Tensor) -> Prompts:
    """First prompts of masks `(N, ...)` bool in training: each a box of all, its own box, or a click inside, alike.

    A mask of nothing is asked by the whole image.
    """
    return of_ways(truth, torch.randint(3, (len(truth),)))


def pointed_prompts(truth: Tensor) -> Prompts:
    """First prompts that tell masks apart without a label: its own box or a click inside, alike."""
    return of_ways(truth, torch.randint(1, 3, (len(truth),)))


def of_ways(truth: Tensor, ways: Tensor) -> Prompts:
    """First prompts of masks `(N, ...)` bool by the way of each: 0 the whole image, 1 its own box, 2 a click inside."""
    many, shape = len(truth), tuple(truth.shape[1:])
    start = whole(shape, many)
    places, kinds = start.places, start.kinds
    for row in range(many):
        if not int(ways[row]) or not bool(truth[row].any()):
            continue
        hit = truth[row].nonzero().float()
        if int(ways[row]) == 1:
            low, high = hit.min(0).values, hit.max(0).values
            off = (2 * torch.rand(2, len(shape)) - 1) * JITTER * (high - low + 1)
            last = torch.tensor([float(side - 1) for side in shape])
            places[row] = torch.stack([low + off[0], high + off[1]]).clamp_min(0.0).minimum(last)
        else:
            places[row, 0] = hit[int(torch.randint(len(hit), ()))]
            kinds[row, 0], kinds[row, 1] = INSIDE, NOTHING
    return Prompts(places, kinds)


def asked_by(clicks: Sequence[Sequence[Click]], part: Part, before: Tensor | None) -> Prompts:
    """Prompts of masks within a part of an image, of each the clicks that lie in it, and of the part where none does.

    Args:
        clicks: of each mask, in pixels of the image.
        before: `(N, ...)` bool, the masks before over the part; None: none.
    """
    shape = [own.stop - own.start for own in part]
    start = whole(shape, len(clicks))
    here = [[own for own in each if lies(own, part)] for each in clicks]
    most = max(map(len, here), default=0)
    places = torch.zeros(len(clicks), most, len(shape))
    kinds = torch.full((len(clicks), most), ABSENT)
    for row, each in enumerate(here):
        for number, own in enumerate(each):
            places[row, number] = torch.tensor([at - cut.start for at, cut in zip(own.place, part, strict=True)])
            kinds[row, number] = INSIDE if own.inside else OUTSIDE
    given = None if before is None else before.flatten(1).any(1)
    together = torch.cat([start.places, places], 1), torch.cat([start.kinds, kinds], 1)
    return settled(Prompts(*together, before, given))


def lies(click: Click, part: Part) -> bool:
    """True if a click is of a pixel of a part of the image."""
    return all(own.start <= at < own.stop for at, own in zip(click.pixel, part, strict=True))
