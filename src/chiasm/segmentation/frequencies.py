"""What frequencies an image has, which does not change where it is moved, and an adapter that adds it to features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CELLS = 8
SHARE = 0.5


def magnitudes(image: Tensor) -> Tensor:
    """Magnitude of the Fourier transform of images `(B, C, ...)`, `log(1 + |F| / sqrt(N))`, the constant in the middle.

    An image that is moved around, what leaves on one side entering on the other, has the same.
    """
    axes = tuple(range(2, image.ndim))
    found: Tensor = torch.fft.fftshift(torch.fft.fftn(image, dim=axes, norm="ortho").abs(), dim=axes)
    return found.log1p()


class FrequencyAdapter(nn.Module):
    """Numbers `(B, D)` to be added to features at every place: what frequencies an image has, through a narrow layer.

        x += 0.5 W_up gelu(W_down magnitudes)

    Fresh it adds zeros. Source: Wei and others, I-MedSAM (ECCV 2024, arXiv 2311.17081). Theirs adds the magnitude at a
    frequency to the features at the place of the same number; a frequency lies at no place, so ours adds to all alike.

    Args:
        axes: of the images, 2 or 3.
        width: D.
        narrow: width between the two maps.
    """

    def __init__(self, axes: int, width: int, narrow: int) -> None:
        super().__init__()
        self.axes = axes
        self.down = nn.Linear(CELLS**axes, narrow)
        self.up = nn.Linear(narrow, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Return what is added to the features of images `(B, C, ...)`, their channels averaged."""
        pool = functional.adaptive_avg_pool2d if self.axes == 2 else functional.adaptive_avg_pool3d
        cells = pool(magnitudes(image).mean(1, keepdim=True), CELLS).flatten(1)
        added: Tensor = SHARE * self.up(functional.gelu(self.down(cells)))
        return added
