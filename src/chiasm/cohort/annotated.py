"""Build a cohort from a MuData object in memory: its observations are the patients, its modalities the omics blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort.annotated_file import MOST_VALUES
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.cohort.targets import Target
from chiasm.errors import CohortError, Problem, count, error


def cohort_from_mudata(
    mdata: Any,
    target: Target | None = None,
    *,
    group: str | None = None,
    site: str | None = None,
    kinds: Mapping[str, str] | None = None,
    name: str = "cohort",
) -> Cohort:
    """Build a cohort whose patients are the observations of a MuData object, with the same modalities.

    `mdata.obs` holds the target's columns and those named by `group` and `site`. A modality is the X of its AnnData,
    one column per feature, of kind `omics` unless `kinds` says `table`. A patient lacks a modality if not among its
    observations, or if the whole row is NaN. Layers, raw and obsm are not read. Raises CohortError.
    """
    if not isinstance(getattr(mdata, "mod", None), Mapping):
        what = "this is no MuData"
        if hasattr(mdata, "obs") and hasattr(mdata, "var"):
            what = "this is an AnnData, one modality, and a MuData has several"
        fix = 'give it as mudata.MuData({"rna": adata}), with the target in its obs'
        raise CohortError([error(what, fix, path="patients", finding="unfit-kind")])
    problems: list[Problem] = []
    blocks: dict[str, pd.DataFrame] = {}
    for modality, annotated in mdata.mod.items():
        fault = _fault(annotated)
        if fault is not None:
            problems.append(error(*fault, modality=modality, finding="broken-block"))
            continue
        blocks[modality] = _block(annotated)
    if problems:
        raise CohortError(problems)
    patients = pd.DataFrame(mdata.obs).copy()
    for column in patients.columns:
        if isinstance(patients[column].dtype, pd.CategoricalDtype):
            patients[column] = patients[column].astype(object)
    kind_of = {**dict.fromkeys(blocks, "omics"), **(kinds or {})}
    return cohort_from_frames(patients, blocks, target, group=group, site=site, kinds=kind_of, name=name)


def _fault(annotated: Any) -> tuple[str, str] | None:
    """Return why an AnnData cannot be read as a block, and the fix; None if it can."""
    rows, columns = annotated.shape
    if annotated.X is None:
        return "the modality has no X", "put its values into X: layers and raw are not read"
    if rows * columns > MOST_VALUES:
        return f"X has {rows * columns:,} values, over the limit of {MOST_VALUES:,}", "keep fewer features"
    repeated = int(pd.Index(annotated.var_names).duplicated().sum())
    if repeated:
        return f"{count(repeated, 'feature')} by a name that stands twice", "call var_names_make_unique"
    if annotated.X.dtype.kind not in "fiub":
        return "X does not hold numbers", "write numbers into X"
    return None


def _block(annotated: Any) -> pd.DataFrame:
    values = annotated.X[:] if getattr(annotated, "isbacked", False) else annotated.X
    dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    columns = [str(feature) for feature in annotated.var_names]
    return pd.DataFrame(dense, index=annotated.obs_names.astype(str), columns=columns)
