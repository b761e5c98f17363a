"""Label maps: how much there is of each label, as numbers, and behind them the map of a model that draws one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.heads.channels import ChannelHead
from chiasm.heads.kind import Array, Calibrated
from chiasm.targets.label_maps import as_text
from chiasm.targets.mask import ANSWER, NOTHING_DRAWN, Mask, drawn_of, volumes_of


class MaskHead(ChannelHead):
    """Volumes of each label, learned in standard units; a recipe that draws label maps gives them behind these."""

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        """Links `(n, K)`, or `(n, K + M)` with maps behind, as `drawn_of` reads them; no volume is below zero."""
        labels = response.classes
        texts = [NOTHING_DRAWN if own is None else as_text(own, labels) for own in drawn_of(link, len(labels))]
        made = pd.DataFrame(np.maximum(link[:, : len(labels)], 0.0), columns=volumes_of(labels))
        made.insert(0, ANSWER, np.array(texts, dtype=object))
        return made[Mask.answers(labels)]
