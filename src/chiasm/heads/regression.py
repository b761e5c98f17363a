"""A number: its standardised value, and the squared error."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor, nn

from chiasm.heads.kind import Array, Calibrated, HeadKind
from chiasm.targets import Outcome, Regression


class NumberHead(HeadKind):
    """The number itself."""

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return squared_error(output, value, event)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return (output[:, 0] - value).square()

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        return pd.DataFrame(link[:, :1], columns=Regression.answers(()))

    def level(self, link: Array, outcome: Outcome) -> Array:
        """The mean prediction becomes the mean."""
        known = outcome.known
        return np.array([float((outcome.value[known] - link[known, 0]).mean()) if known.any() else 0.0])


def squared_error(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Mean squared error of a standardised number."""
    return nn.functional.mse_loss(output[:, 0], value)
