"""A head whose convolutions are written by a controller, for each image and label anew."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 8
PARAMETERS = 2 * WIDTH * WIDTH + WIDTH + 2 * WIDTH + 1
"""Of one label: three maps of 8 to 8 to 8 to 1, weights and biases, 153."""
CODE = 256


def dynamic_convolutions(features: Tensor, parameters: Tensor) -> Tensor:
    """Logits `(B, K, N)` at N places, by three 1 x 1 convolutions of each image and label, all in one grouped call.

        y = w3 relu(W2 relu(W1 x + b1) + b2) + b3

    Args:
        features: `(B, 8, N)` x.
        parameters: `(B, K, 153)`: W1, W2 (8 x 8 each), w3, then b1, b2, b3.
    """
    images, labels = parameters.shape[:2]
    groups, square = images * labels, WIDTH * WIDTH
    parts = torch.split(parameters.reshape(groups, -1), [square, square, WIDTH, WIDTH, WIDTH, 1], 1)
    weights = [own.reshape(-1, WIDTH, 1) for own in parts[:3]]
    x = features[:, None].expand(-1, labels, -1, -1).reshape(1, groups * WIDTH, -1)
    for place, (weight, bias) in enumerate(zip(weights, parts[3:], strict=True)):
        x = functional.conv1d(functional.relu(x) if place else x, weight, bias.reshape(-1), groups=groups)
    return x.reshape(images, labels, -1)


class DynamicHead(nn.Module):
    """Logits of labels, each by convolutions that a controller writes from the image and from words of the label.

        (W1, W2, w3, b1, b2, b3) = controller(mean over places of the lowest features, relu(W words))

    Source: Li and others, MulModSeg (WACV 2025, arXiv 2411.15576), after the CLIP-driven universal model (Liu and
    others, ICCV 2023, arXiv 2301.00785). The first layer of the three reads plain features, as theirs.

    Args:
        width: channels of the features at full size.
        lowest: channels of the features at the lowest step.
        words: E, numbers of what is said of a label.
    """

    def __init__(self, width: int, lowest: int, words: int) -> None:
        super().__init__()
        self.words = nn.Sequential(nn.Linear(words, CODE), nn.ReLU())
        self.norm, self.pooled = nn.GroupNorm(1, lowest), nn.Linear(lowest, CODE)
        self.controller = nn.Linear(2 * CODE, PARAMETERS)
        self.before = nn.Sequential(nn.GroupNorm(1, width), nn.ReLU())
        self.narrow = nn.Linear(width, WIDTH)

    def forward(self, features: Tensor, lowest: Tensor, words: Tensor) -> Tensor:
        """Return logits `(B, K, ...)`.

        Args:
            features: `(B, D, ...)` at full size.
            lowest: `(B, P, ...)`.
            words: `(B, K, E)`.
        """
        image = self.pooled(functional.relu(self.norm(lowest)).flatten(2).mean(2))  # (B, CODE)
        said = self.words(words)  # (B, K, CODE)
        parameters = self.controller(torch.cat([image[:, None].expand_as(said), said], 2))
        narrow = self.narrow(self.before(features).flatten(2).transpose(1, 2)).transpose(1, 2)  # (B, 8, N)
        return dynamic_convolutions(narrow, parameters).reshape(*words.shape[:2], *features.shape[2:])
