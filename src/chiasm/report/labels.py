"""Labels part of the report: the AUROC of each label, of which the primary metric is the mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.evaluation import Trial
from chiasm.metrics.scores import MIN_EVENTS
from chiasm.report.patterns import only
from chiasm.report.recipes import Best
from chiasm.report.wording import count, interval


@dataclass(frozen=True)
class LabelsPart:
    """Row per label: its name, tested patients, those who have it, and the AUROC of each recipe of `columns`."""

    said: str
    columns: list[str]
    rows: list[tuple[str, str, str, list[str]]]


def labels_part(trial: Trial, best: Sequence[Best]) -> LabelsPart:
    """Tabulate each label of a multilabel target, for the best recipe of each side."""
    names = [one.name for one in best]
    frame = only(trial, names).labels()
    rows = []
    for label, part in frame.groupby("label", sort=False):
        found = part.set_index("recipe").loc[names]
        values = [interval(row["mean"], row["low"], row["high"]) for _, row in found.iterrows()]
        n, positives = (int(part[column].iloc[0]) for column in ("n", "positives"))
        rows.append((str(label), f"{n:,}", f"{positives:,}", values))
    counted = int(frame.drop_duplicates("label")["mean"].notna().sum())
    told, averaged = "", ""
    if len(trial.folds) > 1:
        told, averaged = ", and most folds can tell of", " Each is averaged over its folds first."
    said = (
        f"The primary metric is the mean over {count(counted, 'label')} of {len(rows)}: those that {MIN_EVENTS} tested "
        f"patients or more have, {MIN_EVENTS} or more have not{told}.{averaged}"
    )
    return LabelsPart(said, [f"{one.name} ({one.side})" for one in best], rows)
