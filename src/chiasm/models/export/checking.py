"""The comparison of an exported file with its model, before the file is handed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.models.export.answer import columns_of
from chiasm.models.export.inputs import PRESENT, Form
from chiasm.models.export.made_rows import MadeRows, made_rows

CLOSE = 1e-5
"""Largest difference of a prediction, in its unit or relative to it where it is above one."""
ALONE = 3  # made patients who are also asked alone: who else is in the batch changes nothing
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Comparison:
    """How far an exported file is from its model.

    Args:
        rows: made patients of every pattern.
        patterns: their patterns of modalities.
        largest: largest difference of a prediction.
    """

    rows: int
    patterns: int
    largest: float


def session_of(path: Path) -> Any:
    """Open a file with onnxruntime, on one thread."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compared(model: FittedModel, forms: Mapping[str, Form], path: Path) -> Comparison:
    """Compare a file with its model on made patients of every pattern.

    Raises:
        Unsupported: a prediction differs, one depends on who else is in the batch, or on what stands behind an absent
            modality.
    """
    try:
        return _compared(model, forms, path)
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime"):  # its errors have no base of their own
            said = str(error).partition("\n")[0]
            raise Unsupported(f"onnxruntime does not run the graph: {said}: nothing was written") from error
        raise


def _compared(model: FittedModel, forms: Mapping[str, Form], path: Path) -> Comparison:
    made, session = made_rows(model, forms), session_of(path)
    columns = columns_of(model)
    expected, given = _expected(model, made), {**made.inputs, **_scarce(model, len(made.cohort))}
    found = answers(session, given, columns)
    largest = difference(found, expected)
    if largest > CLOSE:
        raise Unsupported(
            f"the graph does not say what the model says: predictions differ by {largest:.1e} on made patients, and "
            f"may by {CLOSE:.0e}: nothing was written"
        )
    for seed in (1, 2):
        other = answers(session, {**given, **made.without_traces(seed)}, columns)
        if not np.array_equal(found, other, equal_nan=True):
            raise Unsupported("the graph reads what stands behind an absent modality: nothing was written")
    for row in np.linspace(0, len(made.cohort) - 1, ALONE).astype(int):
        alone = answers(session, {name: own[row : row + 1] for name, own in given.items()}, columns)
        if difference(alone, expected[row : row + 1]) > CLOSE:
            raise Unsupported("the graph's answer depends on who else is in the batch: nothing was written")
    return Comparison(len(made.cohort), len(np.unique(made.cohort.present, axis=0)), largest)


def answers(session: Any, given: Arrays, columns: Sequence[str]) -> NDArray[np.float64]:
    """Ask a session for the columns of a prediction, `(B, C)`."""
    asked = {own.name for own in session.get_inputs()}
    found = session.run(list(columns), {name: own for name, own in given.items() if name in asked})
    return np.stack(found, axis=1)


def difference(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Largest difference, relative to what is expected where that is above one; infinite where one is no number."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        gap = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    return float(np.where(same, 0.0, np.where(np.isfinite(gap), gap, np.inf)).max(initial=0.0))


def _expected(model: FittedModel, made: MadeRows) -> NDArray[np.float64]:
    """What the model says of made patients; NaN of those whom it would refuse."""
    whom = np.asarray(made.cohort.present.any(1) | model.has_prior, bool)
    frame = model.response.frame(model.predictor.link(made.cohort.subset(whom)))
    out = np.full((len(whom), frame.shape[1]), np.nan)
    out[whom] = frame.to_numpy(np.float64)
    return out


def _scarce(model: FittedModel, n: int) -> dict[str, NDArray[Any]]:
    return {f"{name}.{PRESENT}": np.zeros(n, bool) for name in model.scarce}
