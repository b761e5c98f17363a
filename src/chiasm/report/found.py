"""Boxes or label maps part of the report: what is drawn of each label, and how much is said to be there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.found import drawn_by
from chiasm.report.tables import Heading, Table, ToldTable, estimates

NOT_DRAWN = (
    "A box counts as found where a model's box of the same label overlaps it enough (intersection over union); average "
    "precision is COCO's, from .50 to .95 and at .50, of each label. A model that learns numbers alone says how many "
    "there are of each label, and draws none: its average precision is zero. The recipe null draws in every image what "
    "training images have on average. The error of the number is its mean absolute difference from those drawn; "
    "the bias is said less drawn. Means over test folds, with intervals over patients."
)

NOT_OUTLINED = (
    "Dice is twice the overlap by the sum of both sizes, a mean over the patients who have the label; surface dice the "
    "share of both surfaces that lies within {tolerance:g} mm of the other, or pixels where spacing is not known; HD95 "
    "the larger of the 95th percentiles of the distances between surfaces, and the image's diagonal where one of the "
    "two is empty. A lesion is a part that hangs together; it is found where one that is said shares over half of both "
    "with it (intersection over union). A model that learns volumes alone draws nothing: its dice is zero. The recipe "
    "null draws in every image the label that most training label maps have at the same share of each side. Means over "
    "test folds, with intervals over patients."
)
SAID = ("average precision", "at .50", "error of the number", "bias of the number")
OUTLINED = ("dice", "surface dice", "HD95", "F1 of lesions", "error of the volume", "bias of the volume")


def found_part(trial: Trial) -> ToldTable | None:
    """Build the part from the trial's document; None for other kinds of target."""
    document: list[Mapping[str, Any]] | None = trial.document.get("found")
    if not document:
        return None
    many, names = ("patients who have it", OUTLINED) if trial.target.has_masks else ("boxes drawn", SAID)
    headings = [Heading("recipe", number=False), Heading("label"), Heading(many), *map(Heading, names)]
    rows = [
        [str(row["recipe"]), str(row["label"]), f"{row['drawn']:,}", *estimates(row, drawn_by(trial.target).measures)]
        for row in document
    ]
    told = NOT_DRAWN
    if trial.target.has_masks:
        told = NOT_OUTLINED.format(tolerance=trial.document["cohort"]["target"]["tolerance"])
    return ToldTable(told, Table("found-table", headings, rows, fixed=True))
