"""Read labels of a MEDS dataset, a row for each subject and time of prediction, and cut the records at these times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from chiasm.readers.reading import LIMITS, Limits, ReadError, check_size
from chiasm.readers.record.meds import read_rows, since_first_record

KEYS = ("subject_id", "prediction_time")
VALUES = {
    "boolean_value": "classification",
    "categorical_value": "classification",
    "integer_value": "regression",
    "float_value": "regression",
}
"""The columns that may hold the label, and the kind of target that each is."""
WHOLE = ("boolean_value", "integer_value")
AS_LABELS = "write it as MEDS labels: subject_id, prediction_time and boolean_value, as aces-cli does"
INDEX = "CHIASM_INDEX"  # stands in a record for the time of prediction while its hours are counted


@dataclass(frozen=True, repr=False)
class LabelledRecords:
    """Records up to their times of prediction.

    Args:
        samples: one row a label: `sample`, `subject`, `hour` of prediction on the record's clock, and `label`.
        events: `sample`, `hours`, `code`, `numeric_value` of what is known at that time, the time itself included.
        kind: of target.
        without: number of samples of which nothing is known by then.
    """

    samples: pd.DataFrame
    events: pd.DataFrame
    kind: str
    without: int

    def __repr__(self) -> str:
        return f"LabelledRecords: {len(self.samples):,} samples of {self.samples['subject'].nunique():,} subjects"


def read_labels(path: Path, limits: Limits = LIMITS) -> tuple[pd.DataFrame, str]:
    """Read a Parquet file of labels, or all in a folder; return subject, time and `label`, sorted, and the kind.

    The label is in the one column of `boolean_value`, `categorical_value`, `integer_value` and `float_value` that is
    filled; rows in which it is empty are of unknown outcome.

    Raises:
        ReadError: no file, one that is damaged or over a limit, a column that is missing or of another type, a row
            without subject or time, no or two columns with labels, a subject that has two labels at one time, a value
            of another type than its column is named after.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ReadError("there is no table of labels", "name a Parquet file, or a folder of them")
    rows = pd.concat([_read(file, limits) for file in files], ignore_index=True)
    if rows[list(KEYS)].isna().any(axis=None):
        raise ReadError("a label has no subject or no time of prediction", AS_LABELS)
    filled = [name for name in VALUES if name in rows.columns and rows[name].notna().any()]
    if len(filled) != 1:
        which = " and ".join(filled) if filled else "no column"
        raise ReadError(f"{which} of the table holds labels", f"fill one of {', '.join(VALUES)}")
    if rows.duplicated(list(KEYS)).any():
        raise ReadError("a subject has two labels at one time", "keep one of them, or write a table for each task")
    label = rows[filled[0]]
    if filled[0] in WHOLE:
        try:
            label = label.astype("Int64")
        except (TypeError, ValueError):
            raise ReadError(f"{filled[0]} holds something else than its name says", AS_LABELS) from None
    labels = rows[list(KEYS)].assign(label=label)
    return labels.sort_values(list(KEYS), ignore_index=True), VALUES[filled[0]]


def records_until(labels: Path, meds: Path, limits: Limits = LIMITS) -> LabelledRecords:
    """Cut the records of a MEDS dataset at the times of its labels; a subject with several has several samples.

    A sample holds what has no time, and what happened until the time of prediction, that moment included. Hours count
    from the subject's first record, as everywhere.

    Raises:
        ReadError: as `read_labels` and `read_meds`; no subject of the labels is in the dataset.
        Unsupported: the package meds is missing.
    """
    table, kind = read_labels(labels, limits)
    rows = read_rows(meds, limits)
    if not table["subject_id"].isin(rows["subject_id"].unique()).any():
        raise ReadError("no subject of the labels is in the dataset", "name the dataset that the labels were made of")
    turn = table.groupby("subject_id").cumcount() + 1
    names = table["subject_id"].astype(str) + "-" + turn.astype(str)
    table = table.assign(sample=np.arange(len(table)))
    both = rows.merge(table[["subject_id", "prediction_time", "sample"]], on="subject_id")
    both = both[both["time"].isna() | (both["time"] <= both["prediction_time"])]
    index = pd.DataFrame({"sample": table["sample"], "time": table["prediction_time"], "code": INDEX})
    own = both[["sample", "time", "code", "numeric_value"]].astype({"code": object})
    whole = pd.concat([own, index.assign(numeric_value=np.float32("nan"))], ignore_index=True)
    hours = since_first_record(whole.rename(columns={"sample": "subject_id"}))
    place, marks = hours["id"].astype(int).to_numpy(), (hours["code"] == INDEX).to_numpy()
    hour = np.zeros(len(table))
    hour[place[marks]] = hours["hours"].to_numpy()[marks]
    events = hours[~marks].assign(sample=names.to_numpy()[place[~marks]])
    samples = pd.DataFrame(
        {"sample": names, "subject": table["subject_id"].astype(str), "hour": hour, "label": table["label"]}
    )
    order = ["sample", "hours", "code", "numeric_value"]
    without = len(samples) - events["sample"].nunique()
    return LabelledRecords(samples, events[order].reset_index(drop=True), kind, without)


def _read(file: Path, limits: Limits) -> pd.DataFrame:
    check_size(file, limits)
    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as opened:
            if opened.metadata.num_rows > limits.characters:
                raise ReadError("the table holds more labels than the limit", "write the labels of a part of them")
            named = [name for name in (*KEYS, *VALUES) if name in opened.schema_arrow.names]
            table = opened.read(columns=named, use_threads=False)
        if any(name not in named for name in KEYS):
            raise ReadError("a column of subjects or of times of prediction is missing", AS_LABELS)
        for name, wanted in zip(KEYS, (pa.int64(), pa.timestamp("us")), strict=True):
            table = table.set_column(table.column_names.index(name), name, table.column(name).cast(wanted))
        frame: pd.DataFrame = table.to_pandas(coerce_temporal_nanoseconds=False)
        return frame
    except ReadError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError):
        raise ReadError("the table of labels is damaged or not Parquet", AS_LABELS) from None
