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

DRAWN = "log density of the mask of "


class MaskedFusion(nn.Module):
    """Fusion whose images are masked in training; in evaluation it equals the plain fusion and no policy runs.

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
        """Run the fusion; in training on masked images, adding each mask's log density `(B, 1, 1)` to the latents."""
        if not self.training:
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
            drawn[DRAWN + name] = torch.where(here, density, torch.nan)[:, None, None]
        fused: Fused = self.fusion(masked, present)
        return replace(fused, latents={**fused.latents, **drawn})


class MaskReward:
    """Objective of masked training: cross entropy for the network, and each patient's loss as cost of the mask."""

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """Return the sum of network and policy losses, each with a gradient for its own network only.

        A policy reads no label.
        """
        costs = functional.cross_entropy(link, value.long(), reduction="none")  # (B,)
        total = costs.mean()
        for name, density in fused.latents.items():
            if name.startswith(DRAWN):
                drawn = ~torch.isnan(density[:, 0, 0])
                if bool(drawn.any()):
                    total = total + policy_loss(density[drawn, 0, 0], costs[drawn])
        return total

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """Return the cross entropy on unmasked images."""
        return float(functional.cross_entropy(link, value.long()))

    def state(self) -> Any:
        """Return None: the policies are stored as part of the network until they are dropped."""
        return None

    def restore(self, state: Any) -> None:
        """Do nothing: there is no state to restore."""
