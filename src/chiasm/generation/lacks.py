"""What patients lack, as columns of 0 and 1 among the others, and patients of drawn columns with what they lack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.generation.rows import Rows

LACKS = "\0lacks\0"  # before the name of a column, whether its cell is missing; no column of a table is called so
PRESENT = "[present]"  # block of who has which other block; no modality can be called so
RARELY = 0.01  # share of missing cells up to which a column has no latent of its own for them


def with_lacking(
    frame: pd.DataFrame, present: NDArray[np.bool_], columns: tuple[str, ...] | None = None
) -> pd.DataFrame:
    """Columns with one of 0 and 1 for the cells that each lacks; `columns` selects.

    Of who lacks the block its cells are not known, and neither is which of them would be missing.
    """
    missing = frame.isna().to_numpy() & present[:, None]
    seen = max(1, int(present.sum()))
    added = {
        f"{LACKS}{column}": np.where(present, missing[:, k].astype(float), np.nan)
        for k, column in enumerate(map(str, frame.columns))
        if (missing[:, k].sum() / seen > RARELY if columns is None else f"{LACKS}{column}" in columns)
    }
    whole = pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)
    return whole if columns is None else whole.reindex(columns=list(columns))


def who_has(rows: Rows, names: tuple[str, ...]) -> pd.DataFrame:
    """`(n, len(names))` columns of 0 and 1: who has each of these blocks; nobody has one that is not there."""
    return pd.DataFrame(
        {name: rows.present[name].astype(float) if name in rows.present else 0.0 for name in names},
        index=range(len(rows)),
    )


def assembled(
    values: Mapping[str, pd.DataFrame],
    columns: Mapping[str, tuple[str, ...]],
    declared: dict[str, tuple[str, ...]],
    given: Rows | None,
) -> Rows:
    """Patients of drawn columns, in which every cell has a value.

    Args:
        values: block to its columns, with those of the cells that each lacks, and `PRESENT`.
        columns: block to its own columns, in order.
        declared: columns of each block that are words although they look like numbers.
        given: patients whose present cells stay as they are, and of whom nothing is missing; None: who lacks a block,
            and which cells are missing, is what those columns say.
    """
    who, blocks, present = values[PRESENT], {}, {}
    for name, whole in values.items():
        if name == PRESENT:
            continue
        frame = whole[list(columns[name])].copy()
        if given is None:
            there = who[name].to_numpy() == 1.0 if name in who else np.ones(len(whole), dtype=bool)
            for column in (own for own in whole.columns if own.startswith(LACKS)):
                frame.loc[whole[column].to_numpy() == 1.0, column.removeprefix(LACKS)] = np.nan
            frame.loc[~there] = np.nan
            present[name] = there & frame.notna().any(axis=1).to_numpy()
        else:
            known = given.blocks[name].reindex(columns=frame.columns) if name in given.blocks else None
            frame = frame if known is None else known.where(known.notna(), frame).astype(frame.dtypes.to_dict())
            present[name] = np.ones(len(whole), dtype=bool)
        blocks[name] = frame
    return Rows(blocks, present, declared)
