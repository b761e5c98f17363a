"""Public function that asks all that can be asked of a finished trial, and writes it onto its page."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.api.certainty import conformal, few_told
from chiasm.api.collecting import collect
from chiasm.api.encoding import made_ready
from chiasm.api.explaining import explain, explain_columns
from chiasm.api.interacting import interaction
from chiasm.api.models import fit
from chiasm.api.reporting import keep_card, keep_guidelines, left_as_it_is, write_methods, write_supplement
from chiasm.api.sensitivity import not_at_random
from chiasm.api.stressing import stress
from chiasm.api.trials import load_trial
from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.cohort.opened import Given
from chiasm.encoding.preparing import PreparedCohort
from chiasm.errors import hush_findings
from chiasm.evaluation import Protocol, Trial
from chiasm.evaluation.beside import (
    COLLECTED,
    EXPLAINED,
    INTERACTION,
    MODEL,
    NOT_AT_RANDOM,
    STRESSED,
    SURE,
    begun_anew,
    keep,
    rows_held,
)
from chiasm.evaluation.folded import folded
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.models.explain.column_loss import NOT_KNOWN
from chiasm.recipes import registry
from chiasm.report.recipes import best_of

COVERAGE, THIRDS, SHOWN = 0.9, 3, 10
DRAWS = 200  # of the intervals of what is asked beside the trial
PAGE = "page"
Follow = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FullReport:
    """What was written of a trial.

    Attributes:
        files: in the run folder, the page first.
        left_out: parts that cannot be asked of this trial, each with why.
        told: what else a reader is to know.
        seconds: of each part, by the clock and of the processors.
    """

    files: tuple[Path, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    seconds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"FullReport: {len(self.files)} files, {len(self.left_out)} parts left out"


def full_report(
    run: Path | str,
    cohort: Given | PreparedCohort,
    *,
    worth: float | None = None,
    seed: int = 0,
    jobs: int | None = None,
    engine: str = "local",
    device: str = "cpu",
    progress: Follow | None = None,
) -> FullReport:
    """Ask all that can be asked of a finished trial, keep it in its folder, and write the page with all of it.

    The combined recipe that inner folds picked most often (of one modality, the single one) is fitted on all patients,
    for the card, and on two thirds, for what is asked of the others: the explanation and the sets. Then the parts of
    each two modalities, outcomes that were not seen, what collecting would bring, and faults: of both picks, and
    attacks on the network that inner folds like best. What the folder keeps already is not asked again, but where the
    seed, the worth, the pick or the cohort are others.

    Args:
        run: the folder of a finished trial.
        cohort: of the trial, or the path of its manifest, which is checked and encoded first, or what `prepare` made.
        worth: as in `collect`.
        seed: of fits, folds and draws.
        jobs, engine, device: as in `evaluate`.
        progress: called with (part, finished, all).

    Raises:
        TrialError: the folder holds no finished trial.
        ValueError: the trial is of other patients than the cohort.
        FileExistsError: the folder holds a model that no full report has made.
    """
    folder = Path(run)
    trial = load_trial(folder)
    names = [own.name for own in best_of(trial)]
    ready = made_ready(cohort, names, jobs=jobs, engine=engine, progress=progress)
    if not set(trial.outcomes.index) <= set(ready.cohort.ids):
        raise ValueError(f"'{folder.name}' holds a trial of other patients than the cohort: name its own")
    begun_anew(folder, {"recipe": names[0], "seed": seed, "worth": worth, "cohort": ready.cohort.fingerprint})
    trial = load_trial(folder)
    work = _Work(folder, trial, ready, worth, seed, {"jobs": jobs, "engine": engine, "device": device}, progress)
    parts: tuple[tuple[str, Callable[[_Work], None]], ...] = (
        (MODEL, _model), (EXPLAINED, _explained), (SURE, _sure), (INTERACTION, _interaction),
        (NOT_AT_RANDOM, _not_at_random), (COLLECTED, _collect), (STRESSED, _stress), (PAGE, _page),
    )  # fmt: skip
    left_out, seconds = {}, {}
    for name, ask in parts:
        wall, start = time.perf_counter(), sum(os.times()[:4])
        work.told_of(name, 0, 1)
        if not work.kept(name):
            try:
                with warnings.catch_warnings():
                    hush_findings()
                    ask(work)
            except (Unsupported, CohortError) as error:
                left_out[name] = str(error)
        seconds[name] = time.perf_counter() - wall, sum(os.times()[:4]) - start
    return FullReport(tuple(work.files), left_out, tuple(work.said), seconds)


@dataclass
class _Work:
    """What the parts share."""

    folder: Path
    trial: Trial
    cohort: PreparedCohort
    worth: float | None
    seed: int
    how: dict[str, Any]
    progress: Follow | None
    files: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def kept(self, name: str) -> bool:
        """True where the folder keeps this part of these very predictions, asked with the same seed."""
        own = self.trial.document.get(name)
        return own is not None and not own["changed"] and own["asked"].get("seed", self.seed) == self.seed

    def told_of(self, name: str, done: int, of: int) -> None:
        if self.progress is not None:
            self.progress(name.replace("_", " "), done, of)

    def step(self, name: str) -> Callable[[int, int], None]:
        return lambda done, of: self.told_of(name, done, of)

    @property
    def protocol(self) -> Protocol:
        """The folds of the trial, drawn once."""
        own = self.trial.document["protocol"]
        names = {one.name for one in fields(Protocol)}
        rules = {name: value for name, value in own.items() if name in names}
        return Protocol(**{**rules, "repeats": 1, "draws": DRAWS})

    @property
    def picks(self) -> tuple[str, ...]:
        """The combined recipe, if there is one, and the single one."""
        return tuple(own.name for own in best_of(self.trial))

    @cached_property
    def of_others(self) -> tuple[Any, Cohort, dict[str, Any]]:
        """The pick as fitted on two thirds by the rules of the trial, the other patients, and how it was asked."""
        rules = replace(self.protocol, folds=min(THIRDS, self.protocol.folds), ignore_folds=True)
        own = folded(self.cohort.cohort, rules, self.seed)
        split, name = own.splits[0], self.picks[0]
        training = PreparedCohort(own.cohort.subset(split.train), self.cohort.checked)
        model = fit(training, name, seed=self.seed, device=self.how["device"])
        asked = {"recipe": name, "fitted": len(split.train), "patients": len(split.test), "seed": self.seed}
        return model, own.cohort.subset(split.test), asked


def _model(work: _Work) -> None:
    folder = work.folder / MODEL
    if not folder.exists():
        fit(work.cohort, work.picks[0], seed=work.seed, device=work.how["device"]).save(folder)
    card = work.folder / "card.md"
    if not keep_card(folder, card, work.trial):
        work.said.append(left_as_it_is(card))
    work.files += [folder, card]


def _explained(work: _Work) -> None:
    """Explain a pick by patients whom it has not seen."""
    model, others, asked = work.of_others

    def step(what: str, done: int, of: int) -> None:
        work.told_of(f"explained: {what}", done, of)

    shares = explain(model, others, seed=work.seed, progress=step)
    columns: list[dict[str, Any]] = []
    checks: list[dict[str, Any]] = []
    said: list[str] = []
    try:
        found = explain_columns(model, others, seed=work.seed, progress=step)
    except Unsupported as error:
        said.append(f"Columns: {error}")
    else:
        top = found.top(SHOWN)
        columns = rows_held(top[top["what"] != "level"])  # levels may be of few patients
        checks, said = rows_held(found.checks), [own for own in found.said if own.rstrip(".") != NOT_KNOWN]
    keep(work.folder, EXPLAINED, shares.summary, asked=asked, said=said, columns=columns, checks=checks)


def _sure(work: _Work) -> None:
    """Calibrate the sets of a pick on patients whom it has not seen."""
    model, others, asked = work.of_others
    sure = conformal(model, others, coverage=COVERAGE)
    told = [*sure.told, *few_told(sure)]
    keep(work.folder, SURE, sure.table(), asked={**asked, "coverage": COVERAGE}, said=told)


def _interaction(work: _Work) -> None:
    how = {key: work.how[key] for key in ("jobs", "engine")}
    found = interaction(
        work.cohort, trial=work.trial, protocol=work.protocol, seed=work.seed, progress=work.step(INTERACTION), **how
    )
    found.keep(work.folder)


def _not_at_random(work: _Work) -> None:
    not_at_random(work.trial, seed=work.seed, progress=work.step(NOT_AT_RANDOM)).keep(work.folder)


def _collect(work: _Work) -> None:
    found = collect(
        work.cohort, worth=work.worth, protocol=work.protocol, seed=work.seed, progress=work.step(COLLECTED), **work.how
    )
    asked = {"recipe": found.recipe, "folds": found.folds, "worth": work.worth, "seed": work.seed}
    keep(work.folder, COLLECTED, found.table, asked=asked, leaks=list(found.leaks))


def _stress(work: _Work) -> None:
    """Faults into both picks, and attacks on the network that inner folds like best."""
    found = stress(
        work.cohort, work.picks, protocol=work.protocol, seed=work.seed, progress=work.step(STRESSED), **work.how
    )
    table, attacks, left = found.table, [], dict(found.not_attacked)
    network = best_network(work.trial)
    if network is None:
        left["attack"] = "not made: no network of several modalities is in the trial"
    else:
        struck = stress(
            work.cohort, [network], faults="attack", protocol=work.protocol, seed=work.seed,
            progress=work.step("attacked"), **work.how,
        )  # fmt: skip
        attacks, left = rows_held(struck.attacks), {**left, **struck.not_attacked}
    asked = {"recipes": list(work.picks), "attacked": network, "seed": work.seed}
    keep(
        work.folder, STRESSED, table, asked=asked, metric=found.metric, leaks=list(found.leaks), not_attacked=left,
        attacks=attacks,
    )  # fmt: skip


def best_network(trial: Trial) -> str | None:
    """Name the network of several modalities that inner folds like best, the first where none was scored."""
    scored = {}
    for row in trial.document["recipes"]:
        try:
            recipe = registry.named(row["name"])
        except ValueError:  # an object of another package, under a name of its own
            continue
        inner = [fold["inner"] for fold in row["folds"] if fold.get("inner") is not None]
        if isinstance(recipe, NetworkRecipe) and not recipe.modality:
            scored[row["name"]] = float(np.mean(inner)) if inner else -np.inf  # alone on its side it is not scored
    return max(scored, key=lambda name: scored[name]) if scored else None


def _page(work: _Work) -> None:
    """Write the page with all that the folder keeps, and what a paper needs of it."""
    trial = load_trial(work.folder)
    work.files.insert(0, trial.report(work.folder / "report.html"))
    items = work.folder / "reporting.md"
    if not keep_guidelines(trial, items, work.trial):
        work.said.append(left_as_it_is(items))
    work.files += [items, *write_methods(trial, work.folder / "methods.md")]
    try:
        work.files.append(write_supplement(trial, work.folder / "supplement.xlsx"))
    except ModuleNotFoundError as error:
        work.said.append(f"no supplement: {error}")
