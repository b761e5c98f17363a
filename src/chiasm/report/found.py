"""Boxes part of the report: what is found of each label, and how many are said to be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.evaluation import Trial
from chiasm.metrics.detection import LABEL_MEASURES
from chiasm.report.tables import Heading, Table, ToldTable, estimates

NOT_DRAWN = (
    "A box counts as found where a model's box of the same label overlaps it enough (intersection over union); average "
    "precision is COCO's, from .50 to .95 and at .50, of each label. A model that learns numbers alone says how many "
    "there are of each label, and draws none: its average precision is zero. The recipe null draws in every image what "
    "training images have on average. The error of the number is its mean absolute difference from those drawn; "
    "the bias is said less drawn. Means over test folds, with intervals over patients."
)


def found_part(trial: Trial) -> ToldTable | None:
    """Build the part from the trial's document; None for other kinds of target."""
    document: list[Mapping[str, Any]] | None = trial.document.get("found")
    if not document:
        return None
    headings = [
        Heading("recipe", number=False), Heading("label"), Heading("boxes drawn"),
        Heading("average precision"), Heading("at .50"), Heading("error of the number"), Heading("bias of the number"),
    ]  # fmt: skip
    rows = [
        [str(row["recipe"]), str(row["label"]), f"{row['drawn']:,}", *estimates(row, LABEL_MEASURES)]
        for row in document
    ]
    return ToldTable(NOT_DRAWN, Table("found-table", headings, rows, fixed=True))
