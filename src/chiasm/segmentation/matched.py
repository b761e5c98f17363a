"""Label maps by queries that have no label of their own: each says what it draws, and is matched with what is there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from chiasm.segmentation.drawing import NOT_THERE, DrawnMaps, soft_dice
from chiasm.segmentation.label_tree import TOP
from chiasm.segmentation.queried import LabelQueries
from chiasm.segmentation.unet import GatedTrunk

NOTHING = 0.1
"""Weight of queries that are to draw nothing, in the cross-entropy of what they say."""
WHERE = 2.5
"""Weight of where a query draws beside what it says it draws, Mask2Former's (arXiv 2112.01527)."""
LEAST = 1e-6


def matching(costs: Tensor) -> tuple[Tensor, Tensor]:
    """Return which queries are matched, and with which of the things, `(K,)` each, by the least sum of costs `(Q, K)`.

    The Hungarian method; Q is K or more.
    """
    queries, things = linear_sum_assignment(costs.detach().cpu().numpy())
    return torch.from_numpy(queries).to(costs.device), torch.from_numpy(things).to(costs.device)


def matching_costs(classes: Tensor, masks: Tensor, codes: Tensor, truths: Tensor) -> Tensor:
    """What it costs `(Q, K)` to match each query with each thing: `-p_q(code_k) + w (cross-entropy + 1 - dice)`.

    Args:
        classes: `(Q, C)` logits of what a query draws.
        masks: `(Q, N)` logits at places.
        codes: `(K,)` of the things.
        truths: `(K, N)` where each is, 0 or 1.
    """
    said = classes.softmax(1)[:, codes]
    inside = functional.softplus(-masks) @ truths.T + functional.softplus(masks) @ (1 - truths).T
    p = masks.sigmoid()
    dice = soft_dice(p @ truths.T, p.sum(1)[:, None], truths.sum(1))
    return -said + WHERE * (inside / max(masks.shape[1], 1) + 1 - dice)


class Matched(nn.Module):
    """Label maps by a U-Net's features and N queries: `score of code c = sum_q p_q(c) sigmoid(m_q)`.

    Each says of codes 0 (no label) to K, and of nothing at all, which it draws. Source: Cheng, Schwing and Kirillov,
    MaskFormer (NeurIPS 2021, arXiv 2107.06278).

    Args:
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        labels: K.
        queries: N, more than K.
        width, depth: as in `GatedTrunk`.
        latent, heads: of the queries.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        axes: int,
        labels: int,
        queries: int,
        *,
        width: int,
        depth: int,
        latent: int,
        heads: int,
    ) -> None:
        super().__init__()
        if queries <= labels:
            raise ValueError("queries that are matched are more than the labels, as what has none is matched too")
        self.names = sorted(channels)
        self.trunk = GatedTrunk(channels, axes, width, depth)
        self.queries = LabelQueries(width, width * 2**depth, axes, (TOP,) * queries, latent, heads)
        self.classes = nn.Linear(latent, labels + 2)

    def said(self, images: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of what each query draws `(B, N, K + 2)`, the last of nothing, and where `(B, N, ...)`."""
        features, lowest = self.trunk.features(images, present)
        states = self.queries.states(lowest)
        return self.classes(states), self.queries.drawn(states, features)

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logarithms of scores `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        classes, masks = self.said(images, present)
        scores = torch.einsum("bqc,bq...->bc...", classes.softmax(2)[..., :-1], masks.sigmoid())
        return scores.clamp_min(LEAST).log()


class MatchedMaps(DrawnMaps):
    """Objective of a `Matched` network: each thing of a window by the query that is matched with it."""

    def drawn_losses(
        self, network: nn.Module, images: Mapping[str, Tensor], present: Tensor, codes: Tensor
    ) -> dict[str, Tensor]:
        """Means over windows: of what queries say, and w times cross-entropy and one less dice of those matched."""
        assert isinstance(network, Matched)  # as built
        classes, masks = network.said(images, present)
        weight = classes.new_ones(classes.shape[2])
        weight[-1] = NOTHING
        named, inside, dice = [], [], []
        for row, own in enumerate(codes):
            there = own != NOT_THERE
            drawn, truth = masks[row][:, there], own[there]  # (N, places)
            things = truth.unique()
            truths = (truth == things[:, None]).to(drawn)
            queries, places = matching(matching_costs(classes[row], drawn, things, truths))
            wanted = torch.full((classes.shape[1],), classes.shape[2] - 1, device=codes.device)
            wanted[queries] = things[places]
            named.append(functional.cross_entropy(classes[row], wanted, weight))
            own_masks, own_truths = drawn[queries], truths[places]
            inside.append(functional.binary_cross_entropy_with_logits(own_masks, own_truths))
            p = own_masks.sigmoid()
            dice.append(1 - soft_dice((p * own_truths).sum(1), p.sum(1), own_truths.sum(1)).mean())
        said, within, apart = (torch.stack(own).mean() for own in (named, inside, dice))
        return {"said": said, "inside": WHERE * within, "dice": WHERE * apart}
