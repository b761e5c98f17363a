"""Selection of further training patients that move the pool towards a target, by the gradient of optimal transport."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

from chiasm.cohort import Unsupported

Floats = NDArray[np.float64]
Metric = Literal["sqeuclidean", "euclidean"]
MOST_PAIRS = 50_000_000  # largest number of costs in memory at once, 0.4 GB
MOST_PIVOTS = 10_000_000
CHUNK = 1_000_000  # number of candidate costs computed at once


def pool_gradient(pool: Floats, target: Floats, metric: Metric = "sqeuclidean") -> Floats:
    """Compute the calibrated gradient of the transport cost for each row of the pool, `(n,)`.

        ∂OT/∂a_i - mean_{j≠i} ∂OT/∂a_j

    It is the change of cost as mass moves to row i equally from all others. `OT(a, b) = min_γ Σ_ij γ_ij c(x_i, y_j)`
    with uniform masses `a`, `b` and metric `c`. The derivative is the dual potential `f_i = min_j c(x_i, y_j) - g_j`;
    the difference removes the additive constant up to which duals are determined (LAVA's calibrated gradient, Just et
    al., ICLR 2023, openreview JJuP86nBl4q). It is 0 for a pool of one row.

    Args:
        pool: `(n, D)` embeddings, finite.
        target: `(m, D)` embeddings, one row or more, finite.
        metric: the cost of a pair.

    Raises:
        ValueError: the target is empty, widths differ, a number is not finite, or there are too many pairs.
        Unsupported: POT is not installed.

    If n and m have a common divisor, the optimal duals may not be unique and the cost not differentiable; the result is
    then one of its subgradients, independent of the order of the rows.
    """
    pool, target = _checked(pool, target)
    potential = _potential(pool, pool, target, metric)
    if len(pool) < 2:
        return np.zeros(len(pool))
    return np.asarray((potential - potential.mean()) * len(pool) / (len(pool) - 1))


def mixing_gradient(candidates: Floats, pool: Floats, target: Floats, metric: Metric = "sqeuclidean") -> Floats:
    """Compute `d/dε OT((1 - ε) pool + ε δ_x, target)` at `ε = 0`, `(n,)`, for each candidate x; negative is nearer.

    It equals `f(x) - mean_i f(pool_i)`, with `f` as in `pool_gradient`, extended to points where the pool has no mass.
    Arguments and errors are those of `pool_gradient`; an empty pool is also refused, while candidates may be empty.
    """
    pool, target = _checked(pool, target)
    candidates, _ = _checked(candidates, target)
    if not len(pool):
        raise ValueError("the pool has no row: give the patients that the model is trained on already")
    potential = _potential(np.concatenate([pool, candidates]), pool, target, metric)
    return np.asarray(potential[len(pool) :] - potential[: len(pool)].mean())


def select(
    candidates: Floats, target: Floats, count: int, *, pool: Floats | None = None, metric: Metric = "sqeuclidean"
) -> NDArray[np.intp]:
    """Select the `count` candidate rows of most negative gradient, most negative first; ties go to the earlier row.

    These fill what the pool lacks of the target, rather than being most similar to the target: GOT-D (Kang et al., ICLR
    2024, arXiv 2405.02774, section 3). Without a pool the candidates serve as the pool, as in the paper.

    Raises:
        ValueError: `count` is negative or above the number of candidates, or a gradient raises it.
        Unsupported: POT is not installed.

    Deviations: the paper uses entropic regularisation (Sinkhorn) on a GPU; here the linear program is solved exactly.
    The paper draws candidates from the source of the pool; a separate pool is our addition. As in the paper, candidates
    of positive gradient are selected too if `count` requires it; `mixing_gradient` reveals them.
    """
    if not 0 <= count <= len(candidates):
        raise ValueError(f"{count} of {len(candidates)} candidates cannot be selected")
    if pool is None:
        gradient = pool_gradient(candidates, target, metric)
    else:
        gradient = mixing_gradient(candidates, pool, target, metric)
    return np.argsort(gradient, kind="stable")[:count]


def _checked(rows: Floats, target: Floats) -> tuple[Floats, Floats]:
    rows, target = np.asarray(rows, np.float64), np.asarray(target, np.float64)
    if rows.ndim != 2 or target.ndim != 2 or rows.shape[1] != target.shape[1]:
        raise ValueError(f"rows of one width are needed, and they are {rows.shape} and {target.shape}")
    if not len(target):
        raise ValueError("the target has no row: give patients of the kind that the model is for")
    if not (np.isfinite(rows).all() and np.isfinite(target).all()):
        raise ValueError("an embedding holds a number that is not finite: leave its patient out")
    return rows, target


def _potential(places: Floats, pool: Floats, target: Floats, metric: Metric) -> Floats:
    """Evaluate the potential `f` at `places`; identical rows get bitwise the same value."""
    if not len(pool):
        return np.zeros(len(places))
    target, pool = (rows[np.lexsort(rows.T[::-1])] if rows.shape[1] else rows for rows in (target, pool))
    dual = _dual(pool, target, metric)
    step = max(1, CHUNK // len(target))
    parts = [
        (cdist(places[start : start + step], target, metric) - dual).min(1) for start in range(0, len(places), step)
    ]
    return np.concatenate(parts)


def transport() -> Any:
    """Import POT; if it is missing, raise `Unsupported` with the installation command."""
    try:
        import ot  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported('gradients of optimal transport need POT: pip install "chiasm[transport]"') from None
    return ot


def _dual(pool: Floats, target: Floats, metric: Metric) -> Floats:
    """Compute the dual potential `g` of the target rows, `(m,)`."""
    ot = transport()
    if len(pool) * len(target) > MOST_PAIRS:
        raise ValueError(
            f"{len(pool):,} times {len(target):,} costs are over {MOST_PAIRS:,}: give a random part of the target"
        )
    cost = cdist(pool, target, metric)
    if not np.isfinite(cost).all():
        raise ValueError("embeddings are too large to compare: scale them")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an early stop of the solver is refused below
        _, log = ot.emd([], [], cost, numItermax=MOST_PIVOTS, log=True)
    if log["warning"] is not None:
        raise ValueError("optimal transport was not solved: scale the embeddings, or give fewer rows")
    return np.asarray(log["v"])
