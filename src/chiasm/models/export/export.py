"""A fitted model as one ONNX file, compared with the model before it is there."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chiasm.artifact import content_of, whole_file
from chiasm.errors import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.models.export.answer import graph_of, metadata_of
from chiasm.models.export.checking import compared
from chiasm.models.export.forms import forms_of
from chiasm.models.export.graph import MOST_BYTES
from chiasm.models.export.obstacles import require_exportable

DESCRIPTION = "chiasm"
"""Property of the file that describes it, in JSON."""


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Args:
        path: the file.
        description: what stands in its property `chiasm`: inputs, outputs, what it holds and is not for.
        rows, patterns: made patients, and their patterns of modalities, on which it was compared with the model.
        largest: largest difference of a prediction among them.
        seconds: time that it took.
        size: bytes of the file.
    """

    path: Path
    description: dict[str, Any] = field(repr=False)
    rows: int
    patterns: int
    largest: float
    seconds: float
    size: int


def export(model: FittedModel, out: Path, *, with_training_rows: bool = False) -> Exported:
    """Write a fitted model as one ONNX file; see `chiasm.export_onnx`."""
    start = time.monotonic()
    require_installed()
    require_exportable(model, with_training_rows)
    forms = forms_of(model)
    description = metadata_of(model, forms, {"chiasm": version("chiasm"), "model": content_of(model)})
    written = json.dumps(description, ensure_ascii=False, allow_nan=False)
    made = graph_of(model, forms).model({DESCRIPTION: written}, version("chiasm"))
    size = made.ByteSize()
    if size >= MOST_BYTES:
        raise Unsupported(f"the graph takes {size / 1e9:.1f} GB, and one ONNX file holds 2 GB at most")
    with whole_file(out) as staging:
        staging.write_bytes(made.SerializeToString())
        found = compared(model, forms, staging)
    return Exported(
        out, description, found.rows, found.patterns, found.largest, time.monotonic() - start, out.stat().st_size
    )


def require_installed() -> None:
    """Refuse where the packages of the extra are lacking.

    Raises:
        Unsupported: onnx or onnxruntime is not installed.
    """
    if any(find_spec(name) is None for name in ("onnx", "onnxruntime")):
        raise Unsupported('export to ONNX needs onnx and onnxruntime: pip install "chiasm[onnx]"')
