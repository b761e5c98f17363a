"""Write a cohort whose patients are items of groups, each with a label: crops of images, samples of subjects."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from chiasm.artifact import write_text

MANIFEST = """[patients]
table = "{items}.csv"
id = "{id}"
{group}# no fold parts the {items} of one {of}
[target]
kind = "{kind}"
column = "label"
"""


def write_items(folder: Path, table: pd.DataFrame, items: str, of: str, kind: str, modality: str) -> None:
    """Write `cohort.toml` and the table of a cohort, whose modality is there already.

    Args:
        folder: to write into.
        table: a row an item: its identifier first, its `label`, and the group that it is of.
        items: what an item is called, in the plural: the name of the table.
        of: column of the groups.
        kind: of the target.
        modality: its part of the manifest.
    """
    group = f'group = "{of}"'.ljust(33)
    write_text(folder / f"{items}.csv", table.to_csv(index=False))
    said = MANIFEST.format(items=items, id=table.columns[0], group=group, of=of, kind=kind)
    write_text(folder / "cohort.toml", said + modality)
