"""Gaussian kernel as explicit features, so that every convex linear fit becomes a kernel machine of its kind.

    k(a, b) = exp(-|a - b|^2 / (width * median))          median of the squared distances between landmarks

With landmarks Z the features are `k(x, Z) K_ZZ^(-1/2)` (Nystroem; Williams and Seeger, NeurIPS 2000), exact where every
patient is a landmark. A ridge path reads their principal components, at the scale that it expects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.linear.kernel_ridge import median_distance, squared_distances
from chiasm.linear.losses import LOSSES
from chiasm.linear.shared_rows import Rows, across, gram_of, mapped
from chiasm.targets import Outcome

Array = NDArray[np.float64]
LANDMARKS = 128
WIDTHS = (1.0, 3.0, 10.0)
LEAST_SHARE = 1e-6  # of the largest eigenvalue; directions below it are rounding errors


@storable("gaussian-map")
@dataclass(frozen=True)
class GaussianMap:
    """Feature map of a Gaussian kernel: `(k(x, landmarks) - mean) @ axes`.

    Args:
        landmarks: `(Z, F)` landmarks, in the columns that the map reads.
        scale: divisor of the squared distances.
        mean: `(Z,)` mean of the kernel's columns over the training patients.
        axes: `(Z, k)` projection to principal components, of which the first has unit variance.
    """

    keeps_rows: ClassVar[bool] = True

    landmarks: np.ndarray
    scale: float
    mean: np.ndarray
    axes: np.ndarray

    def __post_init__(self) -> None:
        sizes = {len(self.landmarks), len(self.mean), len(self.axes)}
        if len(sizes) != 1 or not self.scale > 0 or not all(np.isfinite(own).all() for own in (self.mean, self.axes)):
            raise ValueError("a Gaussian map has one mean and one axis a landmark, finite, and a scale above zero")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return (
            f"the {self.landmarks.shape[1]:,} features of {count(len(self.landmarks), 'training patient')}, row by row"
        )

    def __call__(self, x: Array) -> Array:
        """Map columns `(n, F)` to features `(n, k)`."""
        kernel = np.exp(-squared_distances(x, self.landmarks) / self.scale)
        return np.asarray((kernel - self.mean) @ self.axes)


def gaussian_maps(x: Rows, seed: int, *, components: int, widths: Sequence[float] = WIDTHS) -> list[GaussianMap]:
    """Build one map per width from `x` `(n, F)`; landmarks are all rows, or `LANDMARKS` of them drawn by the seed."""
    rows = np.arange(len(x))
    if len(x) > LANDMARKS:
        rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:LANDMARKS])
    landmarks = np.ascontiguousarray(x[rows])
    median, far = median_distance(landmarks), mapped(lambda own: squared_distances(own, landmarks), x)
    return [_map(landmarks, far, rows, width * median, components) for width in widths]


def _map(landmarks: Array, far: Rows, rows: NDArray[np.int_], scale: float, components: int) -> GaussianMap:
    kernel = mapped(lambda own: np.exp(-own / scale), far)  # (n, Z)
    size, vectors = linalg.eigh(np.asarray(kernel[rows]))
    kept = size > max(float(size[-1]), 1e-12) * LEAST_SHARE
    root = vectors[:, kept] / np.sqrt(size[kept])
    mean = kernel.mean(0)
    features = mapped(lambda own: (own - mean) @ root, kernel)
    spread, turn = linalg.eigh(gram_of(features) / len(far))
    order = np.argsort(-spread)[: min(components, len(far) - 1)]
    order = order[spread[order] > max(float(spread[-1]), 1e-12) * LEAST_SHARE]
    axes = root @ turn[:, order]
    largest = np.abs(axes).argmax(0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    first = float(np.sqrt(max(float(spread[-1]), 0.0)))
    return GaussianMap(landmarks, float(scale), mean, np.ascontiguousarray(axes / (first if first > 1e-9 else 1.0)))


def residuals(kind: str, outcome: Outcome, classes: int | None) -> Array:
    """Residuals of the null model, `(n, K)`: classes and labels minus their frequency, a number minus its mean.

    For survival the martingale residuals, events minus the Nelson-Aalen cumulative hazard; zero for a missing label.
    """
    return LOSSES[kind].residuals(outcome, classes)


def left_out_errors(x: Rows, rest: Array, penalties: Sequence[float]) -> Array:
    """Leave-one-out squared error of each penalty, summed over patients, in closed form, `(P,)`.

    Args:
        x: `(n, k)` centred features whose columns are uncorrelated, such as principal components.
        rest: `(n, K)` residuals, as `residuals` gives them.
        penalties: in units of information, as in a ridge path; for squared error that is the number of patients.
    """
    size = np.sqrt(mapped(np.square, x).sum(0))
    left = mapped(lambda own: own / np.maximum(size, 1e-12), x)  # (n, k), orthonormal
    inside, squares = across(left, rest), mapped(np.square, left)
    found = []
    for penalty in penalties:
        shrink = size**2 / (size**2 + penalty * len(x))
        error = rest - left @ (shrink[:, None] * inside)
        leverage = 1 / len(x) + squares @ shrink
        found.append(float(((error / np.maximum(1 - leverage, 1e-3)[:, None]) ** 2).sum()))
    return np.array(found)
