"""MONAI without what parts of it that we do not use would import: three quarters of its import are not its own."""

from __future__ import annotations

import os
import sys

import pytest

from examples import ALL

NOT_OURS = (
    "mlflow",
    "transformers",
    "transformers.models.bert.modeling_bert",
    "matplotlib",
    "matplotlib.pyplot",
    "zarr",
)
"""What MONAI does without where it is not installed: for its handlers, pictures, stores and one network of texts."""


def import_monai() -> None:
    """Import MONAI, in `make test` as if those packages were not installed; skip the test where it is not itself."""
    absent = [] if os.environ.get(ALL) else [name for name in NOT_OURS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        pytest.importorskip("monai")
    finally:
        for name in absent:
            del sys.modules[name]
