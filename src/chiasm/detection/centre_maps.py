"""Boxes as maps over a grid: where their centres are, how large they are, and back (CenterNet)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LEAST_OVERLAP = 0.7
"""Overlap with its box that a centre moved by three deviations of its blob keeps, about."""


@dataclass(frozen=True, eq=False)
class CentreMaps:
    """What a network of centres gives of B images, or should give, over a grid of H rows and W columns.

    Args:
        heat: `(B, K, H, W)` for each label 1 at a centre, falling with the distance from it; of a network its logit.
        size: `(B, 2, H, W)` width and height of the box whose centre a cell has, in cells.
        offset: `(B, 2, H, W)` where in its cell the centre lies, across and down, 0 to 1.
        centre: `(B, H, W)` True in cells that have a centre; None of a network.
    """

    heat: Tensor
    size: Tensor
    offset: Tensor
    centre: Tensor | None = None


def drawn_maps(boxes: Tensor, labels: int, grid: tuple[int, int]) -> CentreMaps:
    """Maps of boxes `(B, M, 5)`: place of the label, left, top, right and bottom in shares of the image; NaN for none.

    A blob is a Gaussian along each axis whose deviation is `(1 - LEAST_OVERLAP) / 3` of the box, and a third of a cell
    at least; where blobs of one label meet the larger value counts. The paper's blobs are round, by the shorter side.
    Of two centres in one cell the larger box is drawn.
    """
    rows, columns = grid
    heat = boxes.new_zeros(len(boxes), labels, rows, columns)
    size, offset = (boxes.new_zeros(len(boxes), 2, rows, columns) for _ in range(2))
    centre = torch.zeros(len(boxes), rows, columns, dtype=torch.bool, device=boxes.device)
    scale = boxes.new_tensor([columns, rows])
    across, down = (torch.arange(many, device=boxes.device) + 0.5 for many in (columns, rows))
    for image, own in enumerate(boxes):
        kept = own[~own.isnan().any(1)]
        kept = kept[((kept[:, 3:] - kept[:, 1:3]).prod(1)).argsort(stable=True)]  # the larger last
        label = kept[:, 0].long()
        extent = (kept[:, 3:] - kept[:, 1:3]) * scale
        middle = (kept[:, 3:] + kept[:, 1:3]) / 2 * scale
        cell = torch.minimum(middle.floor(), scale - 1).clamp_min(0)
        spread = (extent * (1 - LEAST_OVERLAP) / 3).clamp_min(1 / 3)
        at = cell + 0.5
        blobs = torch.exp(
            -((across - at[:, :1]) ** 2 / (2 * spread[:, :1] ** 2))[:, None, :]
            - ((down - at[:, 1:]) ** 2 / (2 * spread[:, 1:] ** 2))[:, :, None]
        )  # (m, H, W)
        for k in label.unique().tolist():
            heat[image, k] = blobs[label == k].amax(0)
        place = (cell[:, 1] * columns + cell[:, 0]).long()
        order = torch.arange(len(kept), device=boxes.device)
        owner = place.new_full((rows * columns,), -1).scatter_reduce_(0, place, order, "amax")
        cells = (owner >= 0).nonzero()[:, 0]
        size[image].view(2, -1)[:, cells] = extent[owner[cells]].T
        offset[image].view(2, -1)[:, cells] = (middle - cell)[owner[cells]].T
        centre[image].view(-1)[cells] = True
    return CentreMaps(heat, size, offset, centre)


def centre_losses(said: CentreMaps, drawn: CentreMaps) -> dict[str, Tensor]:
    """Losses of maps that a network gives, each divided by the number of centres of the batch.

        heat:   -(1 - p)^2 log p at a centre, -(1 - y)^4 p^2 log(1 - p) elsewhere, y the drawn heat
        size:   |log s - log d|, d the drawn size
        offset: |o - d|

    Source: Zhou, Wang and Krähenbühl, Objects as Points (arXiv 1904.07850), after CornerNet's focal loss. Sizes are
    compared by their logarithms here, so that small boxes count as large ones do; the paper weighs |s - d| by .1.
    """
    assert drawn.centre is not None  # of drawn boxes
    at = drawn.heat >= 1.0
    log_p, log_not = functional.logsigmoid(said.heat), functional.logsigmoid(-said.heat)
    p = said.heat.sigmoid()
    own = torch.where(at, -((1 - p) ** 2) * log_p, -((1 - drawn.heat) ** 4) * p**2 * log_not)
    many = drawn.centre.sum().clamp_min(1)
    here = drawn.centre[:, None].expand_as(said.size)
    size = (said.size[here].clamp_min(1e-6).log() - drawn.size[here].clamp_min(1e-6).log()).abs().sum()
    offset = (said.offset[here] - drawn.offset[here]).abs().sum()
    return {"heat": own.sum() / many, "size": size / many, "offset": offset / many}


def found_boxes(said: CentreMaps, most: int) -> Tensor:
    """Boxes `(B, M, 6)` at the peaks of the heat: label, score, left, top, right, bottom; the surest first, M `most`.

    A peak is a cell whose heat is the largest of its own and its eight neighbours; rows are NaN where there are fewer.
    """
    p = said.heat.sigmoid()
    peak = functional.max_pool2d(p, 3, 1, 1) == p
    rows, columns = p.shape[2:]
    flat = torch.where(peak, p, p.new_tensor(-1.0)).flatten(1)
    score, place = flat.topk(min(most, flat.shape[1]), dim=1)
    label, cell = place // (rows * columns), place % (rows * columns)
    y, x = cell // columns, cell % columns
    scale = p.new_tensor([columns, rows])
    offset, size = (
        own.flatten(2).gather(2, cell[:, None].expand(-1, 2, -1)).transpose(1, 2) for own in (said.offset, said.size)
    )
    middle = torch.stack([x, y], 2) + offset
    corners = torch.cat([middle - size / 2, middle + size / 2], 2) / torch.cat([scale, scale])
    found = torch.cat([label[..., None], score[..., None], corners.clamp(0.0, 1.0)], 2)
    return torch.where(score[..., None] > 0, found, torch.nan)
