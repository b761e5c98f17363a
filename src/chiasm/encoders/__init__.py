"""One file per encoder family: raw values of one modality to tokens, kept in a store where they are frozen."""

from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.catalogue import list_encoders, make_encoder
from chiasm.encoders.encode import Encoded, encode_cohort
from chiasm.encoders.findings import file_problems
from chiasm.encoders.omics import OmicsEncoder
from chiasm.encoders.registry import ENCODERS, encoder_of, features_of, fit_encoders, pack
from chiasm.encoders.store import TokenStore, default_store
from chiasm.encoders.table import TableEncoder

__all__ = [
    "ENCODERS",
    "BagEncoder",
    "Encoded",
    "OmicsEncoder",
    "TableEncoder",
    "TokenStore",
    "default_store",
    "encode_cohort",
    "encoder_of",
    "features_of",
    "file_problems",
    "fit_encoders",
    "list_encoders",
    "make_encoder",
    "pack",
]
