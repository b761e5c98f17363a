"""Shares: Wilson's interval, and tests of paired answers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def wilson(share: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share. Source: Wilson 1927, doi:10.1080/01621459.1927.10502953."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p that answers changed as often for the better as for the worse; 1 where none changed.

        p = min(1, 2 P(X <= min(b, c))),  X ~ Binomial(b + c, 1/2)

    Args:
        gained: b, items that only the one has right.
        lost: c, items that only the other has right.

    Source: McNemar 1947, doi:10.1007/BF02295996, in its exact form.
    """
    from scipy.stats import binom  # type: ignore[import-untyped]

    if gained + lost == 0:
        return 1.0
    return min(1.0, 2 * float(binom.cdf(min(gained, lost), gained + lost, 0.5)))


def sign_flips(differences: ArrayLike, *, draws: int = 9_999, seed: int = 0) -> float:
    """Two-sided p that paired differences of groups lie around zero: their signs flipped at random.

        p = (1 + #{|sum s d| >= |sum d|}) / (1 + draws),  s = +-1 with equal chance

    Args:
        differences: (G,) sum of the differences of each group, the unit that is drawn.
        draws, seed: of the flips.

    Source: Pitman 1937, doi:10.2307/2984124; counted with the observed one as Phipson and Smyth 2010, arXiv:1603.05766.
    """
    own = np.asarray(differences, dtype=np.float64)
    own = own[own != 0]
    if not len(own):
        return 1.0
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(draws, len(own)), dtype=np.int8) * 2.0 - 1
    reached = np.abs(signs @ own) >= abs(own.sum()) - 1e-12
    return float((1 + reached.sum()) / (1 + draws))


def marginal_homogeneity(pairs: NDArray[np.intp], classes: int) -> float:
    """P that two ratings of the same items use the classes equally often (Stuart and Maxwell); 1 where they do exactly.

        chi2 = d' S^-1 d,  d_k = n_k. - n_.k,  S_kk = n_k. + n_.k - 2 n_kk,  S_kl = -(n_kl + n_lk),  K - 1 degrees

    Args:
        pairs: (N, 2) classes of the two ratings, from 0.
        classes: K; a class that nobody uses is left out.

    Source: Stuart 1955, doi:10.1093/biomet/42.3-4.412; Maxwell 1970, doi:10.1192/S0007125000200603.
    """
    from scipy.stats import chi2

    table = np.zeros((classes, classes))
    np.add.at(table, (pairs[:, 0], pairs[:, 1]), 1)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    used = (rows + columns) > 0
    table, apart = table[np.ix_(used, used)], (rows - columns)[used]
    spread = np.diag(rows[used] + columns[used]) - table - table.T
    rank = int(np.linalg.matrix_rank(spread))
    if rank == 0 or not apart.any():
        return 1.0
    return float(chi2.sf(apart @ np.linalg.pinv(spread) @ apart, rank))
