"""Networks that draw label maps, trained by the one loop: windows about labels, mirrored at random, and dice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import ClassVar, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from chiasm.protocols import Fused
from chiasm.segmentation.grids import Imaged, images_of
from chiasm.segmentation.parts import DrawnMap, Part, Pixels, regridded
from chiasm.segmentation.windows import drawn_codes, drawn_window, padded, sliding, stitched, unpadded
from chiasm.targets.label_maps import LabelMaps, of_numbers
from chiasm.tokens import Tokens
from chiasm.training import Batch, Computed, Network, Objective

AXES_OF = {"none": 0, "sideways": 1, "all": 3}
FLIPS = tuple(AXES_OF)
"""How windows are turned over: not, along the last axis, along all."""
NOT_THERE = -1  # code of a place beyond the image
SMOOTH = 1.0


class MapNetwork(Protocol):
    """A module that draws: images `(B, C, ...)` a contrast and who has which, to logits `(B, K + 1, ...)`."""

    names: list[str]

    def __call__(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor: ...


class Drawing(nn.Module):
    """Fusion of contrasts whose network draws label maps; its embedding is nothing.

    Args:
        network: the network.
        grids: contrast to how its images are read.
        labels: K.
        window: sides of the windows that it reads.
        mirrors: each window is drawn in also turned over, as `FLIPS` says, and the mean is taken.
    """

    def __init__(
        self,
        network: nn.Module,
        grids: Mapping[str, Imaged],
        labels: int,
        window: tuple[int, ...],
        mirrors: str = "none",
    ) -> None:
        super().__init__()
        self.network, self.grids, self.labels, self.window = network, dict(grids), labels, window
        self.mirrors = mirrors

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return an embedding `(B, K)` of zeros: what is drawn is asked of `logits`."""
        return Fused(next(iter(tokens.values())).values.new_zeros(len(present), self.labels))

    def logits(self, tokens: Mapping[str, Tokens], present: Tensor, row: int) -> tuple[Tensor, tuple[float, ...]]:
        """Logits `(K + 1, ...)` over the whole image of a patient of a batch, by sliding windows, and its spacing."""
        images, spacing = images_of(tokens, present, self.grids, row)
        first = next(iter(images.values()))
        network = self.reader(tokens, row)
        return stitched(self.of_part(images, present[row], network), first.grid, self.window), spacing

    def codes(
        self, tokens: Mapping[str, Tokens], present: Tensor, row: int
    ) -> tuple[NDArray[np.integer], tuple[float, ...]]:
        """Codes over the whole image of a patient of a batch, on its own grid, and its spacing."""
        images, spacing = images_of(tokens, present, self.grids, row)
        first = next(iter(images.values()))
        found = drawn_codes(self.of_part(images, present[row], self.reader(tokens, row)), first.grid, self.window)
        return regridded(found, first.values.shape[1:]), spacing

    def reader(self, tokens: Mapping[str, Tokens], row: int) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
        """The network as it reads images of a patient of a batch; here the same for each."""
        return self.network

    def of_part(
        self,
        images: Mapping[str, Pixels],
        present: Tensor,
        network: Callable[[Mapping[str, Tensor], Tensor], Tensor] | None = None,
    ) -> Callable[[Part], Tensor]:
        """What gives the logits `(K + 1, ...)` of a part of the images of a patient, the mean over how it is mirrored.

        A part that is smaller than the window is filled up to it, as in training.

        Args:
            present: `(M,)` bool.
            network: what reads them; None: the network.
        """
        axes, asked = AXES_OF[self.mirrors], network or self.network

        def found(part: Part) -> Tensor:
            cut = {name: image[(slice(None), *part)] for name, image in images.items()}
            sides = next(iter(cut.values())).shape[1:]
            here = {name: padded(own, self.window, 0.0)[None] for name, own in cut.items()}
            over = [-1] if axes == 1 else list(range(2, 2 + len(part))) if axes else []
            ways = [way for many in range(len(over) + 1) for way in combinations(over, many)]
            total: Tensor | None = None
            for way in ways:
                own = asked({name: image.flip(way) for name, image in here.items()}, present[None])
                total = own.flip(way) if total is None else total + own.flip(way)
            return unpadded(cast(Tensor, total)[0] / len(ways), sides)

        return found


class DrawnMaps(Objective):
    """Objective of a network that draws label maps: cross-entropy and soft dice over windows of a batch's images.

    Args:
        flips: windows are turned over in training, each axis with a chance of one half: `none`; `sideways`, the last
            axis; `all`. Where sides matter, as left and right kidney, none is.
        crops: windows of each patient in a step.
    """

    reading_batch: ClassVar[int] = 1  # a batch holds whole images, padded to the largest: never more than one patient's

    def __init__(self, flips: str, crops: int) -> None:
        self.flips, self.crops = flips, crops

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Cut windows out of a batch's images, draw in them, and compare with what was drawn."""
        drawing = cast(Drawing, network.fusion)
        images, codes, present = self.cut(drawing, batch)
        losses = self.drawn_losses(drawing.network, images, present, codes)
        nothing = batch.target.value.new_zeros(len(batch), drawing.labels)
        return Computed(losses, nothing, Fused(nothing))

    def cut(self, drawing: Drawing, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Windows of a batch's images, `(B, C, ...)` a contrast, their codes `(B, ...)`, and who has which contrast."""
        turns = self.turns(batch.present)
        cut: list[tuple[dict[str, Tensor], Tensor]] = []
        for row in sorted({row for row, _ in turns}):
            images, _ = images_of(batch.tokens, batch.present, drawing.grids, row)
            drawn = drawn_map(batch.target.event[row], images)
            cut += [self.window(drawing, images, drawn) for own, _ in turns if own == row]
        names = cast(MapNetwork, drawing.network).names
        stacked: dict[str, Tensor] = {}
        for name in names:
            like = next((images[name] for images, _ in cut if name in images), None)
            if like is not None:
                stacked[name] = torch.stack([images.get(name, torch.zeros_like(like)) for images, _ in cut])
        return stacked, torch.stack([codes for _, codes in cut]), torch.stack([own for _, own in turns])

    def turns(self, present: Tensor) -> list[tuple[int, Tensor]]:
        """Of each window of a step, in the order of patients, whose it is and which of his contrasts it shows, `(M,)`.

        Args:
            present: `(B, M)` bool.
        """
        return [(row, own) for row, own in enumerate(present) for _ in range(self.crops)]

    def drawn_losses(
        self, network: nn.Module, images: Mapping[str, Tensor], present: Tensor, codes: Tensor
    ) -> dict[str, Tensor]:
        """The terms of the loss of windows by name, of `(B, C, ...)` a contrast, present `(B, M)`, codes `(B, ...)`."""
        return map_losses(network(images, present), codes)

    def window(
        self, drawing: Drawing, images: Mapping[str, Pixels], drawn: DrawnMap
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Cut a window out of a patient's images and label map, and turn it over."""
        part = drawn_window(drawn, drawing.window)
        codes = padded(drawn[part][None], drawing.window, NOT_THERE)[0]
        cut = {name: padded(own[(slice(None), *part)], drawing.window, 0.0) for name, own in images.items()}
        axes = {"none": [], "sideways": [-1], "all": list(range(-codes.ndim, 0))}[self.flips]
        over = [axis for axis in axes if float(torch.rand(())) < 0.5]
        return {name: own.flip(over) for name, own in cut.items()}, codes.flip(over)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Mean loss of the held-out patients, each over the whole of its images: windows side by side, one at a time.

        Where the last windows of an axis reach over the ones before, what both hold counts twice.
        """
        drawing, losses = cast(Drawing, network.fusion), list[float]()
        for batch in batches:
            for row in range(len(batch)):
                images, _ = images_of(batch.tokens, batch.present, drawing.grids, row)
                drawn, logits = drawn_map(batch.target.event[row], images), drawing.of_part(images, batch.present[row])
                sums: dict[str, Tensor] = {}
                for part in sliding(drawn.shape, drawing.window, 0.0):
                    for name, own in map_sums(logits(part)[None], drawn[part][None]).items():
                        sums[name] = sums[name] + own.double() if name in sums else own.double()
                losses.append(float(torch.stack(list(losses_of(sums).values())).sum()))
        return float(np.mean(losses)) if losses else 0.0


def map_losses(logits: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """Cross-entropy, and one less soft dice, of logits `(B, K + 1, ...)` and codes `(B, ...)`, `NOT_THERE` beyond.

        dice = mean over labels k of (2 sum p_k y_k + s) / (sum p_k + sum y_k + s), sums over the batch, s = 1

    The smoothing s lets a label that is nowhere in the batch teach that it is nowhere. Source: nnU-Net (Isensee and
    others, Nature Methods 2021), whose sum of the two this is.
    """
    return losses_of(map_sums(logits, codes))


def map_sums(logits: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """What the losses are made of: sums `entropy` and `many`, and of each label `both`, `said`, `true`."""
    there = codes != NOT_THERE
    entropy = functional.cross_entropy(logits, codes, ignore_index=NOT_THERE, reduction="sum")
    p = logits.softmax(1)[:, 1:] * there[:, None]
    y = functional.one_hot(codes.clamp_min(0), logits.shape[1]).movedim(-1, 1)[:, 1:].to(p) * there[:, None]
    over = (0, *range(2, p.ndim))
    return {
        "entropy": entropy,
        "many": there.sum(),
        "both": (p * y).sum(over),
        "said": p.sum(over),
        "true": y.sum(over),
    }


def losses_of(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The losses of `map_losses`, of its sums."""
    dice = soft_dice(sums["both"], sums["said"], sums["true"])
    return {"entropy": sums["entropy"] / sums["many"].clamp_min(1), "dice": 1 - dice.mean()}


def soft_dice(both: Tensor, said: Tensor, true: Tensor) -> Tensor:
    """`(2 both + s) / (said + true + s)`, s = 1, of sums of `p y`, p and y over the places of a mask."""
    return (2 * both + SMOOTH) / (said + true + SMOOTH)


def drawn_map(numbers: Tensor, images: Mapping[str, Pixels]) -> DrawnMap:
    """The label map of a patient, of its numbers as `numbers_of` stacks them, on the grid of his images."""
    first = next(iter(images.values()))
    return DrawnMap(of_numbers(numbers.double().cpu().numpy()), first.grid, first.device)


def codes_of(numbers: Tensor) -> Tensor:
    """The codes of a patient's label map, int64, from its numbers as `numbers_of` stacks them."""
    return torch.from_numpy(of_numbers(numbers.double().cpu().numpy()).codes.astype(np.int64)).to(numbers.device)


def numbers_of(maps: LabelMaps) -> Tensor:
    """The numbers `(B, M)`, float64, of each patient's label map, as `LabelMap.numbers`; NaN behind shorter ones."""
    each = [maps.of(row).numbers() for row in range(len(maps.texts))]
    held = np.full((len(each), max(map(len, each))), np.nan)
    for row, own in enumerate(each):
        held[row, : len(own)] = own
    return torch.from_numpy(held)
