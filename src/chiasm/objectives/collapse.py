"""Whether embeddings have collapsed, told without the loss: their rank, their spread and their neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Collapse:
    """Three signs of a collapse, each small where embeddings have become alike.

    Args:
        rank: effective rank, `exp(-sum p log p)` with `p = s / sum s` of the singular values s of the centred rows: 1
            where all lie on a line, at most min(n - 1, D).
        spread: the variance of the rows over that of the vectors they are means of, summed over the D numbers: 0 where
            all rows are alike, 1 where each is the mean of equal vectors, `1 / T` for means of T unrelated ones.
        neighbours: share of the rows that are the nearest of some other row; it falls where few stand beside all.
    """

    rank: float
    spread: float
    neighbours: float


@dataclass
class Variance:
    """Mean squared distance of vectors from their common mean, of parts that are added and not kept.

    Source: Chan, Golub and LeVeque, The American Statistician 1983, doi:10.1080/00031305.1983.10483115.

    Args:
        count: number of vectors so far; mean: `(D,)`; squares: sum of their squared distances from it.
    """

    count: int = 0
    mean: Floats = field(default_factory=lambda: np.zeros(1))
    squares: float = 0.0

    def add(self, vectors: Floats) -> None:
        """Add vectors `(k, D)`, one or more."""
        own, both = vectors.mean(0), self.count + len(vectors)
        apart = own - self.mean
        self.squares += float(((vectors - own) ** 2).sum() + (apart**2).sum() * (self.count * len(vectors) / both))
        self.mean, self.count = self.mean + apart * (len(vectors) / both), both

    @property
    def value(self) -> float:
        return self.squares / max(self.count, 1)


def collapse_of(vectors: Floats, variance: float) -> Collapse:
    """Measure embeddings `(n, D)`, three rows or more; NaN where fewer, and a rank of 1 where nothing varies.

    Args:
        vectors: each the mean of vectors, as of the states of a sequence.
        variance: mean squared distance of all these vectors from their common mean.

    Raises:
        ValueError: it is no finite matrix.

    Source: rank as RankMe, Garrido et al., ICML 2023, arXiv:2210.02885, eq. 1. Deviation: the rows are centred, so that
    a common offset is no direction; neighbours by Euclidean distance, ties to the first row.
    """
    x = np.asarray(vectors, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError("embeddings are a matrix of finite numbers")
    if len(x) < 3:
        return Collapse(float("nan"), float("nan"), float("nan"))
    centred = x - x.mean(0)
    sizes = np.linalg.svd(centred, compute_uv=False)
    whole = float(sizes.sum())
    share = sizes[sizes > 0] / whole if whole > 0 else np.ones(1)
    apart = cdist(x, x)
    np.fill_diagonal(apart, np.inf)
    return Collapse(
        rank=float(np.exp(-(share * np.log(share)).sum())),
        spread=min(1.0, float((centred**2).sum(1).mean()) / variance) if variance > 0 else 0.0,
        neighbours=len(np.unique(apart.argmin(1))) / len(x),
    )
