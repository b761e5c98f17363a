"""What inner folds have chosen: the model refitted on all rows, and the out-of-fold link of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """The setting selected by inner folds: the model refitted on all rows, with the out-of-fold link of each row.

    Args:
        model: the refitted model, with a method `linear_predictor`.
        penalty: the selected penalty, in units of information, or the number of boosting rounds.
        slope, centre: calibration of the link, from the out-of-fold links.
        links: calibrated out-of-fold links, `(n, K)`.
        levels: `(n, K)` calibrated mean link over the rows that each row's fold model was fitted on; `links - levels`
            is specific to the row, and no held-out row enters `levels`.
        raw: out-of-fold links before calibration, `(n, K)`.
        loss: negative log likelihood of `raw`.
    """

    model: Any
    penalty: float
    slope: float
    centre: float
    links: Array
    levels: Array
    raw: Array
    loss: float
