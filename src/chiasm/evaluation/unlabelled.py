"""Patients without an outcome: read beside a fold's training patients by recipes that learn from them, never scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.cohort.splits import NEVER_TESTED
from chiasm.evaluation.protocol import Split
from chiasm.protocols import ReadsUnlabelled


@dataclass(frozen=True, repr=False)
class Unlabelled:
    """The patients of a trial among all who have a modality.

    Args:
        whole: those of the trial and those whose outcome is not known, with the groups that the folds keep on one side.
        places: `(n,)` rows in it of the trial's patients.
    """

    whole: Cohort
    places: NDArray[np.int_]

    @property
    def count(self) -> int:
        """Number of patients without an outcome."""
        return len(self.whole) - len(self.places)

    def beside(self, split: Split, train: Cohort) -> Cohort:
        """Return the training patients of a split and, of those without an outcome, all that stand on their side.

        Whoever shares a group with a patient who is not trained on stands on the other side, and so does whoever the
        manifest puts in a fold that has no training patient.

        Args:
            train: the training patients, whose target has its horizons.
        """
        whole, own = self.whole, self.places[split.train]
        mine = np.zeros(len(whole), bool)
        mine[self.places] = True
        allowed = ~mine
        if whole.group is not None:
            others = whole.group[np.setdiff1d(self.places, own)]
            allowed &= (whole.group == "") | ~np.isin(whole.group, others)
        if whole.fold is not None:
            allowed &= np.isin(whole.fold, [*whole.fold[own], NEVER_TESTED])
        both = whole.subset(np.sort(np.concatenate([own, np.flatnonzero(allowed)])))
        assert train.target is not None and both.outcome is not None  # a training set has a target
        return both.with_target(train.target, both.outcome)


def reads_unlabelled(recipe: Any) -> bool:
    """Tell whether a recipe learns from patients whose outcome is not known too."""
    return isinstance(recipe, ReadsUnlabelled) and recipe.reads_unlabelled


def unlabelled_of(everyone: Cohort, recipes: Sequence[Any], together: Callable[[Cohort], Cohort]) -> Unlabelled | None:
    """Return who may be read beside the training patients; None where no recipe reads them, or there is nobody.

    Args:
        everyone: all patients of the cohort.
        recipes: of the trial.
        together: sets the groups of a cohort to what the folds keep on one side.
    """
    if everyone.outcome is None or not any(map(reads_unlabelled, recipes)):
        return None
    there: NDArray[np.bool_] = np.asarray(everyone.present.any(1))
    whole, known = everyone.subset(there), everyone.outcome.known[there]
    return None if known.all() else Unlabelled(together(whole), np.flatnonzero(known))
