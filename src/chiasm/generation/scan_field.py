"""A neural field of one scan: its brightness anywhere, learnt from what its voxels say of their cubes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]
from torch import Tensor, nn

from chiasm.compute.isolation import own_randomness, seeded, threads_for
from chiasm.errors import Unsupported
from chiasm.generation.coarser import interpolated
from chiasm.generation.cubes import cube_points, rendered
from chiasm.heads.coordinate_field import CoordinateField, places, sampled

Floats = NDArray[np.float32]
AT_ONCE = 8192  # cubes rendered together
MOST_LEARNT = 1 << 24  # voxels of a scan, 256 along each axis: half a kilobyte of memory each


@dataclass(frozen=True)
class FieldOptions:
    """How a scan's field is built and learnt.

    Attributes:
        steps: of the training, whatever the scan's size.
        pairs: pairs of points in a voxel's cube.
        fine_pairs: pairs in a cube that is rendered.
        hidden, layers, bands: of the network.
        base: the network reads the cubic interpolation, and tells what is to be added to it; else it has places alone.
        density: points are weighted by densities; else alike.
        batch, learning_rate: of Adam, whose rate falls along a cosine.
    """

    steps: int = 1000
    pairs: int = 4
    fine_pairs: int = 4
    hidden: int = 64
    layers: int = 2
    bands: int = 3
    base: bool = True
    density: bool = False
    batch: int = 512
    learning_rate: float = 5e-3

    @property
    def work(self) -> float:
        """Multiplications of a step."""
        return 6.0 * self.batch * self.pairs * self.hidden**2 * self.layers


class ScanField(nn.Module):
    """Brightness and density at places of a scan.

        v(c) = cubic(c) + MLP(cubic, its bend and its slope at c, sin and cos of pi 2^k c)

    Without `base`, which the paper has not, `v(c) = MLP(sin and cos of pi 2^k c)`.
    """

    def __init__(self, features: Tensor, options: FieldOptions) -> None:
        super().__init__()
        self.register_buffer("features", features)
        self.field = CoordinateField(
            features.shape[1],
            features.ndim - 2,
            2,
            hidden=options.hidden,
            layers=options.layers,
            bands=options.bands,
        )
        nn.init.zeros_(self.field.last.weight)
        nn.init.zeros_(self.field.last.bias)
        self.density = options.density

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Brightness and density `(...)` at points `(..., A)`."""
        flat = points.flatten(0, -2)
        features = cast(Tensor, self.features)
        told = self.field.told(features, flat, None, None)[0]
        value = told[:, 0] + sampled(features[:, :1], flat)[0, :, 0]
        density = nn.functional.softplus(told[:, 1]) if self.density else torch.ones_like(value)
        return value.view(points.shape[:-1]), density.view(points.shape[:-1])


@dataclass(frozen=True)
class FittedField:
    """A field that was learnt of one scan, which tells its brightness on any grid of the same field of view."""

    field: ScanField
    options: FieldOptions
    low: float
    high: float
    seed: int

    def told(self, shape: Sequence[int], progress: Callable[[int, int], object] | None = None) -> Floats:
        """Brightness `shape` on a grid, each voxel as the field's cube there renders; same seed, same values."""
        device = self.field.field.last.weight.device
        half = torch.tensor([0.5 / side for side in shape], device=device)
        found = np.empty(math.prod(shape), np.float32)
        row = math.prod(shape[1:])
        rows = max(1, AT_ONCE * 8 // row)
        draws = torch.Generator().manual_seed(seeded(self.seed, "cubes"))
        with torch.no_grad(), threads_for(self.options.work):
            for start in range(0, shape[0], rows):
                centres = _slab(shape, start, min(start + rows, shape[0])).to(device)
                for at in range(0, len(centres), AT_ONCE):
                    part = centres[at : at + AT_ONCE]
                    bright = rendered(*self.field(cube_points(part, half, self.options.fine_pairs, draws)))
                    found[start * row + at :][: len(part)] = bright.cpu().numpy()
                if progress is not None:
                    progress(min(start + rows, shape[0]), shape[0])
        return found.reshape(shape) * (self.high - self.low) + self.low


def _slab(shape: Sequence[int], first: int, last: int) -> Tensor:
    """Middles `(N, A)` of the voxels of some rows of a grid."""
    found = places((last - first, *shape[1:]))
    found[:, 0] = (found[:, 0] * (last - first) + first) / shape[0]
    return found


def require_learnable(shape: Sequence[int]) -> None:
    """Raise `Unsupported` where a scan has so many voxels that what is known of its places needs too much memory."""
    if math.prod(shape) > MOST_LEARNT:
        raise Unsupported(
            f"the scan has {math.prod(shape):,} voxels to learn from, over the limit of {MOST_LEARNT:,}: cut out what "
            "you need"
        )


def fit_field(
    values: NDArray[np.floating],
    options: FieldOptions | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int, int], object] | None = None,
) -> FittedField:
    """Learn the field of one scan: the cube of each voxel is to render as bright as the voxel is.

        loss = mean of (sum_k w_k v_k - voxel)^2

    Args:
        values: `(D, H, W)` or `(H, W)`, finite and not constant.
        progress: called with the steps done, and all.

    Raises:
        Unsupported: more voxels than `MOST_LEARNT`.
    """
    require_learnable(values.shape)
    own = options or FieldOptions()
    low, high = float(values.min()), float(values.max())
    scan = (np.asarray(values, np.float64) - low) / (high - low)
    features = torch.from_numpy(_features(scan) if own.base else np.zeros((1, 1, *[1] * scan.ndim), np.float32))
    target = torch.from_numpy(scan.astype(np.float32)).flatten().to(device)
    half = torch.tensor([0.5 / side for side in scan.shape], device=device)
    centres = places(scan.shape).to(device)
    draws = torch.Generator().manual_seed(seeded(seed, "draws"))
    with own_randomness(seeded(seed, "field"), device), threads_for(own.work):
        field = ScanField(features, own).to(device)
        adam = torch.optim.Adam(field.parameters(), own.learning_rate)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, own.steps)
        queue = torch.randperm(len(target), generator=draws)
        for step in range(own.steps):
            if len(queue) < min(own.batch, len(target)):
                queue = torch.randperm(len(target), generator=draws)
            rows, queue = queue[: own.batch].to(device), queue[own.batch :]
            told = rendered(*field(cube_points(centres[rows], half, own.pairs, draws)))
            adam.zero_grad()
            (told - target[rows]).square().mean().backward()  # type: ignore[no-untyped-call]
            adam.step()
            rate.step()
            if progress is not None:
                progress(step + 1, own.steps)
    return FittedField(field.eval(), own, low, high, seed)


def _features(scan: NDArray[np.float64]) -> Floats:
    """What is known of a place `(1, 3, ...)`: the cubic interpolation, how it bends, how steep it is."""
    smooth = interpolated(scan, [2 * side for side in scan.shape])
    bent = smooth - ndimage.gaussian_filter(smooth, 1.5, mode="nearest")
    steep = ndimage.gaussian_gradient_magnitude(smooth, 1.0, mode="nearest")
    return np.stack([smooth, 4 * bent, 4 * steep])[None].astype(np.float32)
