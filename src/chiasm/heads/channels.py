"""Channels: a standardised value for each, and the squared error."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from torch import Tensor, nn

from chiasm.heads.kind import Array, Calibrated, HeadKind
from chiasm.targets import Outcome, Responses


class ChannelHead(HeadKind):
    """The numbers themselves, `(n, V)`; each channel is learned in its own standard units, so that all count alike."""

    has_names: ClassVar[bool] = True
    has_slope: ClassVar[bool] = False

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return nn.functional.mse_loss(output, value)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return (output - value).square().mean(dim=1)

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        return pd.DataFrame(link, columns=Responses.answers(response.classes))

    def level(self, link: Array, outcome: Outcome) -> Array:
        """The mean prediction of each channel becomes its mean."""
        known = outcome.known
        apart = outcome.value[known] - link[known]
        return np.asarray(apart.mean(axis=0) if known.any() else np.zeros(link.shape[1]))
