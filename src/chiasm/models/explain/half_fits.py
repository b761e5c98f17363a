"""Whether coefficients can be leaned on: the recipe is fitted again to each of two halves of the patients.

A coefficient stands in the model, and no shuffling of patients says how well it is known. Two models of two halves, of
other patients each, have the same order of columns only where the order is that of the columns and not of the sample.
Each has half of the patients, so that the agreement of two models of all of them would be higher.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.cohort.units import alone_where_empty
from chiasm.compute.isolation import seeded
from chiasm.errors import hush_findings
from chiasm.fitting.model import FittedModel
from chiasm.models.explain.column_checks import FITS, Row, why_none
from chiasm.models.explain.column_table import COEFFICIENT, linear_rows
from chiasm.models.explain.linear_columns import linear_columns
from chiasm.models.explain.soundness import rank_agreement
from chiasm.models.same_target import require_same_target
from chiasm.protocols import Model
from chiasm.recipes import registry

Progress = Callable[[str, int, int], None] | None
WHAT = "fits of halves"


def half_fits(
    model: Model, cohort: Cohort, seed: int, progress: Progress = None
) -> tuple[tuple[Model, Model] | None, str]:
    """Fit the recipe of a model to each of two random halves of the patients; without them why there are none.

    Patients who are kept together are on one side.
    """
    if not isinstance(model, FittedModel):
        return None, "the model does not say its recipe"
    try:
        recipe = registry.named(model.recipe)
    except ValueError:
        return None, f"its recipe '{model.recipe}' is in no catalogue, and cannot be fitted again"
    try:
        target, outcome = require_same_target(model, cohort)
        found = []
        for done, rows in enumerate(halves_of(cohort, outcome.known, seed)):
            if progress is not None:
                progress(WHAT, done, 2)
            own = cohort.with_target(target, outcome).subset(rows)
            with warnings.catch_warnings():
                hush_findings()
                recipe.supports(own)
                found.append(recipe.fit(own, seed=seed))
    except (Unsupported, CohortError) as fault:
        return None, str(fault).partition("\n")[0]
    except (ArithmeticError, ValueError, RuntimeError) as fault:  # of a solver, whose words may hold values
        return None, f"its recipe cannot be fitted to half of these patients ({type(fault).__name__})"
    return (found[0], found[1]), ""


def halves_of(cohort: Cohort, known: NDArray[np.bool_], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of two random halves of the patients of known outcome, whole groups each."""
    rows = np.flatnonzero(known)
    units = rows if cohort.group is None else np.unique(alone_where_empty(cohort.group), return_inverse=True)[1][rows]
    names = np.random.default_rng(seeded(seed, FITS)).permutation(np.unique(units))
    first = np.isin(units, names[: len(names) // 2])
    return rows[first], rows[~first]


def agreement_of_fits(
    fits: tuple[Model, Model], cohort: Cohort, answers: Sequence[str], columns: dict[str, tuple[str, ...]],
    only: Sequence[str], seed: int,
) -> Iterator[Row]:  # fmt: skip
    """Compare the order of coefficients, by one standard deviation of all patients, between two models."""
    sizes = []
    for own in fits:
        rows = linear_rows(linear_columns(own, cohort), answers, columns, only)
        sizes.append(rows.groupby(["modality", "what", "name"], sort=False)["size"].mean())
    both = pd.concat(sizes, axis=1, join="inner").set_axis(["first", "second"], axis=1).reset_index()
    for (modality, what), rows in both.groupby(["modality", "what"], sort=False):
        pair = rows["first"].to_numpy()[None], rows["second"].to_numpy()[None]
        agreed = rank_agreement(*pair, seed)
        note = "" if np.isfinite(agreed[0]) else why_none(len(rows), np.stack(pair))
        yield FITS, modality, what, COEFFICIENT, len(rows), *agreed, note
