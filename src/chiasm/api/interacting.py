"""Public function that says what modalities know of the outcome in common, each alone, and only together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.api.encoding import engine_of, made_ready
from chiasm.api.trials import load_trial
from chiasm.cohort.opened import Given
from chiasm.compute.pool import default_jobs
from chiasm.encoding.preparing import PreparedCohort
from chiasm.evaluation import Protocol, Trial, TrialError
from chiasm.evaluation.beside import INTERACTION, keep
from chiasm.evaluation.interaction.interaction import TOO_FEW, interactions
from chiasm.evaluation.interaction.modality_states import WAYS
from chiasm.evaluation.interaction.table import tabled
from chiasm.evaluation.interaction.words import beside_verdict, foremost, hidden_from_single
from chiasm.progress import followed
from chiasm.report.written import write_picture

DRAWS = 200


@dataclass(frozen=True, repr=False)
class Interaction:
    """What each two modalities know of the outcome in common, each alone, and only together.

    Attributes:
        table: one row a pair, label and way of making states; see `evaluation.interaction.table.tabled`.
        findings: sentences on what stands out, and beside the verdict of a trial if one was given.
        leaks: findings of the check: a leaked outcome is no knowledge of it.
        asked: how it was asked: states, horizon, folds, repeats, draws and seed.
        about: the trial that was given, if any.
    """

    table: pd.DataFrame
    findings: tuple[str, ...]
    leaks: tuple[str, ...]
    asked: dict[str, Any] = field(default_factory=dict)
    about: Trial | None = None

    def __repr__(self) -> str:
        return f"Interaction of {len(self.table[['first', 'second']].drop_duplicates()):,} pairs of modalities"

    @property
    def foremost(self) -> list[dict[Any, Any]]:
        """Of each pair and label that is answered the row whose states tell most together."""
        rows = self.table[self.table["basis"] != TOO_FEW].to_dict("records")
        return [dict(row) for row in foremost(rows)]

    def plot(self, path: Path | str) -> Path:
        """Write the picture, a stacked bar a pair and bounds as whiskers, as .png, .svg or .pdf.

        Raises:
            Unsupported: there are too few patients for every pair.
            ValueError: another ending.
        """
        from chiasm.report.interaction import draw_interaction

        return write_picture(path, lambda: draw_interaction(self.table))

    def keep(self, run: Path | str) -> Path:
        """Keep it in the folder of the trial that was given, as `interaction.json`, where the page finds it.

        Returns:
            The file.

        Raises:
            ValueError: no trial was given.
            TrialError: the folder holds another trial.
        """
        folder = Path(run)
        if self.about is None:
            raise ValueError("no trial was given, beside whose verdict this would stand: ask with trial=...")
        if not load_trial(folder).predictions.equals(self.about.predictions):
            raise TrialError(f"'{folder.name}' holds another trial than the one that was given: name its folder")
        return keep(folder, INTERACTION, self.table, asked=self.asked, leaks=list(self.leaks))


def interaction(
    cohort: Given | PreparedCohort,
    *,
    modalities: Sequence[str] | None = None,
    states: str | Sequence[str] = WAYS,
    horizon: float | None = None,
    trial: Trial | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[[int, int], None] | None = None,
) -> Interaction:
    """Say what each two modalities know of the outcome in common, each alone, and only together, in bits.

    The definitions stand in `chiasm.evaluation.interaction`; modalities of many values are read by states, which are
    learned on training patients alone.

    Args:
        cohort: a cohort with a target, or the path of a manifest, which is checked and encoded first, or what `prepare`
            made of one.
        modalities: the ones to compare, two or more; None takes all.
        states: "predictions", of a model of each modality alone, "clusters", of its values, or both.
        horizon: the time by which an event is asked for, in the unit of the target; None takes the middle horizon.
        trial: one of the same cohort, beside whose verdict the findings are told, and in whose folder `keep` puts them.
        protocol: folds and repeats, as in `evaluate`; None draws patients 200 times.
        seed: of the folds, the fits, the shuffles and the bootstrap.
        jobs, engine, progress: as in `evaluate`.

    Raises:
        CohortError: `check_cohort` finds errors.
        Unsupported: no target, fewer than two modalities, too many pairs, or a horizon that cannot be asked for.
        ValueError: ways to make states that there are not, a modality named twice, or a trial of other patients.
    """
    ways = require_states(states)
    if modalities is not None and len(set(modalities)) < len(list(modalities)):
        raise ValueError("a modality is named twice: name each once")
    ready = made_ready(cohort, [], jobs=jobs, engine=engine, progress=progress)
    used = ready.cohort if modalities is None else ready.cohort.with_modalities(sorted(modalities))
    if trial is not None and not set(trial.outcomes.index) <= set(used.ids):
        raise ValueError("the trial is of other patients than the cohort: name a trial of this cohort")
    rules = protocol or Protocol(draws=DRAWS)
    with followed("training sets", progress) as told:
        found = interactions(
            used, rules, ways=ways, horizon=horizon, seed=seed,
            jobs=jobs or default_jobs(), execute=engine_of(engine), progress=told,
        )  # fmt: skip
    table = tabled(found)
    rows = table.to_dict("records")
    findings = hidden_from_single(rows)
    if trial is not None and trial.verdict is not None:
        findings += beside_verdict(rows, trial.verdict.outcome)
    leaks = tuple(own.words for own in ready.findings if own.leak)
    asked = {"states": list(ways), "horizon": horizon, "seed": seed, **rules.as_json()}
    return Interaction(table, tuple(findings), leaks, asked, trial)


def require_states(states: str | Sequence[str]) -> tuple[str, ...]:
    """Return the ways to make states, in their order.

    Raises:
        ValueError: none, or one that there is not.
    """
    named = [own.strip() for own in states.split(",")] if isinstance(states, str) else list(states)
    unknown = [own for own in named if own not in WAYS]
    if unknown or not named:
        what = unknown[0] if unknown else ""
        raise ValueError(f"states are made of {' or '.join(WAYS)}, not of '{what}': name one or both")
    return tuple(way for way in WAYS if way in named)
