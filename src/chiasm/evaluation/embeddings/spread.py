"""How many directions vectors really use: principal components, participation ratio, zeros and constant columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
CONSTANT = 1e-12  # deviation, as a share of the largest of all columns, under which a column is constant


@dataclass(frozen=True)
class Components:
    """Principal components of vectors (n, D).

    Attributes:
        scores: (n, k) coordinates of each row.
        directions: (k, D), orthonormal; of each the entry of largest size is positive.
        variance: (k,) sample variance along each.
        share: (k,) of the whole variance.
    """

    scores: Floats
    directions: Floats
    variance: Floats
    share: Floats


def principal_components(vectors: ArrayLike, most: int | None = None) -> Components:
    """Return the principal components of vectors (n, D), equal to scikit-learn's `PCA` but for signs.

    Args:
        most: how many, at most min(n, D); all of them unless told.

    Raises:
        ValueError: it is no finite matrix of two rows or more, or `most` is below 1.
    """
    x = finite_rows(vectors)
    if most is not None and most < 1:
        raise ValueError(f"{most} components: one at least is needed")
    centred = x - x.mean(axis=0)
    keep = min(*x.shape, most or min(x.shape))
    left, size, right = linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    signs[signs == 0] = 1.0
    variance = size**2 / (len(x) - 1)
    whole = float(variance.sum())
    share = variance / whole if whole > 0 else np.zeros_like(variance)
    return Components((left * size * signs)[:, :keep], (right * signs[:, None])[:keep], variance[:keep], share[:keep])


def participation_ratio(vectors: ArrayLike) -> float:
    """Number of directions that vectors (n, D) use: `(sum v)^2 / sum v^2` of the variances v of their components.

    1 where all lie on a line, D where every direction varies alike, never over n - 1; NaN where nothing varies. It does
    not change by a rotation or a common scale. Source: Gao et al., A theory of multineuronal dimensionality, 2017,
    doi:10.1101/214262.

    Raises:
        ValueError: it is no finite matrix of two rows or more.
    """
    x = finite_rows(vectors)
    x = x - x.mean(axis=0)
    gram = x.T @ x if x.shape[1] <= len(x) else x @ x.T
    whole, squares = float(np.trace(gram)), float((gram**2).sum())
    return whole**2 / squares if squares > 0 else float("nan")


@dataclass(frozen=True)
class Spread:
    """What columns of vectors hold: how many vary, the share of zeros, and how many directions are used."""

    width: int
    constant: int
    zeros: float
    participation: float
    half: int
    """Components that hold half of the variance."""


def spread_of(vectors: ArrayLike, found: Components | None = None) -> Spread:
    """Describe the columns of vectors (n, D); `found` are all their principal components, if known already.

    Raises:
        ValueError: it is no finite matrix of two rows or more.
    """
    x = finite_rows(vectors)
    deviation = x.std(axis=0)
    constant = int((deviation <= CONSTANT * max(float(deviation.max()), 1e-300)).sum())
    share = np.cumsum((principal_components(x) if found is None else found).share)
    half = int(np.searchsorted(share, 0.5 - 1e-9) + 1) if share[-1] > 0 else 0
    return Spread(x.shape[1], constant, float((x == 0).mean()), participation_ratio(x), half)


def finite_rows(vectors: ArrayLike) -> Floats:
    """Return vectors as float64 (n, D).

    Raises:
        ValueError: they are no finite matrix of two rows or more.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or not x.shape[1] or not np.isfinite(x).all():
        raise ValueError(f"vectors of shape {x.shape}: give patients x dimensions, two patients or more, all finite")
    return x
