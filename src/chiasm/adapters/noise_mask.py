"""Noise masks on images, drawn by a small policy that learns by policy gradient which masks help a classifier train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Beta

_INSIDE = 1e-4  # cells stay this far from 0 and 1, where a Beta density may be infinite


@dataclass(frozen=True)
class DrawnMask:
    """Masks drawn by the policy.

    Args:
        cells: masks before enlargement, `(B, h, w)`, strictly between 0 and 1.
        mask: enlarged masks `(B, 1, H, W)`, to multiply images by.
        log_density: log density summed over cells, `(B,)`, with gradient to the policy.
    """

    cells: Tensor
    mask: Tensor
    log_density: Tensor


class BetaMaskPolicy(nn.Module):
    """Policy that draws a mask per image from a grid of Beta distributions, enlarged to the image's size and blurred.

    `m ~ Beta(alpha, beta)` with `log(alpha, beta) = mix * net(x) + (1 - mix) * r`, and r the running mean of `net(x)`
    over training, `r <- decay * r + (1 - decay) * mean net(x)`. In evaluation mode images pass unmasked.

    Args:
        channels: number of channels C of the images `(B, C, H, W)`.
        grid: number of cells (h, w).
        net: network from images to `(B, 2, h, w)`; by default a small convolutional one.
        mix: weight of the image's own `net(x)` against the running mean.
        decay: decay of the running mean.
        blur: standard deviation of the Gaussian blur, in pixels; 0 for none.

    Source: Yavuz and Yang, Policy Gradient-Driven Noise Mask, arXiv 2406.14568; Williams, REINFORCE, Machine Learning
    1992.
    Deviation: `noise_mask_losses` is the plain policy gradient. The released code uses one reward for all images of a
    batch, sums the cells' densities although the joint density is their product, and multiplies the classifier's loss
    by a log density, which may be negative.
    """

    running: Tensor

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int] = (4, 4),
        *,
        net: nn.Module | None = None,
        mix: float = 0.9,
        decay: float = 0.99,
        blur: float = 1.0,
    ) -> None:
        super().__init__()
        if min(grid) < 1 or not 0 < mix <= 1 or not 0 <= decay < 1 or blur < 0:
            raise ValueError(f"grid {grid}, mix {mix}, decay {decay} or blur {blur} cannot be")
        self.grid, self.mix, self.decay, self.blur = grid, mix, decay, blur
        self.net = net or nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(grid), nn.Conv2d(8, 2, 1)
        )
        self.register_buffer("running", torch.zeros(2, *grid))

    def distribution(self, images: Tensor) -> Beta:
        """Return the Beta distribution of each cell, `(B, h, w)`; update the running mean in training mode."""
        found = self.net(images)
        if found.shape[1:] != (2, *self.grid):
            raise ValueError(f"the policy's network gives {tuple(found.shape[1:])} an image, not {(2, *self.grid)}")
        if self.training:
            self.running = self.decay * self.running + (1 - self.decay) * found.detach().mean(0)
        alpha, beta = (self.mix * found + (1 - self.mix) * self.running).clamp(-6, 6).exp().unbind(1)
        return Beta(alpha, beta)

    def draw(self, images: Tensor) -> DrawnMask:
        """Draw a mask for each image by torch's generator."""
        distribution = self.distribution(images)
        cells = distribution.sample().clamp(_INSIDE, 1 - _INSIDE)
        mask = F.interpolate(cells[:, None], images.shape[2:], mode="bilinear", align_corners=False)
        log_density: Tensor = distribution.log_prob(cells)  # type: ignore[no-untyped-call]
        return DrawnMask(cells, _blurred(mask, self.blur), log_density.flatten(1).sum(1))

    def forward(self, images: Tensor) -> Tensor:
        """Return masked images in training mode, and the images themselves in evaluation mode."""
        return images * self.draw(images).mask if self.training else images


def policy_loss(log_density: Tensor, cost: Tensor) -> Tensor:
    """Compute the REINFORCE loss `mean_i (cost_i - b_i) log p_i`, whose gradient is that of the expected cost.

    The baseline b_i is the mean cost of the other images; as it excludes the image's own cost, it changes the variance
    but not the mean.

    Args:
        log_density: log p of the draw for each image, `(B,)`.
        cost: cost of each image, `(B,)`, lower is better; treated as a constant.

    Raises:
        ValueError: costs are not one number per image.
    """
    if cost.shape != log_density.shape or cost.ndim != 1:
        raise ValueError(f"one cost an image: {tuple(cost.shape)} for densities {tuple(log_density.shape)}")
    cost, number = cost.detach(), len(cost)
    baseline = (cost.sum() - cost) / (number - 1) if number > 1 else torch.zeros_like(cost)
    return ((cost - baseline) * log_density).mean()


def noise_mask_losses(
    policy: BetaMaskPolicy,
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    target: Tensor,
    cost: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Compute the losses of the classifier on masked images and of the policy, each with a gradient for one of them.

    Args:
        cost: maps predictions and target to one cost per image, `(B,)`, such as cross-entropy with `reduction="none"`.
    """
    drawn = policy.draw(images)
    costs = cost(classifier(images * drawn.mask), target)
    return costs.mean(), policy_loss(drawn.log_density, costs)


def _blurred(mask: Tensor, sigma: float) -> Tensor:
    if sigma == 0:
        return mask
    reach = max(1, round(3 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=mask.dtype, device=mask.device)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(mask, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
