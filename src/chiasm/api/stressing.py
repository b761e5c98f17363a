"""Public function that puts faults into a cohort on purpose, and says what recipes lose by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.api.encoding import engine_of, made_ready
from chiasm.cohort import Unsupported
from chiasm.cohort.accepted import Finding
from chiasm.cohort.opened import Given
from chiasm.compute.pool import default_jobs
from chiasm.encoding.preparing import PreparedCohort
from chiasm.evaluation import Protocol
from chiasm.evaluation.run import usable
from chiasm.evaluation.stress.attacks import attack_table, not_attacked
from chiasm.evaluation.stress.faults import SITES, faults_of, require_faults
from chiasm.evaluation.stress.stress import NONE, stressed
from chiasm.metrics.table import METRICS, primary_label
from chiasm.progress import followed
from chiasm.recipes import registry
from chiasm.report.written import write_page, write_picture
from chiasm.specs import split_specs

STRESSED = ("late-fusion", "stacked-fusion", "early-fusion")


@dataclass(frozen=True, repr=False)
class Stress:
    """What recipes lose by faults.

    Attributes:
        table: one row a recipe and fault; the columns stand in `chiasm.evaluation.stress.stress.stressed`.
        metric: label of the primary metric.
        findings: what the check found.
        leaks: those that may give the outcome away.
        chance: the primary metric where nothing is known.
        not_attacked: recipes that were to be attacked and could not be, with why.
    """

    table: pd.DataFrame
    metric: str
    findings: tuple[str, ...]
    leaks: tuple[str, ...] = ()
    chance: float = 0.0
    not_attacked: Mapping[str, str] = field(default_factory=dict)

    @property
    def attacks(self) -> pd.DataFrame:
        """One row a recipe, attack, modality and radius, beside noise of the same size; empty without attacks.

        The columns stand in `chiasm.evaluation.stress.attacks`.
        """
        return attack_table(self.table, self.chance)

    def __repr__(self) -> str:
        return f"Stress of {self.table['recipe'].nunique():,} recipes"

    def plot(self, path: Path | str) -> Path:
        """Write the picture: the metric against the level of each fault, as .png, .svg or .pdf.

        Raises:
            Unsupported: no fault was put in.
            ValueError: another ending.
        """
        from chiasm.report.stress import draw_stress

        if self.table["fault"].isin((NONE.kind, SITES)).all():
            raise Unsupported("no fault was put in: there is nothing to draw")
        return write_picture(path, lambda: draw_stress(self.table, self.metric))

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file: the picture, every level of each fault, sites and attacks.

        Raises:
            ValueError: another ending than .html.
        """
        from chiasm.report.stress_page import render_stress

        parts = self.table, self.attacks, self.metric
        return write_page(path, lambda: render_stress(*parts, not_attacked=self.not_attacked, leaks=self.leaks))


def stress(
    cohort: Given | PreparedCohort,
    recipes: str | Iterable[str | Any] = STRESSED,
    *,
    faults: str | Iterable[str] | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    jobs: int | None = None,
    engine: str = "local",
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Stress:
    """Put faults into tested patients, or into the outcomes trained on, and score recipes with and without them.

    What each fault is stands in `chiasm.evaluation.stress.faults`.

    Args:
        cohort: a cohort with a target, or the path of a manifest, which is checked and encoded first, or what `prepare`
            made of one.
        recipes: names with their options, or recipe objects.
        faults: kinds of fault, "drift", "lost", "mixed", "labels" or "sites"; None takes those that can be put into
            the cohort, and () none. "attack" (or "fgsm", "pgd", "noise") moves the tokens of networks, where it is
            asked for.
        protocol: folds and repeats, as in `evaluate`.
        seed: of the folds, the fits, the faults and the bootstrap.
        jobs, engine, device, progress: as in `evaluate`.

    Raises:
        CohortError: `check_cohort` finds errors.
        Unsupported: no target, a recipe does not support the cohort, or a fault can be put into no modality.
        ValueError: a kind of fault that there is not.
    """
    named = split_specs(recipes) if isinstance(recipes, str) else list(recipes)
    kinds = [kind.strip() for kind in faults.split(",")] if isinstance(faults, str) else faults
    kinds = None if kinds is None else list(kinds)
    require_faults(kinds or ())
    ready = made_ready(cohort, named, jobs=jobs, engine=engine, progress=progress)
    used, _ = usable(ready.cohort)
    chosen, wanted = registry.resolve(named, used), faults_of(used, kinds)
    assert used.target is not None
    with followed("training sets", progress) as told:
        table = stressed(
            used, chosen, wanted, protocol or Protocol(), seed=seed, jobs=jobs or default_jobs(), device=device,
            execute=engine_of(engine), progress=told,
        )  # fmt: skip
    return Stress(
        table,
        primary_label(used.target.kind),
        _words(ready.findings),
        _words(own for own in ready.findings if own.leak),
        METRICS[used.target.kind][0].chance,
        not_attacked(table, [fault.kind for fault in wanted]),
    )


def _words(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(own.words for own in findings)
