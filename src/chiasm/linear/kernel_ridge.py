"""Ridge regression with a product of kernels, one per modality.

    k(a, b) = prod over m of (offset + exp(-width |a_m - b_m|^2 / median_m))      an absent a_m or b_m counts as offset

Where many patients share the items of a pair (drugs, proteins), the kernel matrix is a part of a Kronecker product and
is never formed: its product with a vector costs as much as two small matrices (the vec trick: Pahikkala et al.,
Briefings in Bioinformatics 2015; Airola and Pahikkala, IEEE TNNLS 2018). Without sharing, the kernel is formed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.linear.ridge_cox import solve as solved

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
TOLERANCE = 1e-5  # relative, of the residual's norm
MOST_STEPS = 300
MOST_FACTORED = 2_000
MOST_DENSE = 12_000  # most patients whose kernel is formed: 1.2 GB


@dataclass(frozen=True)
class Items:
    """Distinct items of one modality: their features `(U, F)`, and the item of each patient `(n,)`, -1 if absent."""

    features: Array
    index: Ints


def median_distance(features: Array) -> float:
    """Median squared distance between two different items; 1 where there are no two."""
    distance = squared_distances(features, features)
    apart = distance[np.triu_indices(len(distance), 1)]
    apart = apart[apart > 1e-9 * max(1.0, float(apart.max(initial=0.0)))]
    return float(np.median(apart)) if len(apart) else 1.0


def squared_distances(left: Array, right: Array) -> Array:
    """Squared Euclidean distances between rows, `(U, V)`."""
    product = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2.0 * left @ right.T
    return np.asarray(np.maximum(product, 0.0))


class ProductKernel:
    """Kernel between two sets of patients, as an operator that multiplies vectors.

    Args:
        blocks: for each modality the kernel between items, `(U_m + 1, V_m + 1)`, the last row and column for absence.
        left, right: for each modality the index of each patient's item, the last one where absent.

    Raises:
        Unsupported: too many patients to form the kernel, and too many different items for the vec trick.
    """

    def __init__(self, blocks: Sequence[Array], left: Sequence[Ints], right: Sequence[Ints]) -> None:
        self.blocks, self.left, self.right = list(blocks), list(left), list(right)
        rows, columns = len(left[0]), len(right[0])
        formed = rows * columns
        self.short = is_short(blocks, rows, columns)
        if self.short:
            return
        if formed > MOST_DENSE**2:
            raise Unsupported(
                f"{max(rows, columns):,} patients of mostly different items are too many for a kernel: at most "
                f"{MOST_DENSE:,}, or two modalities whose items many patients share"
            )
        self.dense = np.ones((rows, columns))
        for block, own, other in zip(blocks, left, right, strict=True):
            self.dense *= block[np.ix_(own, other)]

    def __matmul__(self, vectors: Array) -> Array:
        """Multiply vectors `(columns, K)`, giving `(rows, K)`."""
        if not self.short:
            return np.asarray(self.dense @ vectors)
        first, second = self.blocks
        out = np.empty((len(self.left[0]), vectors.shape[1]))
        for k in range(vectors.shape[1]):
            place = self.right[0] * second.shape[1] + self.right[1]
            grid = np.bincount(place, vectors[:, k], first.shape[1] * second.shape[1]).reshape(first.shape[1], -1)
            out[:, k] = (first @ grid @ second.T)[self.left[0], self.left[1]]
        return out


def is_short(blocks: Sequence[Array], rows: int, columns: int) -> bool:
    """Tell whether the vec trick costs less than a kernel of so many rows and columns that is formed."""
    items = [max(block.shape) for block in blocks]
    return len(blocks) == 2 and items[0] * items[1] * sum(items) < rows * columns


def kernel_blocks(left: Sequence[Items], right: Sequence[Items], scales: Sequence[float], offset: float) -> list[Array]:
    """Kernel between items for each modality, with a last row and column for absence; `scale = width / median`."""
    blocks = []
    for own, other, scale in zip(left, right, scales, strict=True):
        block = np.full((len(own.features) + 1, len(other.features) + 1), offset)
        block[:-1, :-1] += np.exp(-scale * squared_distances(own.features, other.features))
        blocks.append(block)
    return blocks


def places(items: Sequence[Items], rows: Ints) -> list[Ints]:
    """Index of each of these patients' item in each modality, the last one where absent."""
    return [np.where(own.index[rows] < 0, len(own.features), own.index[rows]) for own in items]


def solve(
    kernel: ProductKernel, target: Array, penalties: Sequence[float], *, tolerance: float = TOLERANCE
) -> list[Array]:
    """Solve `(K + penalty I) coef = target`, `(n, K)` float64, for each penalty.

    By a Cholesky factor for up to 2,000 patients whose kernel is formed, else by conjugate gradients for each column
    separately: a factor costs n^3 / 3, a step n^2, and a weak penalty needs many steps. All penalties search the same
    directions, so that one product with the kernel a step serves them all (Jegerlehner 1996, arXiv hep-lat/9612014):
    the residuals of a stronger penalty are those of the weakest, each times a number `share` that falls faster.

    Args:
        tolerance: the norm of the residual at which the weakest penalty's equations count as solved, relative to the
            target's.
    """
    if not kernel.short and len(target) <= MOST_FACTORED:
        one = np.eye(len(target))
        return [np.ascontiguousarray(solved(kernel.dense + own * one, target)) for own in penalties]
    least, width = min(penalties), target.shape[1]
    more = [own - least for own in penalties]
    coef = [np.zeros_like(target) for _ in more]
    directions = [target.copy() for _ in more]
    share, earlier = (np.ones((len(more), width)) for _ in range(2))
    residual, direction = target.copy(), target.copy()
    energy = (residual**2).sum(0)
    enough = tolerance**2 * np.maximum(energy, 1e-300)
    last_step, last_ratio = np.ones(width), np.zeros(width)
    for _ in range(MOST_STEPS):
        if (energy <= enough).all():
            break
        moved = kernel @ direction + least * direction
        active = energy > np.finfo(np.float64).tiny  # a column of zeros, or one that is solved to the last digit, rests
        step = np.where(active, energy / np.maximum((direction * moved).sum(0), 1e-300), 0.0)
        residual -= step * moved
        before, energy = energy, (residual**2).sum(0)
        ratio = energy / np.maximum(before, 1e-300)
        for p, own in enumerate(more):
            held = last_step * (1 + step * own) + step * last_ratio * (1 - share[p] / earlier[p])
            falling = np.maximum(share[p] * last_step / np.where(active, held, 1.0), 1e-150)
            following = np.where(active, falling, share[p])
            coef[p] += step * following / share[p] * directions[p]
            directions[p] *= ratio * (following / share[p]) ** 2
            directions[p] += following * residual
            earlier[p], share[p] = share[p], following
        direction = residual + ratio * direction
        last_step, last_ratio = step, ratio
    return coef
