"""Write patients as a cohort: a manifest, a table of the patients, and one of each modality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.artifact import write_text
from chiasm.cohort.generated import Generated
from chiasm.generation.records import Records
from chiasm.generation.rows import OUTCOME, PICTURES, Rows

MANIFEST = "cohort.toml"


def write_cohort(
    folder: Path,
    rows: Rows,
    kinds: Mapping[str, str],
    mark: Generated,
    *,
    name: str,
    target: Mapping[str, Any] | None,
    groups: Mapping[str, Mapping[str, list[str]]] | None = None,
    ids: list[str] | None = None,
    labels: Mapping[str, np.ndarray] | None = None,
    unit_costs: Mapping[str, float] | None = None,
    endings: Mapping[str, str] | None = None,
    records: Mapping[str, Records] | None = None,
) -> dict[str, str]:
    """Write `cohort.toml`, `patients.csv`, and of each modality a CSV file, or of an omics block a Parquet file.

    Returns of each modality of pictures the folder within `folder` where `<identifier><ending>` is to be written.

    Args:
        folder: an empty folder that is there.
        kinds: modality to `table`, `omics`, `image`, `volume` or `events`.
        mark: what `[generated]` of the manifest says.
        target: keys of `[target]`; None without one.
        groups: modality to its groups of columns, which become a GMT file.
        ids: identifiers; None: patients are numbered, `synthetic-0001`.
        labels: `group`, `site` or `fold` to a label of each patient.
        unit_costs: modality to what it costs a patient.
        endings: modality of pictures to how the names of its files end.
        records: modality of events to the records of the patients, in place of its rows.
    """
    n = len(rows)
    taken = {str(column) for block in rows.blocks.values() for column in block.columns}
    key = "patient"
    while key in taken:
        key += "_"
    index = pd.Index(ids or synthetic_ids(n), name=key, dtype=object)
    patients = rows.blocks.get(OUTCOME, pd.DataFrame(index=range(n))).set_axis(index, axis=0)
    lines = [f"name = {_text(name)}", "[patients]", 'table = "patients.csv"', f"id = {_text(key)}"]
    own = {name: labels[name] for name in ("group", "site") if labels and name in labels}
    for label, values in own.items():
        column = label
        while column in taken:
            column += "_"
        patients = patients.assign(**{column: values})
        lines.append(f"{label} = {_text(column)}")
    write_text(folder / "patients.csv", _whole(patients).to_csv())
    if target is not None:
        lines += ["[target]", *(f"{name} = {_text(value)}" for name, value in target.items())]
    written: set[str] = set()
    places: dict[str, str] = {}
    for modality in (name for name in rows.blocks if name != OUTCOME):
        if kinds[modality] in PICTURES:
            places[modality] = _apart(modality.replace(" ", "_"), written)
            (folder / places[modality]).mkdir()
            path = f"{places[modality]}/{{id}}{(endings or {})[modality]}"
            lines += [f"[modalities.{_text(modality)}]", f"kind = {_text(kinds[modality])}", f"path = {_text(path)}"]
            continue
        block = rows.blocks[modality].set_axis(index, axis=0)[rows.present[modality]]
        safe = _apart(modality.replace(" ", "_"), written)
        of_events = records is not None and modality in records
        file = f"modality-{safe}.{'parquet' if of_events or kinds[modality] == 'omics' else 'csv'}"
        if records is not None and of_events:
            events = records[modality].frame()
            events.insert(0, key, index.to_numpy()[events.pop("row")])
            events.to_parquet(folder / file, index=False)
        elif file.endswith(".parquet"):
            block.astype(np.float32).reset_index().to_parquet(folder / file, index=False)
        else:
            write_text(folder / file, _whole(block).to_csv())
        lines += [f"[modalities.{_text(modality)}]", f"kind = {_text(kinds[modality])}", f"table = {_text(file)}"]
        if words := rows.declared.get(modality):
            lines.append(f"categories = {_text(list(words))}")
        if groups and modality in groups:
            sets = "".join("\t".join([group, "", *members]) + "\n" for group, members in groups[modality].items())
            write_text(folder / f"groups-{safe}.gmt", sets)
            lines.append(f"groups = {_text(f'groups-{safe}.gmt')}")
        if unit_costs and modality in unit_costs:
            lines.append(f"cost = {_text(unit_costs[modality])}")
    if labels and "fold" in labels:
        write_text(folder / "folds.csv", pd.DataFrame({"fold": labels["fold"]}, index=index).to_csv())
        lines += ["[folds]", 'table = "folds.csv"']
    lines += ["[generated]", f"generator = {_text(mark.generator)}", f"seed = {mark.seed}"]
    lines += [f"fitted_on = {_text(mark.fitted_on)}", f"patients = {_text(mark.patients)}"]
    lines += [f"accepted = {_text(mark.accepted)}"] if mark.accepted else []
    lines += [f"epsilon = {mark.epsilon!r}", f"delta = {mark.delta!r}"] if mark.epsilon else []
    if mark.modalities:
        said = ", ".join(f"{_text(name)} = {number}" for name, number in mark.modalities.items())
        lines.append(f"modalities = {{{said}}}")
    write_text(folder / MANIFEST, "\n".join(lines) + "\n")
    return places


def synthetic_ids(n: int) -> list[str]:
    """Identifiers of patients who never were."""
    width = len(str(n))
    return [f"synthetic-{row + 1:0{width}d}" for row in range(n)]


def _apart(name: str, written: set[str]) -> str:
    """The name, numbered where a file system that knows no case would take it for one that is written already."""
    free, number = name, 1
    while free.casefold() in written:
        number += 1
        free = f"{name}-{number}"
    written.add(free.casefold())
    return free


def _text(value: Any) -> str:
    """A value in TOML, whose strings, lists, numbers and truths are written as JSON writes them."""
    return json.dumps(value, ensure_ascii=False)


def _whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns whose numbers are all whole, written without a point."""
    whole = {
        name: "Int64"
        for name, column in frame.items()
        if column.dtype.kind == "f" and column.notna().any() and (column.dropna() % 1 == 0).all()
        and column.abs().max() < 2**53
    }  # fmt: skip
    return frame.astype(whole)
