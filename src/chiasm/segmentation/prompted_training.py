"""How a promptable network is trained: a prompt, then clicks where its answer is wrong, beside the answer before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.protocols import Fused
from chiasm.segmentation.clicks import drawn_clicks
from chiasm.segmentation.drawing import NOT_THERE, Drawing, DrawnMaps, soft_dice
from chiasm.segmentation.prompts import Prompts, drawn_prompts
from chiasm.training import Batch, Computed, Network


@dataclass(frozen=True)
class Weighing:
    """Weights of the losses of a mask, and the focal loss's share of what is inside and its power."""

    focal: float
    dice: float
    fit: float
    inside: float
    power: float


OF_SAM = Weighing(20.0, 1.0, 1.0, 0.25, 2.0)
"""Those of SAM and SAM-Med2D, which tune a network that draws already."""
FROM_NOTHING = Weighing(4.0, 2.0, 0.5, 0.5, 0.0)
"""Half of a cross-entropy: with a focal loss a small network says of everything for long that it is nothing."""


class Promptable(Protocol):
    """A network that draws masks of prompts."""

    def embedded(self, images: dict[str, Tensor], present: Tensor) -> Tensor: ...

    def masks(
        self, embedded: Tensor, owner: Tensor, label: Tensor, prompts: Prompts, shape: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]: ...


class PromptedMaps(DrawnMaps):
    """Objective of a promptable network: masks of labels of a batch's windows, asked and corrected as by a person.

    Each is asked by a box of the whole image, by its own box or by a click, and then by so many clicks more, each at
    random where the answer before is wrong. The losses are those of SAM-Med2D, the mean over the answers:

        20 focal + dice + (fit - IoU)^2,  focal = mean of -a y (1 - p)^2 log p - (1 - a) (1 - y) p^2 log(1 - p), a = .25

    and of a network that begins from nothing 4, 2 and .5 of them, with a cross-entropy for the focal loss.

    Args:
        flips, crops: as in `DrawnMaps`.
        clicks: corrections of each mask in a step.
        objects: masks of each window in a step, at most; of more labels these are drawn.
        begun: whether the network draws already.
    """

    def __init__(self, flips: str, crops: int, clicks: int, objects: int, begun: bool) -> None:
        super().__init__(flips, crops)
        self.clicks, self.objects, self.begun = clicks, objects, begun

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Ask for masks in windows of a batch's images, correct them, and compare with what was drawn."""
        drawing = cast(Drawing, network.fusion)
        images, codes, present = self.cut(drawing, batch)
        kept = [torch.randperm(drawing.labels)[: self.objects].sort().values for _ in range(len(codes))]
        owner = torch.arange(len(codes)).repeat_interleave(len(kept[0]))
        label = torch.cat(kept)
        there = codes[owner] != NOT_THERE
        truth = codes[owner] == (label + 1).to(codes.device).view(-1, *[1] * (codes.ndim - 1))
        asked = cast(Promptable, drawing.network)
        weighing = OF_SAM if self.begun else FROM_NOTHING
        losses = corrected(asked, images, present, owner, label, truth, there, drawn_prompts, self.clicks, weighing)
        nothing = next(iter(losses.values())).new_zeros(len(batch), drawing.labels)
        return Computed(losses, nothing, Fused(nothing))


def corrected(
    network: Promptable,
    images: dict[str, Tensor],
    present: Tensor,
    owner: Tensor,
    label: Tensor,
    truth: Tensor,
    there: Tensor | None,
    first: Callable[[Tensor], Prompts],
    clicks: int,
    weighing: Weighing,
) -> dict[str, Tensor]:
    """The losses of masks that are asked for and corrected by clicks, weighted, the mean over the answers.

    Args:
        owner, label: `(N,)`, image and label of each mask.
        truth: `(N, ...)` bool.
        there: `(N, ...)` bool, where there is an image; None: everywhere.
        first: the first prompts of masks `(N, ...)`.
    """
    there = torch.ones_like(truth) if there is None else there
    shape = tuple(truth.shape[1:])
    embedded = network.embedded(images, present)
    prompts = first(truth.cpu())
    found: dict[str, list[Tensor]] = {"focal": [], "dice": [], "fit": []}
    for number in range(clicks + 1):
        logits, fits = network.masks(embedded, owner, label, prompts, shape)
        for name, value in mask_losses(logits, fits, truth, there, weighing).items():
            found[name].append(asdict(weighing)[name] * value)
        if number < clicks:
            drawn = (logits.detach() > 0) & there
            places, inside, wrong = drawn_clicks(truth, drawn)
            prompts = prompts.with_clicks(places.cpu(), inside.cpu(), wrong.cpu(), drawn.cpu())
    return {name: torch.stack(values).mean() for name, values in found.items()}


def mask_losses(logits: Tensor, fits: Tensor, truth: Tensor, there: Tensor, weighing: Weighing) -> dict[str, Tensor]:
    """Focal loss, one less soft dice, and the squared error of how well a mask fits, of masks `(N, ...)`."""
    axes = tuple(range(1, logits.ndim))
    y, p, many = truth.to(logits), logits.sigmoid(), there.sum(axes).clamp_min(1)
    within = weighing.inside * y * (1 - p) ** weighing.power * functional.logsigmoid(logits)
    without = (1 - weighing.inside) * (1 - y) * p**weighing.power * functional.logsigmoid(-logits)
    focal = -((within + without) * there).sum(axes) / many
    p = p * there
    dice = soft_dice((p * y).sum(axes), p.sum(axes), y.sum(axes))
    drawn = (logits.detach() > 0) & there
    both, either = (drawn & truth).sum(axes), (drawn | truth).sum(axes)
    iou = torch.where(either > 0, both / either.clamp_min(1), torch.ones_like(fits))
    return {"focal": focal.mean(), "dice": 1 - dice.mean(), "fit": (fits - iou).square().mean()}
