"""Patients to predict in whatever form a notebook has them: frames, AnnData, MuData, or one patient as a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort.annotated import cohort_from_mudata
from chiasm.cohort.annotated_block import block_of, is_annotated, is_several
from chiasm.cohort.cells import as_text
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.cohort.kinds import CELL, FILES, TABLE, has_form
from chiasm.errors import CohortError, count, error, nearest
from chiasm.targets.cells import written

BLOCKS = (pd.DataFrame, pd.Series, Mapping)
ONE = "patient"
"""Identifier of a patient who is given alone."""


def handed(given: Any, kinds: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> Cohort:
    """Return a cohort of what was given to predict, where it can mean one thing only.

    A cohort as it is; a MuData; a mapping of modalities to frames, AnnData or `{id: path or array}`, whose patients are
    those that any of them names; one patient as a mapping of modalities to `{column: value}`, a series by column, a
    path, an array or a text; a frame or AnnData by itself for a model that reads one table.

    Args:
        kinds: modality to kind, as the model reads them.
        columns: modality to the columns of its table or omics block.

    Raises:
        CohortError: it can mean nothing or several things; the message says how to write what is meant.
    """
    if isinstance(given, Cohort):
        return given
    if is_several(given):
        own = {name: kind for name, kind in kinds.items() if name in given.mod and has_form(kind, TABLE)}
        return cohort_from_mudata(given, kinds=own, name="handed")
    if isinstance(given, pd.DataFrame) or is_annotated(given):
        (only, *others) = [name for name, kind in kinds.items() if has_form(kind, TABLE)] or [""]
        if others or not only or len(kinds) > 1:
            what = "an AnnData" if is_annotated(given) else "a frame"
            raise refused(f"{what} is one modality, and the model reads {listed(kinds)}", kinds)
        given = {only: given}
    if not isinstance(given, Mapping):
        raise refused(f"{type(given).__name__} is no cohort, and no patients in another form", kinds)
    strange = [str(name) for name in given if name not in kinds]
    if strange:  # what is like no modality may be a patient, and is not quoted
        like = {name: nearest(name, list(kinds)) for name in strange}
        said = next((f" '{name}', but {listed(kinds)}: did you mean '{own}'?" for name, own in like.items() if own), "")
        said = said or f" that is called so ({count(len(strange), 'name')} not known), but {listed(kinds)}"
        raise refused(f"the model reads no modality{said}", kinds)
    there = {name: own for name, own in given.items() if own is not None}
    if not there:
        raise refused(f"no modality of {listed(kinds)} is given", kinds)
    alone = {name: one_patient(own, kinds[name], columns.get(name, ())) for name, own in there.items()}
    if any(own is None for own in alone.values()):
        if not all(own is None for own in alone.values()):
            names = [name for name, own in alone.items() if own is not None]
            raise refused(f"'{names[0]}' is of one patient, and other modalities are of several", kinds)
        blocks = {name: block_of(own, name) if is_annotated(own) else own for name, own in there.items()}
    else:
        blocks = {name: own for name, own in alone.items() if own is not None}
    unfit = {name: type(own).__name__ for name, own in blocks.items() if not isinstance(own, BLOCKS)}
    for name, what in unfit.items():
        raise refused(f"'{name}' is a {what}, and nothing that a cohort has of a modality", kinds)
    ids = dict.fromkeys(key for own in blocks.values() for key in keys_of(own))
    return cohort_from_frames(
        pd.DataFrame(index=list(ids)), blocks, kinds={name: kinds[name] for name in blocks}, name="handed"
    )


def one_patient(own: Any, kind: str, columns: Sequence[str]) -> Any:
    """Return what one patient has of a modality as a block of one row; None if it is of several patients."""
    if has_form(kind, TABLE):
        if isinstance(own, pd.Series) and set(map(str, own.index)) & set(columns):
            own = own.to_dict()
        return pd.DataFrame([dict(own)], index=[ONE]) if isinstance(own, Mapping) else None
    if has_form(kind, CELL):
        return pd.DataFrame({"value": [own]}, index=[ONE]) if isinstance(own, str) else None
    if has_form(kind, FILES):
        whole = isinstance(own, str | Path) or (kind == "bag" and isinstance(own, np.ndarray))
        return {ONE: own} if whole else None
    return None


def keys_of(own: Any) -> list[str]:
    """Identifiers of the patients of a block, as a cohort reads them."""
    keys = own.index if isinstance(own, pd.DataFrame | pd.Series) else [written(key) for key in own]
    found: list[str] = as_text(pd.Index(keys, dtype=object)).tolist()
    return found


def listed(kinds: Mapping[str, str]) -> str:
    """Names of the modalities that a model reads."""
    return ", ".join(f"'{name}'" for name in kinds)


def refused(what: str, kinds: Mapping[str, str]) -> CohortError:
    """Error for what cannot be read as patients."""
    first = next((name for name, kind in kinds.items() if has_form(kind, TABLE)), next(iter(kinds), "table"))
    one, several = (
        ('{"column": value}', "frame") if has_form(kinds.get(first, TABLE), TABLE) else ("path", "{id: path}")
    )
    fix = f'give {{"{first}": {several}}} for several patients, or one patient as {{"{first}": {one}}}'
    return CohortError([error(what, fix, path="patients", finding="unfit-kind")])
