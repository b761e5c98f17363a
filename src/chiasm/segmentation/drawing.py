"""Networks that draw label maps, trained by the one loop: windows about labels, mirrored at random, and dice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.protocols import Fused
from chiasm.segmentation.grids import ImageGrids, images_of
from chiasm.segmentation.windows import drawn_window, padded, stitched
from chiasm.targets.label_maps import LabelMaps, of_numbers
from chiasm.tokens import Tokens
from chiasm.training import Batch, Computed, Network, Objective

FLIPS = ("none", "sideways", "all")
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
    """

    def __init__(
        self, network: nn.Module, grids: Mapping[str, ImageGrids], labels: int, window: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.network, self.grids, self.labels, self.window = network, dict(grids), labels, window

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return an embedding `(B, K)` of zeros: what is drawn is asked of `logits`."""
        return Fused(next(iter(tokens.values())).values.new_zeros(len(present), self.labels))

    def logits(self, tokens: Mapping[str, Tokens], present: Tensor, row: int) -> tuple[Tensor, tuple[float, ...]]:
        """Logits `(K + 1, ...)` over the whole image of a patient of a batch, by sliding windows, and its spacing."""
        images, spacing = images_of(tokens, present, self.grids, row)
        first = next(iter(images.values()))

        def of_part(part: tuple[slice, ...]) -> Tensor:
            here = {name: image[(slice(None), *part)][None] for name, image in images.items()}
            own: Tensor = self.network(here, present[row : row + 1])
            return own[0]

        return stitched(of_part, first.shape[1:], self.window), spacing


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
            codes = codes_of(batch.target.event[row])
            cut += [self.window(drawing, images, codes) for own, _ in turns if own == row]
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

    def window(self, drawing: Drawing, images: Mapping[str, Tensor], codes: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Cut a window out of a patient's images and codes, and turn it over."""
        part = drawn_window(codes, drawing.window)
        codes = padded(codes[part][None], drawing.window, NOT_THERE)[0]
        cut = {name: padded(own[(slice(None), *part)], drawing.window, 0.0) for name, own in images.items()}
        axes = {"none": [], "sideways": [-1], "all": list(range(-codes.ndim, 0))}[self.flips]
        over = [axis for axis in axes if float(torch.rand(())) < 0.5]
        return {name: own.flip(over) for name, own in cut.items()}, codes.flip(over)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Mean loss of the held-out patients, each over the whole of its images."""
        drawing, losses = cast(Drawing, network.fusion), list[float]()
        for batch in batches:
            for row in range(len(batch)):
                logits, _ = drawing.logits(batch.tokens, batch.present, row)
                codes = codes_of(batch.target.event[row]).to(logits.device)
                losses.append(float(torch.stack(list(map_losses(logits[None], codes[None]).values())).sum()))
        return float(np.mean(losses)) if losses else 0.0


def map_losses(logits: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """Cross-entropy, and one less soft dice, of logits `(B, K + 1, ...)` and codes `(B, ...)`, `NOT_THERE` beyond.

        dice = mean over labels k of (2 sum p_k y_k + s) / (sum p_k + sum y_k + s), sums over the batch, s = 1

    The smoothing s lets a label that is nowhere in the batch teach that it is nowhere. Source: nnU-Net (Isensee and
    others, Nature Methods 2021), whose sum of the two this is.
    """
    there = codes != NOT_THERE
    entropy = functional.cross_entropy(logits, codes, ignore_index=NOT_THERE)
    p = logits.softmax(1)[:, 1:] * there[:, None]
    y = functional.one_hot(codes.clamp_min(0), logits.shape[1]).movedim(-1, 1)[:, 1:].to(p) * there[:, None]
    sums = (0, *range(2, p.ndim))
    dice = (2 * (p * y).sum(sums) + SMOOTH) / (p.sum(sums) + y.sum(sums) + SMOOTH)
    return {"entropy": entropy, "dice": 1 - dice.mean()}


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
