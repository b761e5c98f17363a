"""Training on images under masks that a policy draws and learns by how the network does; dropped afterwards."""

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
    """A fusion whose images are masked in training; in evaluation it is the fusion, and the policy never runs.

    Args:
        fusion: of all modalities.
        shapes: modality of images to its channels, height and width.
        grid, blur: of the policies.
    """

    def __init__(self, fusion: Any, shapes: Mapping[str, tuple[int, ...]], grid: int, blur: float) -> None:
        super().__init__()
        self.fusion, self.images = fusion, dict(shapes)
        made = {name: BetaMaskPolicy(shape[0], (grid, grid), blur=blur) for name, shape in self.images.items()}
        self.policies = nn.ModuleDict({f"of {name}".replace(".", "/"): policy for name, policy in made.items()})

    @property
    def frozen_parameters(self) -> int:
        """Those of the fusion."""
        return int(self.fusion.frozen_parameters)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """As the fusion's; in training with the log density of each mask, `(B, 1, 1)`, among the latents."""
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
    """The plain cross entropy on masked images for the network, and each patient's own as the cost of his mask."""

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """The sum of two losses, each with a gradient for its own network alone; a policy reads no label."""
        costs = functional.cross_entropy(link, value.long(), reduction="none")  # (B,)
        total = costs.mean()
        for name, density in fused.latents.items():
            if name.startswith(DRAWN):
                drawn = ~torch.isnan(density[:, 0, 0])
                if bool(drawn.any()):
                    total = total + policy_loss(density[drawn, 0, 0], costs[drawn])
        return total

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """The cross entropy, of images without a mask."""
        return float(functional.cross_entropy(link, value.long()))

    def state(self) -> Any:
        """Nothing: policies are a part of the network until they are dropped."""
        return None

    def restore(self, state: Any) -> None:
        """Nothing to go on from."""
