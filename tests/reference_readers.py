"""Packages that comparing readers needs, and the folder of `benchmarks/`; who imports this is skipped without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

PACKAGES = (
    "pydicom", "nibabel", "tifffile", "imagecodecs", "wfdb", "pyedflib", "anndata", "rdkit", "h5py", "meds",
    "fhir.resources",
)  # fmt: skip

for package in PACKAGES:
    pytest.importorskip(package)
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import readers  # noqa: E402  before the folder is on the path, the name is that of a folder of tests

__all__ = ["readers"]
