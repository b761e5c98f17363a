"""One file per encoder family: raw values of one modality to tokens. `registry` finds them by the kind of modality."""

from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.omics import OmicsEncoder
from chiasm.encoders.registry import ENCODERS, encoder_for, features_for, fit_encoders, pack
from chiasm.encoders.table import TableEncoder

__all__ = [
    "ENCODERS",
    "BagEncoder",
    "OmicsEncoder",
    "TableEncoder",
    "encoder_for",
    "features_for",
    "fit_encoders",
    "pack",
]
