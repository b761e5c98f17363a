"""Public function that makes a cohort of a MEDS dataset and labels of its subjects at times of prediction."""

from __future__ import annotations

import os
from pathlib import Path

from chiasm.api.item_cohorts import write_items
from chiasm.artifact import whole_file
from chiasm.cohort import CohortError
from chiasm.errors import error
from chiasm.readers import ReadError
from chiasm.readers.record.labels import LabelledRecords, records_until

MODALITY = """[modalities.events]
kind = "events"
table = "events.parquet"         # what is known at the time of prediction
index = "hour"
"""


def label_records(
    meds: str | os.PathLike[str], labels: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> LabelledRecords:
    """Cut MEDS records at the times of their labels, as ACES writes them, and write a cohort of them to `out`.

    Each label is a sample; the samples of a subject are one group. The manifest `out/cohort.toml` names the label as
    target and the hour of prediction as `index`.

    Args:
        meds: folder of a MEDS dataset.
        labels: Parquet file of `subject_id`, `prediction_time` and a value, or a folder of such files.
        out: folder to write; None: nothing is written.

    Raises:
        CohortError: the labels or the records cannot be read, or do not meet.
        Unsupported: the package meds is missing.
    """
    try:
        found = records_until(Path(labels), Path(meds))
    except ReadError as fault:
        raise CohortError([error(fault.what, fault.fix, finding="unreadable")]) from None
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / "events.parquet") as staging:
            found.events.to_parquet(staging, index=False)
        write_items(folder, found.samples, "samples", "subject", found.kind, MODALITY)
    return found
