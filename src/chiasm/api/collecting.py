"""Public function that says whether a modality is worth collecting for patients who lack it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.api.encoding import engine_of, made_ready
from chiasm.cohort import CohortError, Unsupported
from chiasm.cohort.costs import unfit_prices
from chiasm.cohort.opened import Given, as_cohort
from chiasm.compute.pool import default_jobs
from chiasm.encoding.preparing import PreparedCohort
from chiasm.evaluation import Protocol
from chiasm.evaluation.collecting import gains
from chiasm.evaluation.prices import require_worth, weighed
from chiasm.evaluation.run import usable
from chiasm.progress import followed
from chiasm.recipes import registry
from chiasm.report.drawing import Picture
from chiasm.report.written import write_picture

RECIPE = "stacked-fusion"


@dataclass(frozen=True, repr=False)
class Advice:
    """Whether each modality is worth collecting.

    Attributes:
        table: one row for what patients have and what would be added; the columns stand in `evaluation.prices.weighed`.
        recipe: what predicted.
        folds: number of test folds.
        worth: as it was given.
        leaks: findings of the check that rule out a plain answer.
    """

    table: pd.DataFrame
    recipe: str
    folds: int
    worth: float | None
    leaks: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Advice on {len(self.table):,} questions"

    def plot(self, path: Path | str) -> Path:
        """Write the picture of the net gains, as .png, .svg or .pdf.

        Raises:
            Unsupported: no gain could be estimated, or none of those has a price.
            ValueError: another ending.
        """
        from chiasm.report.collecting import draw_net_gain

        def drawn() -> Picture:
            found = draw_net_gain(self.table, self.worth)
            if found is None:
                what = "no gain that could be estimated has a price: give the modality a cost in the manifest"
                raise Unsupported(what)
            return found

        return write_picture(path, drawn)


def collect(
    cohort: Given | PreparedCohort,
    *,
    worth: float | None = None,
    cost: Mapping[str, float] | None = None,
    recipe: str | Any = RECIPE,
    protocol: Protocol | None = None,
    seed: int = 0,
    jobs: int | None = None,
    engine: str = "local",
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Advice:
    """Say what each modality would add for patients who lack it, and whether that is worth its price.

    The definitions stand in `chiasm.evaluation.collecting`. Nothing is trained that joins the modalities beyond what
    the recipe does; the default learns each alone and weighs their predictions.

    Args:
        cohort: a cohort with a target, or the path of a manifest, which is checked and encoded first, or what `prepare`
            made of one.
        worth: what it is worth, in the currency of the prices, to know one patient's outcome for certain; None gives
            the break-even alone.
        cost: what a modality costs a patient, by name; it goes before `cost` of the manifest.
        recipe: one that predicts any subset of the modalities, by name with its options.
        protocol: folds and repeats, as in `evaluate`.
        seed: of the folds, the fits and the bootstrap.
        jobs, engine, device, progress: as in `evaluate`.

    Raises:
        CohortError: `check_cohort` finds errors, or a price is no price.
        Unsupported: no target, one modality, patterns of too many sets, or the recipe does not support the cohort.
        ValueError: `worth` is not above zero.
    """
    require_worth(worth)
    known = cohort.cohort if isinstance(cohort, PreparedCohort) else as_cohort(cohort)
    if problems := unfit_prices(cost or {}, known.modalities):
        raise CohortError(problems)
    ready = made_ready(
        cohort if isinstance(cohort, PreparedCohort) else known, [recipe], jobs=jobs, engine=engine, progress=progress
    )
    used = ready.cohort
    (chosen,) = registry.resolve([recipe], usable(used)[0])
    with followed("training sets", progress) as told:
        found, folds = gains(
            used, chosen, protocol or Protocol(), seed=seed, jobs=jobs or default_jobs(), device=device,
            execute=engine_of(engine), progress=told,
        )  # fmt: skip
    leaks = tuple(finding.words for finding in ready.findings if finding.leak)
    table = weighed(found, {**used.costs, **(cost or {})}, worth, leaks=bool(leaks))
    return Advice(table, chosen.name, folds, worth, leaks)
