"""What a recipe loses at a site that it has not learned from, on the same pairs of patients.

Each patient is predicted by models of the random folds, which have seen others of the site, and by models from whose
training the site was left out (internal-external validation, Steyerberg and Harrell 2016,
doi:10.1016/j.jclinepi.2015.04.005):

    change = M(site left out) - M(random folds),    M the primary metric within the sites of each random fold

so that both sides have the same patients and the same pairs, and neither gains by what differs between sites. Of more
than ten sites small ones are left out together. Training sets differ in size too: one without a large site is smaller
than that of a fold, and some of a loss may be owed to that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.evaluation.contrasts import Values, within_values
from chiasm.evaluation.folded import Folded
from chiasm.evaluation.protocol import Split
from chiasm.evaluation.within import Strata

MOST = 10


def site_splits(cohort: Cohort) -> list[Split]:
    """Leave each site out of training in turn, of more than ten the small ones together; none with fewer than two.

    A patient without a site is always trained on, and one of a group that is tested never.
    """
    if cohort.site is None:
        return []
    names, sizes = np.unique(cohort.site[cohort.site != ""], return_counts=True)
    if len(names) < 2:
        return []
    parts: list[list[str]] = [[] for _ in range(min(MOST, len(names)))]
    filled = np.zeros(len(parts))
    for place in np.argsort(-sizes, kind="stable"):
        least = int(filled.argmin())
        parts[least].append(str(names[place]))
        filled[least] += sizes[place]
    found = []
    for number, part in enumerate(parts):
        test = np.isin(cohort.site, part)
        train = ~test if cohort.group is None else ~test & ~_beside(cohort.group, test)
        found.append(Split(0, f"site {number + 1}", None, np.flatnonzero(train), np.flatnonzero(test)))
    return found


def _beside(group: NDArray[np.str_], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray((group != "") & np.isin(group, np.unique(group[test])))


def held_out_frames(
    known: Folded, plain: Sequence[pd.DataFrame], apart: Sequence[pd.DataFrame]
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Predictions of each random fold's patients by its own models and by those that left their site out.

    Only the columns by which patients are ranked: horizons differ between training sets. Who has no site keeps the
    first prediction.
    """
    columns = list(known.target.answers(known.target.names))
    others = pd.concat(list(apart))[columns]
    ours = [frame[columns] for frame in plain]
    theirs = [others.reindex(frame.index).fillna(frame) for frame in ours]
    return ours, theirs


def within_sites(known: Folded, frames: Sequence[pd.DataFrame]) -> Values:
    """Primary metric within the sites of each random fold."""
    assert known.cohort.site is not None
    strata: list[Strata] = []
    width = max(1, len(known.target.answers(known.target.names)))
    for fold in known.folds:
        own = known.cohort.site[fold.patients]
        _, number = np.unique(own, return_inverse=True)
        strata.append(np.tile(np.where(own == "", -1, number)[:, None], (1, width)))
    return within_values(known.target.kind, known.folds, frames, known.target.names, known.draws, strata)
