"""The head of each kind of target: the one table of this folder."""

from __future__ import annotations

from chiasm.heads.boxes import BoxHead
from chiasm.heads.channels import ChannelHead
from chiasm.heads.choice import ChoiceHead
from chiasm.heads.classification import ClassHead
from chiasm.heads.competing import CauseHead
from chiasm.heads.kind import HeadKind
from chiasm.heads.mask import MaskHead
from chiasm.heads.multilabel import LabelHead
from chiasm.heads.regression import NumberHead
from chiasm.heads.survival import HazardHead
from chiasm.heads.text import TextHead

HEADS: dict[str, HeadKind] = {
    "boxes": BoxHead(),
    "choice": ChoiceHead(),
    "classification": ClassHead(),
    "competing": CauseHead(),
    "mask": MaskHead(),
    "multilabel": LabelHead(),
    "regression": NumberHead(),
    "response": ChannelHead(),
    "survival": HazardHead(),
    "text": TextHead(),
}
