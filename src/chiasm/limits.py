"""Limits on files that somebody else wrote, all in one place; they are asked before a file is read.

Each lies far above what a cohort or a model of chiasm holds, and below what fills the memory of a laptop. Limits of
single readers stand in `readers.reading.Limits`, those of a server of a federation in `federated/limits.py`.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

MEGABYTE, GIGABYTE = 1 << 20, 1 << 30

MANIFEST_BYTES = 4 * MEGABYTE
MANIFEST_DEPTH = 64  # parts of a key, as in a.b.c: TOML is parsed in the square of them
MODALITIES = 1000
PATIENTS = 5_000_000  # each takes a kilobyte in a check
SEAL_BYTES = 256 * MEGABYTE
HORIZONS = 1000

RESPONSE_BYTES = GIGABYTE  # of one item's file
RESPONSE_VALUES = 20_000_000  # of one item, repetitions by channels
BOXES_BYTES = 256 * MEGABYTE  # of a file of boxes, of one image or of many
MASK_BYTES = 2 * GIGABYTE  # of a label map
GENE_SET_BYTES = 64 * MEGABYTE
TRIPLES = 2_000_000  # of knowledge
LABEL_TEXTS = 20_000  # rows of what is written of labels: each is encoded in a fit
ENTITIES = 400_000  # of knowledge: a model holds the name of each and a vector, and these fit into its description
ENTITY_BYTES = 12 * MEGABYTE  # their names as JSON
ENTITY_PARTS = 1_000_000  # brackets and commas within them

MODEL_JSON_BYTES = 32 * MEGABYTE
JSON_PARTS = 2_000_000  # brackets and commas: each becomes an object in memory
JSON_DEPTH = 100  # of lists and mappings in each other: the deepest model of chiasm has twelve
JSON_WHOLE = 1 << 64  # what a whole number lies below, either way
STORED_PARTS = 100_000  # with a kind, in one model
HEADER_BYTES = 16 * MEGABYTE  # of safetensors
TENSORS = 100_000
TENSOR_SIDES = 32  # axes of one
WEIGHTS_BYTES = 64 * GIGABYTE
LOOKED_BYTES = 4 * MEGABYTE  # of an array that is read to say what is inside
TRIAL_JSON_BYTES = 64 * MEGABYTE  # of a run that is looked at beside a model
RUN_JSON_BYTES = GIGABYTE
CARD_BYTES = 4 * MEGABYTE
SIGNATURE_BYTES = 64 << 10
KEY_BYTES = 64 << 10
TRUSTED_KEYS = 1000
HOLES = 64  # a file of 256 MB or more whose bytes take less than a 64th of its size on disk is mostly holes

TABLE_BYTES = 16 * GIGABYTE  # unpacked
TABLE_ROWS = 50_000_000
LINE_BYTES = 16 * MEGABYTE  # of a table's first line
BLANK_BYTES = MEGABYTE  # of nothing but blank lines
BOMB_BYTES, BOMB_RATIO = 2 * GIGABYTE, 200  # what unpacks to more than both is no table
WORKBOOK_BYTES = GIGABYTE  # of all parts of a spreadsheet, unpacked: it is read whole
WORKBOOK_PARTS = 10_000
SHEET_CELLS = 20_000_000  # of the rectangle that a sheet's filled cells span
STATISTICS_BYTES = 8 * GIGABYTE  # of a file of SPSS, Stata or SAS
STATISTICS_CELLS = 200_000_000
GENOTYPE_CELLS = 100_000_000
EVENT_ROWS = 20_000_000  # of all tables of a folder of records
BOMB_CELLS = 50_000_000  # more cells than this, and than BOMB_RATIO times its bytes, a Parquet file cannot hold
# What decodes to over so many values, and to more than so many times its size on disk, is packed nothing and no scan.
BOMB_VALUES, BOMB_VOXELS, SCAN_RATIO = 40_000_000, 128_000_000, 500
# What takes over so many bytes in single precision, and over BOMB_RATIO times its size on disk, is not read either.
# JPEG packs a dark film to a hundredth of these; runs and deflate, a scan with something in it to a tenth.
DECODED_BYTES, RUNS_RATIO = 512 * MEGABYTE, 100
PARQUET_BYTES = 64 * MEGABYTE  # of columns unpacked, or of their text, that are also over BOMB_RATIO times the file


class LimitError(ValueError):
    """Error for a file over a limit, or one that is no regular file; `what` is wrong with it, and the `fix`."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what, self.fix = what, fix


def require_regular(path: Path, most: int) -> int:
    """Return the size of a regular file, links followed; nothing is opened, so that no pipe or device can block.

    Raises:
        FileNotFoundError: there is no such file.
        LimitError: it is no regular file, is larger than `most` bytes, or consists of holes.
    """
    return regular_size(path.stat(), most)


def regular_size(found: os.stat_result, most: int) -> int:
    """Return the size of a file that the system describes so, if it is regular.

    Raises:
        LimitError: see `require_regular`.
    """
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a device or a socket"
        raise LimitError(f"is {kind} and no file", "name a file itself")
    if found.st_size > most:
        raise LimitError(
            f"has {found.st_size / MEGABYTE:,.0f} MB, over the limit of {most / MEGABYTE:,.0f} MB", "check the file"
        )
    if is_hollow(found):
        raise LimitError("consists of holes that were never written", "copy the file again")
    return found.st_size


def is_hollow(found: os.stat_result) -> bool:
    """Return whether a large file takes almost no space on disk: reading it would make up what nobody wrote."""
    if sys.platform == "win32":  # which does not say
        return False
    return found.st_size >= 256 * MEGABYTE and found.st_blocks * 512 < found.st_size // HOLES


def is_packed_nothing(values: int, itemsize: int, stored: int, most: int = BOMB_VALUES) -> bool:
    """Return whether so many values of so many bytes cannot be what a file of `stored` bytes holds: they are all alike.

    Deflate, the usual packing, makes up to 1,032 bytes of one; a scan packs to a 200th at the best.
    """
    return (values > most and values * itemsize > SCAN_RATIO * stored) or is_swollen(values, stored)


def is_swollen(values: int, stored: int, ratio: int = BOMB_RATIO) -> bool:
    """Return whether values in single precision take over 512 MB, and over `ratio` times their `stored` bytes."""
    return 4 * values > max(DECODED_BYTES, ratio * stored)
