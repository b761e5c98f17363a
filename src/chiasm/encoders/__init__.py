"""Encoders, one file per family: map raw values of one modality to tokens; those of frozen encoders are stored."""

from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.catalogue import list_encoders, make_encoder
from chiasm.encoders.registry import ENCODERS, columns_among, encoder_of, features_of, fit_encoders, pack
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.table import TableEncoder

__all__ = [
    "ENCODERS",
    "BagEncoder",
    "OmicsEncoder",
    "TableEncoder",
    "columns_among",
    "encoder_of",
    "features_of",
    "fit_encoders",
    "list_encoders",
    "make_encoder",
    "pack",
]
