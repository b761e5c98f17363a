"""WiSE-FT: find the best-scoring interpolation between a base and its fine-tuned model (arXiv 2109.01903)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from chiasm.merging.methods import merge_models

State = Mapping[str, Tensor]
Score = Callable[[State], float]
ALPHAS = tuple(k / 10 for k in range(11))


@dataclass(frozen=True)
class Sweep:
    """Result of a sweep over interpolation weights.

    Args:
        state: the state dict at the best alpha.
        alpha: the best alpha; of equally good ones the smallest, nearest to the base.
        alphas, scores: all alphas tried and their scores; 0 is the base, 1 the fine-tuned model.
    """

    state: dict[str, Tensor]
    alpha: float
    alphas: tuple[float, ...]
    scores: tuple[float, ...]


def interpolate(base: State, tuned: State, alpha: float, method: str = "linear") -> dict[str, Tensor]:
    """Interpolate `(1 - alpha) theta_0 + alpha theta_1`, equation 1 of Wortsman et al., CVPR 2022.

    Args:
        method: "linear", or "slerp" to interpolate along the arc.

    Raises:
        ValueError: alpha is outside 0 to 1, or the states do not fit.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha:g}: beyond, use task-arithmetic with that scale")
    return merge_models([base, tuned], [1 - alpha, alpha], method)


def best_along(make: Callable[[float], dict[str, Tensor]], alphas: Sequence[float], score: Score) -> Sweep:
    """Find the alpha whose `make(alpha)` scores best; of equally good ones, the smallest.

    Args:
        score: scores a state dict on inner data, higher is better; NaN (not estimable) is never chosen.

    Raises:
        ValueError: no alpha has a score.
    """
    tried = tuple(sorted(set(map(float, alphas))))
    scores: list[float] = []
    best: tuple[float, float, dict[str, Tensor]] | None = None
    for alpha in tried:
        state = make(alpha)
        scores.append(float(score(state)))
        if not math.isnan(scores[-1]) and (best is None or scores[-1] > best[0]):
            best = scores[-1], alpha, state
    if best is None:
        raise ValueError("no point has a score: the inner data do not allow an estimate")
    return Sweep(best[2], best[1], tried, tuple(scores))


def sweep(base: State, tuned: State, score: Score, alphas: Sequence[float] = ALPHAS, method: str = "linear") -> Sweep:
    """Find the best interpolation; both ends are always tried, so neither model scores better than the result.

    Args:
        score: as in `best_along`.
        method: as in `interpolate`.

    Raises:
        ValueError: an alpha is outside 0 to 1, the states do not fit, or no point has a score.
    """
    if not all(0 <= alpha <= 1 for alpha in alphas):
        raise ValueError("every alpha lies between 0 and 1")
    return best_along(lambda alpha: interpolate(base, tuned, alpha, method), [0.0, 1.0, *alphas], score)
