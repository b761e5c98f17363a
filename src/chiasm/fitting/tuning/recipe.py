"""A recipe whose options are tuned: it picks its setting on inner folds of the training patients, then is fitted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chiasm.cohort import Cohort
from chiasm.errors import Problem
from chiasm.fitting.model import FittedModel
from chiasm.fitting.named_files import contents_of, files_of
from chiasm.fitting.row import Row
from chiasm.fitting.sides import forms_of, reads_of, reads_presence, settings_of
from chiasm.fitting.tuning.allowed import Allowed, allowed_of
from chiasm.fitting.tuning.draws import ByScore, Draws, InTurn, sampler_package
from chiasm.fitting.tuning.identity import digest_of
from chiasm.fitting.tuning.model import TunedModel
from chiasm.fitting.tuning.record import FINISHED, Tried, Tuning, pick
from chiasm.fitting.tuning.search import Execute, Search, Told, is_of_another, rungs_of, unseen
from chiasm.fitting.tuning.space import Space, Values
from chiasm.metrics.scores import PRIMARY
from chiasm.protocols import (
    BringsAgainst,
    FindsOfCohort,
    HasRow,
    Model,
    NamesAgainst,
    NamesForms,
    NamesId,
    Narrows,
    ReadsKnowledge,
    borrows,
    reads_inputs,
)
from chiasm.specs import OUTSIDE, name_and_options

BUDGET = 20
INNER = 3
MODALITY = "modality"
SEARCH, PICKED = "search", "picked"


@dataclass(frozen=True)
class Tuned:
    """A recipe with a space of options, as one recipe.

    Args:
        base: the recipe, a frozen dataclass whose options have the values that are not tuned.
        space: the options that are tuned.
        budget: the most settings that are tried, for each modality alone as for all together.
        inner: number of inner folds.
        stops: False fits every setting for every inner fold, also those that are behind.
        called: its name, where `on` has narrowed the base; "": made of the options.
    """

    base: Any
    space: Space
    budget: int = BUDGET
    inner: int = INNER
    stops: bool = True
    called: str = ""

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ValueError(f"the budget of '{self.id}' is {self.budget}: at least one setting is tried")
        if self.inner < 2:
            raise ValueError(f"'{self.id}' is tuned on {self.inner} inner folds: at least 2 are needed")
        if any(axis.option == MODALITY for axis in self.space.axes):
            raise ValueError(
                f"'{self.id}' cannot be tuned over its modality, which decides its side of the verdict: name "
                "a recipe for each"
            )
        if isinstance(self.base, NamesAgainst) and self.base.against and not isinstance(self.base, BringsAgainst):
            raise ValueError(
                f"'{self.id}' asks to be compared with '{self.base.against}', which would not be tuned: give it a "
                "`compared_with`, which is then tuned over the same space"
            )
        _ = self.allowed  # the recipe refuses values of its own

    @cached_property
    def allowed(self) -> Allowed:
        """What the base accepts of the space."""
        return allowed_of(self.space, self.own, self.budget, self.make)

    @property
    def examples(self) -> tuple[Any, ...]:
        """Recipes with the settings that are known beforehand; else with the ends of each range, one at a time."""
        return self.allowed.examples

    def findings(self, cohort: Cohort) -> list[Problem]:
        """Return what the recipe finds of a cohort with any of the settings that are known beforehand."""
        asked = [own for own in (self.base, *self.examples) if isinstance(own, FindsOfCohort)]
        return list(dict.fromkeys(found for own in asked for found in own.findings(cohort)))

    @property
    def own(self) -> Values:
        """The values of the tuned options that the base has."""
        return {axis.option: getattr(self.base, axis.option) for axis in self.space.axes}

    def make(self, values: Values) -> Any:
        """Return the base with other values of its options."""
        return replace(self.base, **values)

    def accepts(self, values: Values) -> bool:
        """True if the base takes these values."""
        try:
            self.make(values)
        except ValueError:
            return False
        return True

    @property
    def id(self) -> str:
        return str(self.base.id if isinstance(self.base, NamesId) else name_and_options(self.base.name)[0])

    @property
    def family(self) -> str:
        return str(self.base.family)

    @property
    def paper(self) -> Any:
        return self.base.paper

    @property
    def name(self) -> str:
        """`id:option=value,option=[a;b]` in the order of the base's options, then what is not usual of the search."""
        if self.called:
            return self.called
        options = {own.name: (own.default, getattr(self.base, own.name)) for own in fields(self.base)}
        return self._named([f"{option}={value}" for option, (usual, value) in options.items() if value != usual])

    def _named(self, parts: Iterable[str]) -> str:
        """Return the name with these options of the base, each as `option=value`, where they are not tuned."""
        given = {part.partition("=")[0]: part for part in parts}
        given |= {axis.option: f"{axis.option}=[{axis.text}]" for axis in self.space.axes}
        ordered = [given[own.name] for own in fields(self.base) if own.name in given]
        row = self.base.row if isinstance(self.base, HasRow) else None
        leads = row.leads if isinstance(row, Row) else ""
        ordered = [part.removeprefix(f"{leads}=") if leads else part for part in ordered]
        usual = {own.name: own.default for own in fields(self)}
        ordered += [f"{name}={getattr(self, name)}" for name in SEARCHED if getattr(self, name) != usual[name]]
        return f"{self.id}:{','.join(ordered)}"

    @property
    def described_options(self) -> dict[str, Any]:
        """The options of the base, with the space of those that are tuned, and how they are searched."""
        own = {field.name: getattr(self.base, field.name) for field in fields(self.base)}
        spaces = {axis.option: f"[{axis.text}]" for axis in self.space.axes}
        return {**own, **spaces, **{name: getattr(self, name) for name in SEARCHED}}

    @property
    def named_files(self) -> tuple[str, ...]:
        """The files and folders that one of the settings names."""
        return tuple(sorted({place for recipe in self.examples for place in files_of(recipe)}))

    @property
    def tries(self) -> int:
        """Number of settings that are tried at most."""
        if self.allowed.known is not None:
            return len(self.allowed.known)
        return self.budget if self.space.size is None else min(self.budget, self.space.size)

    @property
    def possible(self) -> int | None:
        """Number of settings in the space, without those that the base refuses where each was asked; None: no end."""
        size = self.space.size
        each = self.allowed.known is not None and size is not None and size <= self.budget
        return self.tries if each else size

    @property
    def settings(self) -> int:
        """Number of settings: those of the space, each with what the base itself selects on inner folds."""
        return self.tries * settings_of(self.base)

    def settings_on(self, cohort: Cohort) -> int:
        """Return that number on a cohort, from whose sources the base may borrow."""
        return self.tries * settings_of(self.base, cohort)

    @property
    def reads_presence(self) -> bool:
        """True if any of the settings may read it."""
        return any(reads_presence(recipe) for recipe in self.examples)

    @property
    def reads_knowledge(self) -> bool:
        """True if the base reads it."""
        return isinstance(self.base, ReadsKnowledge) and bool(self.base.reads_knowledge)

    @property
    def reads_inputs(self) -> bool:
        """True if any of the settings runs an encoder's network."""
        return any(reads_inputs(recipe) for recipe in self.examples)

    @property
    def borrows(self) -> bool:
        """True if the base reads the sources of a cohort."""
        return borrows(self.base)

    @property
    def against(self) -> str:
        """Name of what the base asks to be compared with, tuned over the same space; "" if it asks for nothing."""
        other = self._compared_with()
        return "" if other is None or other.name == self.name else str(other.name)

    @property
    def compared_with(self) -> Tuned:
        """The recipe that `against` names."""
        return self._compared_with() or self

    def _compared_with(self) -> Tuned | None:
        asks = isinstance(self.base, NamesAgainst) and self.base.against and isinstance(self.base, BringsAgainst)
        return replace(self, base=self.base.compared_with) if asks else None

    def on(self, modality: str) -> Tuned:
        """Return the recipe with the base for this modality alone, where the base has one, under the same name."""
        return replace(self, base=self.base.on(modality), called=self.name) if isinstance(self.base, Narrows) else self

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that one of the settings declares to read."""
        read = {name for recipe in self.examples for name in reads_of(recipe, cohort)}
        return tuple(name for name in cohort.modalities if name in read)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if one of the settings does not support the cohort, or the sampler is not installed."""
        if self.allowed.known is None:
            sampler_package()
        for recipe in self.examples:
            recipe.supports(cohort)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> Model:
        """Pick the setting on inner folds of the patients, and fit the recipe with it on all of them.

        The search goes on where it was stopped, if the folder of checkpoints holds its scores.
        """
        tuning = self.search(cohort, seed=seed, checkpoint=checkpoint, device=device)
        return self.refit(cohort, tuning, seed=seed, checkpoint=checkpoint, device=device)

    def refit(
        self, cohort: Cohort, tuning: Tuning, *, seed: int, checkpoint: Path | None = None, device: str = "cpu"
    ) -> Model:
        """Fit the recipe with the picked setting; the model tells of the search."""
        place = None if checkpoint is None else checkpoint / SEARCH / PICKED
        model: Model = self.make(tuning.options).fit(cohort, seed=seed, checkpoint=place, device=device)
        return replace(model, tuning=tuning) if isinstance(model, FittedModel) else TunedModel(model, tuning)

    def search(
        self,
        cohort: Cohort,
        *,
        seed: int,
        checkpoint: Path | None = None,
        device: str = "cpu",
        told: Told = unseen,
        execute: Execute | None = None,
        jobs: int = 1,
    ) -> Tuning:
        """Try the settings on inner folds and pick the one with the best mean of the primary metric.

        Of settings that score alike the first is picked. One setting alone is not fitted for a score.

        Args:
            told: called with (tried, all) settings.
            execute, jobs: run the fits side by side, as on a cluster; the picked setting is the same.

        Raises:
            ArithmeticError: the training of every setting diverged.
        """
        settings, folder = self.allowed.known, None if checkpoint is None else checkpoint / SEARCH
        kind = cohort.target.kind if cohort.target is not None else ""
        if settings is not None and len(settings) == 1:
            only = Tried(settings[0], (), FINISHED)
            return Tuning(self.name, PRIMARY.get(kind, ""), 0, (only,), 0, self.possible, self.make(settings[0]).name)
        rungs = rungs_of(cohort, seed, self.inner)
        identity = self.identity(cohort, seed, device)
        search = Search(self.make, rungs, seed, device, folder, identity, self.stops, execute, jobs)
        tried = search.run(self._draws(seed), told, self.tries)
        at = pick(tried)
        name = self.make(tried[at].options).name
        return Tuning(self.name, PRIMARY[kind], len(rungs), tuple(tried), at, self.possible, name)

    def _draws(self, seed: int) -> Draws:
        if self.allowed.known is not None:
            return InTurn(self.allowed.known)
        return ByScore(self.space, self.own, self.budget, seed, self.accepts)

    def begun_by_another(self, cohort: Cohort, folder: Path, *, seed: int, device: str = "cpu") -> bool:
        """True if a folder of checkpoints holds scores that this search on this cohort cannot go on from."""
        return is_of_another(folder / SEARCH, self.identity(cohort, seed, device))

    def identity(self, cohort: Cohort, seed: int, device: str) -> str:
        """Digest of what the scores depend on."""
        drawn = [sampler_package().__version__] if self.allowed.known is None else []
        told = [
            version("chiasm"),
            *drawn,
            cohort.fingerprint,
            self.name,
            self.described_options | contents_of(self),
            seed,
            device,
        ]
        return digest_of(told)


SEARCHED = ("budget", "inner", "stops")
"""Fields of `Tuned` that say how the space is searched; in a spec they stand among the options."""


@dataclass(frozen=True)
class TunedWithForms(Tuned):
    """A tuned recipe whose base names its one-modality forms: each has the same space and the same budget."""

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the names of this recipe's one-modality forms on this cohort."""
        return tuple(self._named(OUTSIDE.split(name_and_options(form)[1])) for form in forms_of(self.base, cohort))


def tuned(base: Any, space: Space, *, budget: int = BUDGET, inner: int = INNER, stops: bool = True) -> Tuned:
    """Make a recipe of a recipe and the space of its options.

    Raises:
        ValueError: the recipe refuses a value; a budget below 1 or fewer than two inner folds.
    """
    made = TunedWithForms if isinstance(base, NamesForms) else Tuned
    return made(base, space, budget, inner, stops)
