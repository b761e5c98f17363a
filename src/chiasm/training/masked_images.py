"""Training on images under masks drawn by a policy, which learns from the network's loss and is dropped afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.adapters import BetaMaskPolicy, policy_loss
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Objective

DRAWN = "log density of the mask of "
POLICIES = "fusion.policies."  # of a network whose fusion is masked


class MaskedFusion(nn.Module):
    """Fusion whose images are masked while its policies are in training mode; else it is the plain fusion.

    Args:
        fusion: fusion module of all modalities.
        shapes: image modality to its channels, height and width.
        grid, blur: mask cells along each side, and blur of the masks, as in `BetaMaskPolicy`.
    """

    def __init__(self, fusion: Any, shapes: Mapping[str, tuple[int, ...]], grid: int, blur: float) -> None:
        super().__init__()
        self.fusion, self.images = fusion, dict(shapes)
        made = {name: BetaMaskPolicy(shape[0], (grid, grid), blur=blur) for name, shape in self.images.items()}
        self.policies = nn.ModuleDict({f"of {name}".replace(".", "/"): policy for name, policy in made.items()})

    @property
    def frozen_parameters(self) -> int:
        """Number of frozen parameters of the fusion."""
        return int(self.fusion.frozen_parameters)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Run the fusion, while the policies train on masked images, whose log densities `(B,)` are extras."""
        if not self.policies.training:
            plain: Fused = self.fusion(tokens, present)
            return plain
        masked, drawn = dict(tokens), {}
        for (name, shape), policy in zip(self.images.items(), self.policies.values(), strict=True):
            own = tokens[name]
            here = present[:, self.fusion.names.index(name)] & own.mask[:, 0]
            values, density = own.values.clone(), own.values.new_zeros(len(here))
            if bool(here.any()):
                images = own.values[here, 0].reshape(-1, *shape)
                mask = policy.draw(images)  # type: ignore[operator]
                values[here, 0] = (images * mask.mask).flatten(1)
                density = density.masked_scatter(here, mask.log_density)
            masked[name] = Tokens(values, own.mask)
            drawn[DRAWN + name] = torch.where(here, density, torch.nan)
        fused: Fused = self.fusion(masked, present)
        return replace(fused, extras={**fused.extras, **drawn})


class MaskReward(Objective):
    """Objective of masked training: cross entropy for the network, and each patient's loss as cost of the mask.

    Each has a gradient for its own network only. A policy reads no label.
    """

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the mean cross entropy, and the loss of each image's policy."""
        costs = functional.cross_entropy(link, batch.target.value.long(), reduction="none")  # (B,)
        losses = {"target": costs.mean()}
        for name, density in fused.extras.items():
            if name.startswith(DRAWN):
                drawn = ~torch.isnan(density)
                if bool(drawn.any()):
                    losses[f"policy of {name.removeprefix(DRAWN)}"] = policy_loss(density[drawn], costs[drawn])
        return losses
