"""A cohort where a function of the library asks for one: a cohort, or the path of its manifest."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from chiasm.cohort.annotated_block import is_annotated, is_several
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.manifest import open_cohort
from chiasm.errors import CohortError, error

Given = Cohort | str | os.PathLike[str]
"""What is taken for a cohort."""


def as_cohort(given: Any) -> Cohort:
    """Return a cohort as it is, and open a manifest that is named by its path.

    Raises:
        CohortError: this is something else, such as a frame; the message says how to make a cohort of it.
    """
    if isinstance(given, Cohort):
        return given
    if isinstance(given, str | os.PathLike):
        return open_cohort(given)
    what = f"this is no cohort, but a {type(given).__name__}"
    fix = "give what chiasm.open_cohort or chiasm.cohort_from_frames returns, or the path of a manifest"
    if is_several(given):
        what, fix = "this is a MuData, and no cohort yet", "make it one by chiasm.cohort_from_mudata(mdata, target)"
    elif is_annotated(given):
        what = "this is an AnnData, one modality, and no cohort yet"
        fix = 'make it one by chiasm.cohort_from_frames(adata.obs, {"rna": adata}, target)'
    elif isinstance(given, pd.DataFrame):
        what = "this is a frame, and no cohort yet"
        fix = 'make it one by chiasm.cohort_from_frames(patients, {"clinical": frame}, target)'
    raise CohortError([error(what, fix, path="cohort", finding="unfit-kind")])
