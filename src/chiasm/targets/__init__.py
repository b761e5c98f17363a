"""Kinds of target, one a file: what each reads and refuses, its strata, and its predictions; nothing needs torch."""

from __future__ import annotations

from chiasm.targets.boxes import Boxes
from chiasm.targets.choice import Choice
from chiasm.targets.classification import Classification
from chiasm.targets.competing import CompetingRisks
from chiasm.targets.free_text import FreeText
from chiasm.targets.kinds import KINDS, class_names, kind_of, read_outcome
from chiasm.targets.mask import Mask
from chiasm.targets.multilabel import Multilabel
from chiasm.targets.options import Options
from chiasm.targets.outcome import Outcome
from chiasm.targets.regression import Regression
from chiasm.targets.responses import Responses
from chiasm.targets.stratify import fewest
from chiasm.targets.survival import Survival, horizons
from chiasm.targets.target import Target

__all__ = [
    "KINDS",
    "Boxes",
    "Choice",
    "Classification",
    "CompetingRisks",
    "FreeText",
    "Mask",
    "Multilabel",
    "Options",
    "Outcome",
    "Regression",
    "Responses",
    "Survival",
    "Target",
    "class_names",
    "fewest",
    "horizons",
    "kind_of",
    "read_outcome",
]
