"""AnnData as a block of numbers: what is one, and its X as a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort.annotated_file import MOST_VALUES
from chiasm.errors import CohortError, count, error


def is_several(given: Any) -> bool:
    """True if this is a MuData."""
    return isinstance(getattr(given, "mod", None), Mapping)


def is_annotated(given: Any) -> bool:
    """True if this is an AnnData, one modality."""
    return not isinstance(given, pd.DataFrame) and hasattr(given, "obs") and hasattr(given, "var")


def _fault(annotated: Any) -> tuple[str, str] | None:
    """Return why an AnnData cannot be read as a block, and the fix; None if it can."""
    rows, columns = annotated.shape
    if annotated.X is None:
        return "the modality has no X", "put its values into X: layers and raw are not read"
    if rows * columns > MOST_VALUES:
        return f"X has {rows * columns:,} values, over the limit of {MOST_VALUES:,}", "keep fewer features"
    repeated = int(pd.Index(annotated.var_names).duplicated().sum())
    if repeated:
        return f"{count(repeated, 'feature')} by a name that stands twice", "call var_names_make_unique"
    if annotated.X.dtype.kind not in "fiub":
        return "X does not hold numbers", "write numbers into X"
    return None


def block_of(annotated: Any, modality: str | None = None) -> pd.DataFrame:
    """Return X of an AnnData as a frame, a row for each observation and a column for each feature.

    Raises:
        CohortError: it has no X, or one that is no block of numbers under distinct names.
    """
    fault = _fault(annotated)
    if fault is not None:
        raise CohortError([error(*fault, modality=modality, finding="broken-block")])
    values = annotated.X[:] if getattr(annotated, "isbacked", False) else annotated.X
    dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    columns = [str(feature) for feature in annotated.var_names]
    return pd.DataFrame(dense, index=annotated.obs_names.astype(str), columns=columns)
