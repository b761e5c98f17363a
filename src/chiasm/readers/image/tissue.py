"""Find where a slide holds tissue: saturation at low resolution, above Otsu's threshold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

PALEST, STRONGEST = 13, 51  # of 255: below is glass whatever Otsu says, above is tissue
DARKEST = 32  # of 255: ink, folds and the black that scanners pad with count as glass


def saturation(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Saturation `(h, w)` of RGB `(h, w, 3)`: 255 (max - min) / max of the three colours; 0 for nearly black pixels."""
    most = rgb.max(axis=-1).astype(np.float32)
    least = rgb.min(axis=-1).astype(np.float32)
    share = np.divide(most - least, most, out=np.zeros_like(most), where=most > DARKEST)
    return np.asarray(np.round(255 * share), dtype=np.uint8)


def tissue_threshold(saturations: Iterable[NDArray[np.uint8]]) -> int:
    """Otsu's threshold of all pixels: the t that maximises w0 w1 (m0 - m1)^2 of those up to t and those above.

    w are shares of pixels, m mean saturations. The threshold stays between 13 and 51 of 255, so that a slide of glass
    alone holds no tissue, and one of tissue alone no glass.

    Source: Otsu (1979), IEEE Trans. SMC 9(1), eq. 14-17. The bounds are ours.
    """
    counts = np.zeros(256)
    for part in saturations:
        counts += np.bincount(part.ravel(), minlength=256)
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.clip(np.argmax(np.nan_to_num(between)), PALEST, STRONGEST))
