"""Encoding of a cohort: read the files, run the encoders once, store the tokens, report what could not be read."""

from chiasm.encoding.encode import Encoded, encode_cohort
from chiasm.encoding.findings import file_problems

__all__ = ["Encoded", "encode_cohort", "file_problems"]
