"""Cohorts made of public material that has no manifest: written to a folder, and opened from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import chiasm

STATIC = {"Age": "age", "Gender": "gender", "Height": "height", "Weight": "weight"}
LONGEST = 30
PHYSIONET = """name = "{name}"
[patients]
table = "stays.csv"
id = "stay"
[target]
kind = "classification"
column = "died"
{more}[modalities.events]
kind = "events"
table = "events.parquet"
"""


def physionet2012(data: Path, place: Path) -> None:
    """3,996 stays in intensive care: a table of the first minute, events of 48 hours, death in hospital.

    The challenge writes -1 for an unknown height, weight or gender. The weight is also an event whenever it is taken.
    """
    events = physionet_stays(data, place, {"RecordID", *STATIC} - {"Weight"})
    at_start = events[(events["minute"] == 0) & events["parameter"].isin(STATIC)]
    table = at_start.pivot_table(index="record", columns="parameter", values="value", aggfunc="first")
    table = table.where(table >= 0).rename(columns=STATIC)
    table.insert(0, "died", died(data).reindex(table.index))
    table.rename_axis("stay").reset_index().to_csv(place / "stays.csv", index=False)
    columns = ", ".join(f'"{name}"' for name in STATIC.values())
    (place / "cohort.toml").write_text(
        PHYSIONET.format(name="physionet2012", more=f"""[modalities.clinical]
kind = "table"
columns = [{columns}]
"""),
        encoding="utf-8",
    )  # fmt: skip


def physionet2012_stays(data: Path, place: Path) -> None:
    """The same stays with how they end: death in hospital, or discharge alive, which rules it out; days in hospital.

    Both are counted by the length of stay, as the challenge writes it. What happens after `LONGEST` days is not
    followed. Left out are those whose length of stay is unknown, or at most the two days that are read.
    """
    physionet2012(data, place)
    table = pd.read_csv(place / "stays.csv", dtype={"stay": str}, index_col="stay")
    outcomes = pd.read_csv(data / "wings" / "physionet2012" / "Outcomes-a.txt", dtype={"RecordID": str})
    days = outcomes.set_index("RecordID")["Length_of_stay"].reindex(table.index)
    table, days = table[days > 2], days[days > 2]
    end = np.where(days > LONGEST, "", np.where(table["died"] == 1, "death", "discharge"))
    table = table.drop(columns="died").assign(days=np.minimum(days, LONGEST), end=end)
    table.reset_index().to_csv(place / "stays.csv", index=False)
    events = pd.read_parquet(place / "events.parquet")
    events[events["stay"].isin(table.index)].to_parquet(place / "events.parquet", index=False)
    text = (place / "cohort.toml").read_text(encoding="utf-8").replace("physionet2012", "physionet2012-stays")
    target = 'kind = "competing"\ntime = "days"\ncause = "end"\nmain = "death"\nunit = "days"'
    text = text.replace('kind = "classification"\ncolumn = "died"', target)
    (place / "cohort.toml").write_text(text, encoding="utf-8")


def physionet2012_events(data: Path, place: Path) -> None:
    """The same stays as events alone: age, gender, height and unit are events of the first minute, as in the source.

    `spans` is the same record for those who read it event by event: the last value of each parameter in each half day.
    """
    events = physionet_stays(data, place, {"RecordID"})
    written = pd.read_parquet(place / "events.parquet")
    span = (written["hours"] // 12).rename("span")
    last = written.sort_values("hours", kind="stable").groupby(["stay", "code", span], sort=False).tail(1)
    last.sort_index().to_parquet(place / "spans.parquet", index=False)
    table = died(data).reindex(events["record"].drop_duplicates().sort_values()).rename("died")
    table.rename_axis("stay").reset_index().to_csv(place / "stays.csv", index=False)
    spans = """[modalities.spans]
kind = "events"
table = "spans.parquet"
"""
    (place / "cohort.toml").write_text(PHYSIONET.format(name="physionet2012-events", more=spans), encoding="utf-8")


def died(data: Path) -> pd.Series:
    """Death in hospital of each stay, 0 or 1."""
    return pd.read_csv(data / "wings" / "physionet2012" / "Outcomes-a.txt", index_col="RecordID")["In-hospital_death"]


def physionet_stays(data: Path, place: Path, left_out: set[str]) -> pd.DataFrame:
    """Write the events of the stays, without some parameters and unknown values; return all as they are."""
    events = pd.read_parquet(data / "wings" / "physionet2012" / "set-a.parquet")
    events["parameter"] = events["parameter"].astype(str)
    left = events[~events["parameter"].isin(left_out) & (events["value"] >= 0)]
    pd.DataFrame(
        {
            "stay": left["record"].astype(str),
            "hours": left["minute"] / 60,
            "code": left["parameter"],
            "numeric_value": left["value"].astype(np.float32),
        }
    ).to_parquet(place / "events.parquet", index=False)
    return events


def single_cell_multiomics(data: Path, place: Path) -> None:
    """1,047 cells of SNARE-seq: ten components of the RNA and 19 topics of open chromatin, of four cell lines."""
    source = data / "wings" / "single-cell-multiomics" / "SNARE"
    frame = pd.DataFrame({"cell": [f"cell {number}" for number in range(1047)]})
    lines = pd.read_csv(source / "SNAREseq_rna_types.txt", header=None)[0]
    frame["cell_line"] = [f"line {code:.0f}" for code in lines]
    for name in ("rna", "atac"):
        values = np.load(source / f"SNAREseq_{name}_feat.npy")
        own = pd.DataFrame(values.astype(np.float32), columns=[f"{name}_{number}" for number in range(values.shape[1])])
        own.insert(0, "cell", frame["cell"])
        own.to_parquet(place / f"{name}.parquet", index=False)
    frame.to_csv(place / "cells.csv", index=False)
    (place / "cohort.toml").write_text(
        """name = "single-cell-multiomics"
[patients]
table = "cells.csv"
id = "cell"
[target]
kind = "classification"
column = "cell_line"
[modalities.rna]
kind = "omics"
table = "rna.parquet"
[modalities.atac]
kind = "omics"
table = "atac.parquet"
""",
        encoding="utf-8",
    )


WRITTEN: dict[str, Callable[[Path, Path], None]] = {
    "physionet2012": physionet2012,
    "physionet2012-events": physionet2012_events,
    "physionet2012-stays": physionet2012_stays,
    "single-cell-multiomics": single_cell_multiomics,
}


def opened(name: str, data: Path, work: Path) -> chiasm.Cohort:
    """Open a cohort of `data`; one that has no manifest there is written to `work` first."""
    if name not in WRITTEN:
        return chiasm.open_cohort(data / name / "cohort.toml")
    place = work / "cohort"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "cohort.toml").exists():
        WRITTEN[name](data, place)
    return chiasm.open_cohort(place / "cohort.toml")
