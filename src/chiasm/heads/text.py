"""Text: a point in the space of texts, and of the texts that training patients had the one that is expected to fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from chiasm.heads.channels import ChannelHead
from chiasm.heads.kind import Array, Calibrated
from chiasm.targets import FreeText
from chiasm.targets.texts import TIED

NOTHING = "-"


class TextHead(ChannelHead):
    """The text of the largest score; of scores that are as large but for rounding, the more typical text.

    A network learns the point of the text by squared error. A contrastive loss over the texts of a batch would know the
    texts apart too, and not how alike they are; here the output is what each text is expected to score, whoever else is
    in the batch.
    """

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        """Say for each row of scores `(n, J)` one of the J texts of the response; None where a score is not finite."""
        if link.shape[1] != len(response.texts):
            raise ValueError("a model of texts says one of those that it learned, and has a score for each")
        possible = np.isfinite(link).all(axis=1)
        places = (link >= link.max(axis=1, keepdims=True) - TIED).argmax(axis=1)
        texts = np.where(possible, np.array(response.texts, dtype=object)[places], None)
        return pd.DataFrame({FreeText.answers(())[0]: texts})

    def written(self, words: Sequence[str]) -> pd.DataFrame:
        """Return the words as they were written; nothing written is said as "-", since no text is an answer too."""
        said = np.array([own.strip() or NOTHING for own in words], dtype=object)
        return pd.DataFrame({FreeText.answers(())[0]: said})
