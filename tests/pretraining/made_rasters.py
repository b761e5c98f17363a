"""Made rasters: waves of a direction and a wavelength of their own, on one to three axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def waves(number: int, channels: int, size: int, axes: int, seed: int = 0) -> NDArray[np.float32]:
    """Return `(n, C, *space)` around 50, with an amplitude of 20."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.linspace(0, 2 * np.pi, size)] * axes, indexing="ij"))
    rates = rng.uniform(0.5, 2.0, (number, channels, axes))
    phase = rng.uniform(0, 2 * np.pi, (number, channels, *[1] * axes))
    found = 50 + 20 * np.sin(np.tensordot(rates, places, 1) + phase)
    return np.asarray(found, np.float32)
