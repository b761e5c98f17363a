"""Losses of modalities alone: each has a head of its own in the fusion, whose link is an extra "alone <modality>"."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from chiasm.fusion.concatenated import ALONE
from chiasm.protocols import Fused
from chiasm.training.examples import Batch, TargetTensors
from chiasm.training.network import Network
from chiasm.training.objective import Objective


def alone_links(batch: Batch, fused: Fused) -> dict[str, Tensor]:
    """Return the link of each modality's own head, `(B, K)`, upon the offset; without meaning where it is absent."""
    found = {name: fused.extras[ALONE + name] for name in sorted(batch.tokens)}
    return found if batch.offset is None else {name: link + batch.offset for name, link in found.items()}


def loss_of(network: Network, link: Tensor, target: TargetTensors, rows: Tensor) -> Tensor:
    """Return the head's mean loss over the patients `rows`, `(B,)` bool; zero, with zero gradient, if there is none."""
    if not bool(rows.any()):
        return (link * 0.0).sum()
    return network.head.loss(link[rows], target.value[rows], target.event[rows])


def alone_losses(network: Network, batch: Batch, fused: Fused) -> dict[str, Tensor]:
    """Return the loss of each modality's own head over the patients who have it, by the name of its extra."""
    links = alone_links(batch, fused)
    return {
        f"{ALONE}{name}": loss_of(network, link, batch.target, batch.present[:, m])
        for m, (name, link) in enumerate(links.items())
    }


class WithAlone(Objective):
    """The head's loss, and of each modality the loss of its own head over the patients who have it, at weight one."""

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the target's term, and one for each modality."""
        return {**super().losses(network, batch, link, fused), **alone_losses(network, batch, fused)}


class OnlyAlone(Objective):
    """The losses of the modalities' own heads, in training and in validation, each over the patients who have it.

    Branches that share no parameter learn side by side: the gradient of a branch is that of its own loss. It is clipped
    together with those of the others, as in every training here.
    """

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return one term for each modality."""
        return alone_losses(network, batch, fused)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum of the mean losses over the held-out patients who have each modality; zero if none has it."""
        links: dict[str, list[Tensor]] = {}
        targets, present = [], []
        for batch in batches:
            _, fused = network(batch.tokens, batch.present)
            for name, link in alone_links(batch, fused).items():
                links.setdefault(name, []).append(link.cpu())
            targets.append(batch.target.to("cpu"))
            present.append(batch.present.cpu())
        known, here = TargetTensors.of(targets), torch.cat(present)
        own = enumerate(links.values())
        return sum(float(loss_of(network, torch.cat(parts), known, here[:, m])) for m, parts in own)
