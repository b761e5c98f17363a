"""Boxes: how many there are of each label, as numbers, and behind them the boxes of a model that draws any."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.heads.channels import ChannelHead
from chiasm.heads.kind import Array, Calibrated
from chiasm.targets.boxes import ANSWER, Boxes, found_of, numbers_of
from chiasm.targets.marked import as_text


class BoxHead(ChannelHead):
    """Numbers of each label, learned in standard units; a recipe that draws boxes gives them behind the numbers."""

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        """Links `(n, K)`, or `(n, K + 6 M)` with boxes behind, as `found_of` reads them; no number is below zero."""
        labels = response.classes
        texts = [as_text(own, labels) for own in found_of(link, len(labels))]
        made = pd.DataFrame(np.maximum(link[:, : len(labels)], 0.0), columns=numbers_of(labels))
        made.insert(0, ANSWER, np.array(texts, dtype=object))
        return made[Boxes.answers(labels)]
