"""The kinds of target: the one table that says which there are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, error
from chiasm.targets.boxes import Boxes
from chiasm.targets.cells import Cells
from chiasm.targets.choice import Choice
from chiasm.targets.classification import Classification
from chiasm.targets.competing import CompetingRisks
from chiasm.targets.free_text import FreeText
from chiasm.targets.mask import Mask
from chiasm.targets.multilabel import Multilabel
from chiasm.targets.outcome import Outcome
from chiasm.targets.regression import Regression
from chiasm.targets.responses import Responses
from chiasm.targets.survival import Survival
from chiasm.targets.target import Target

KINDS: dict[str, type[Target]] = {
    own.kind: own
    for own in (
        Boxes, Choice, Classification, CompetingRisks, FreeText, Mask, Multilabel, Regression, Survival, Responses,
    )
}  # fmt: skip


def kind_of(name: str) -> type[Target]:
    """Return the kind of target of this name.

    Raises:
        ValueError: there is no such kind.
    """
    if name not in KINDS:
        raise ValueError(f"no target of kind {name!r}: it is one of {', '.join(KINDS)}")
    return KINDS[name]


def class_names(target: Target) -> tuple[str, ...]:
    """Names of what is predicted: classes in the order of their codes, labels as named, or channels; else empty."""
    return target.names


def read_outcome(
    target: Target, patients: pd.DataFrame, file_rows: NDArray[np.int_], path: str | None
) -> tuple[Target, Outcome | None, list[Problem]]:
    """Read the outcome; return the target with its classes, the outcome, and findings on unusable values.

    `patients` holds the target's columns, one row per patient of the cohort; `file_rows` is the row of each in the
    user's own file. Values that cannot be used are unknown in the outcome and listed as findings; nothing raises,
    because predicting needs no outcome.
    """
    cells = Cells(patients, file_rows, path)
    target, outcome = target.read(cells)
    if len(patients) and target.names_outcome and not outcome.known.any():
        what, fix = "no patient has a known outcome", "fill it in, or take [target] out to predict only"
        causes = [own for own in cells.findings if own.severity == "error" and own not in cells.missing]
        return target, outcome, [*causes, error(what, fix, path=path, finding="no-outcome")]
    return target, outcome, cells.findings
