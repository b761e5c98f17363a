"""What a patient lacks, filled in from what he has, within a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.cohort.sources import ColumnSource
from chiasm.generation.generator import Expects
from chiasm.generation.rows import Rows, inputs_of


def lacking(cohort: Cohort, names: Sequence[str], filled: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Modality of `filled` to `(B,)` bool: who lacks it, and has one of `names` from which it can be told."""
    none = np.zeros(len(cohort), dtype=bool)
    has = {
        name: cohort.present[:, cohort.modalities.index(name)] if name in cohort.modalities else none for name in names
    }
    some = np.logical_or.reduce([none, *has.values()])
    return {name: some & ~has[name] for name in filled}


def filled_in(
    cohort: Cohort,
    generator: Expects,
    kinds: dict[str, str],
    columns: dict[str, tuple[str, ...]],
    filled: Sequence[str],
) -> Cohort:
    """Return the same patients, who have of each modality of `filled` what is expected given what else they have.

    What a patient has stays as it is; who has none of the modalities of the generator lacks them afterwards too.

    Args:
        kinds: modality of the generator to its kind, `table` or `omics`.
        columns: modality to its columns at the fit, in order.
        filled: the modalities that are filled in.
    """
    who = lacking(cohort, list(kinds), filled)
    any_of = np.flatnonzero(np.logical_or.reduce([np.zeros(len(cohort), dtype=bool), *who.values()]))
    if not len(any_of):
        return cohort
    made = generator.expected(inputs_of(cohort.subset(any_of), list(kinds)))
    for name, own in who.items():
        if own.any():
            cohort = _with(cohort, name, kinds[name], made, own, any_of, columns[name])
    return cohort


def _with(
    cohort: Cohort,
    name: str,
    kind: str,
    made: Rows,
    who: NDArray[np.bool_],
    rows: NDArray[np.int_],
    columns: tuple[str, ...],
) -> Cohort:
    """Set what is expected of one modality beside what patients have of it."""
    drawn = made.blocks[name].set_axis(rows, axis=0).loc[np.flatnonzero(who)]
    parts, here = [drawn.reindex(columns=list(columns))], np.zeros(0, dtype=int)
    if name in cohort.modalities:
        here = cohort.rows_of(name)
        own = cohort.raw(name).set_axis(here, axis=0)
        parts = [own, drawn.reindex(columns=own.columns)] if len(here) else parts
    whole = pd.concat([part.astype({c: "object" for c in part.columns if part[c].isna().all()}) for part in parts])
    whole = whole.sort_index()
    places = np.full(len(cohort), -1)
    places[whole.index.to_numpy()] = np.arange(len(whole))
    numbers = [c for c in whole.columns if c not in made.blocks[name] or made.blocks[name][c].dtype.kind == "f"]
    whole = whole.astype({c: float for c in numbers if whole[c].dtype != object or whole[c].isna().all()})
    source = ColumnSource(name, kind, whole.reset_index(drop=True), list(whole.columns), made.declared.get(name, ()))
    return replace(
        cohort,
        kinds={**cohort.kinds, name: kind},
        sources={**cohort.sources, name: source},
        source_rows={**cohort.source_rows, name: places},
    )
