"""The slope that calibrates links, finite where they separate the outcomes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

Array = NDArray[np.float64]
BOUNDS = (0.01, 20.0)  # above zero, so that a calibrated model ranks its patients as the model did
STEP = 0.01  # of the second difference, relative to 1 + slope
LEAST_INFORMATION = 1e-12


def best_slope(
    nlls: Callable[[Array], Array], base: Array | float, deviation: Array, *, held_to_one: float = 0.0
) -> float:
    """Find the slope b, in 0.01 to 20, of smallest `nll(base + b deviation) - log(I(b)) / 2`, `I` the nll's curvature.

    The second term is Jeffreys' prior. With it the slope is finite where links separate the outcomes, and of few
    patients it is not too large in the mean.

    Args:
        nlls: negative log likelihood `(S,)` of each of S links `(S, n, K)`.
        base, deviation: `(n, K)`, or a number that all links have in common.
        held_to_one: weight w of a third term, `w (b - 1)^2 / 2`.

    Source: Firth, Biometrika 1993, doi:10.1093/biomet/80.1.27; for Cox's likelihood Heinze and Schemper, Biometrics
    2001, doi:10.1111/j.0006-341X.2001.00114.x.
    """

    def objective(slope: float) -> float:
        step = STEP * (1 + slope)
        below, here, above = nlls(base + np.array([slope - step, slope, slope + step])[:, None, None] * deviation)
        information = max((above - 2 * here + below) / step**2, LEAST_INFORMATION)
        return float(here - np.log(information) / 2 + held_to_one * (slope - 1) ** 2 / 2)

    found = float(minimize_scalar(objective, bounds=BOUNDS, method="bounded").x)
    found = min(max(_vertex(objective, found), BOUNDS[0]), BOUNDS[1])
    return min(*BOUNDS, found, key=objective)  # near an end the search stops somewhere short of it


def _vertex(objective: Callable[[float], float], near: float) -> float:
    """Find the vertex of the parabola through three points about a minimum.

    The minimum itself is as flat as rounding, so that another unit of the links would move what is found there.
    """
    step = STEP * (1 + near)
    below, here, above = (objective(slope) for slope in (near - step, near, near + step))
    bend = below - 2 * here + above
    shift = step * (below - above) / (2 * bend) if bend > 0 else 0.0
    return near + shift if abs(shift) <= step else near
