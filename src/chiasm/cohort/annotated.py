"""Build a cohort from a MuData object in memory: its observations are the patients, its modalities the omics blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from chiasm.cohort.annotated_block import block_of, is_annotated, is_several
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.errors import CohortError, Problem, error
from chiasm.targets import Target


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
    return cohort_from_frames(patients, blocks, target, group=group, site=site, kinds=kind_of, name=name)
