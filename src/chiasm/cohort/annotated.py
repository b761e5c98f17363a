"""Build a cohort from a MuData object in memory: its observations are the patients, its modalities the omics blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.cohort.annotated_block import block_of, is_annotated, is_several
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.errors import CohortError, Problem, error, nearest
from chiasm.targets import Target


def cohort_from_mudata(
    mdata: Any,
    target: Target | None = None,
    *,
    group: str | None = None,
    site: str | None = None,
    folds: str | None = None,
    kinds: Mapping[str, str] | None = None,
    groups: Mapping[str, Mapping[str, list[str]] | Path | str] | None = None,
    accept: Mapping[str, str] | None = None,
    tables: Mapping[str, Sequence[str]] | None = None,
    subgroups: Sequence[str] | Mapping[str, Sequence[float]] = (),
    name: str = "cohort",
) -> Cohort:
    """Build a cohort whose patients are the observations of a MuData object, with the same modalities.

    `mdata.obs` holds the target's columns and those named by `group`, `site` and `folds`. A modality is the X of its
    AnnData, one column per feature, of kind `omics` unless `kinds` says `table`. A patient lacks a modality if not
    among its observations, or if the whole row is NaN. Layers, raw and obsm are not read.

    Args:
        groups: gene sets of a modality, name -> features or the path of a GMT file.
        accept: accepted findings of the check, `finding` or `finding:modality` -> reason.
        tables: modalities of kind `table` made of columns of `mdata.obs`, as in `{"clinical": ["age", "grade"]}`.
        subgroups: columns of `mdata.obs` by whose levels a model is looked at, as for `cohort_from_frames`.

    Raises:
        CohortError: this is no MuData, or it cannot be read as a cohort; the message has every reason.
    """
    if not is_several(mdata):
        what = "this is no MuData"
        if is_annotated(mdata):
            what = "this is an AnnData, one modality, and a MuData has several"
        fix = 'give it as mudata.MuData({"rna": adata}), with the target in its obs'
        raise CohortError([error(what, fix, path="patients", finding="unfit-kind")])
    problems: list[Problem] = []
    blocks: dict[str, pd.DataFrame] = {}
    for modality, annotated in mdata.mod.items():
        try:
            blocks[modality] = block_of(annotated, modality)
        except CohortError as fault:
            problems += fault.problems
    if problems:
        raise CohortError(problems)
    patients = pd.DataFrame(mdata.obs).copy()
    for column in patients.columns:
        if isinstance(patients[column].dtype, pd.CategoricalDtype):
            patients[column] = patients[column].astype(object)
    kind_of = {**dict.fromkeys(blocks, "omics"), **(kinds or {})}
    if tables is not None and not isinstance(tables, Mapping):
        fix = "give a dictionary of lists of columns of mdata.obs, by the name of the modality"
        raise CohortError([error("tables is no dictionary", fix, path="tables", finding="unfit-kind")])
    for modality, columns in (tables or {}).items():
        if isinstance(columns, str) or not len(columns):
            what = "is no list of columns of mdata.obs" if isinstance(columns, str) else "is a list of no column"
            problems.append(error(what, "give a list of one name or more", modality=modality, finding="unfit-kind"))
            continue
        lacking = [column for column in columns if column not in patients.columns]
        if modality in blocks:
            what = "is a modality of the MuData, and named in tables too"
            problems.append(error(what, "give it another name", modality=modality, finding="modality-name"))
        elif lacking:
            like = nearest(str(lacking[0]), map(str, patients.columns))
            fix = f"did you mean '{like}'?" if like else "name columns of mdata.obs"
            what = f"no such column '{lacking[0]}' in mdata.obs"
            problems.append(error(what, fix, modality=modality, finding="missing-column"))
        else:
            blocks[modality] = patients[list(columns)]
    if problems:
        raise CohortError(problems)
    return cohort_from_frames(
        patients,
        blocks,
        target,
        group=group,
        site=site,
        folds=folds,
        kinds=kind_of,
        groups=groups,
        accept=accept,
        subgroups=subgroups,
        name=name,
    )
