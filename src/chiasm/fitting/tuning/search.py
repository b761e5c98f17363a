"""The search of a setting on inner folds of the training patients; settings that fall behind are stopped.

The inner folds are the rungs. Settings come one after another; after each inner fold but the last a setting is stopped
if its mean so far lies below the median of the means that the settings which finished had on the same folds, once four
have finished (the median stopping rule: Golovin et al., Google Vizier, KDD 2017, section 3.2.2). So lists of up to four
are fitted whole. A setting that was stopped is never picked, and the record says which were.
"""

from __future__ import annotations

import json
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.artifact import write_text
from chiasm.cohort import Cohort, Unsupported, class_names
from chiasm.compute.isolation import seeded
from chiasm.errors import hush_findings
from chiasm.fitting.possible import ImpossiblePrediction
from chiasm.fitting.tuning.draws import Draws
from chiasm.fitting.tuning.record import FAILED, FINISHED, STOPPED, Tried, mean_of
from chiasm.fitting.tuning.space import Values
from chiasm.fitting.unimodal import inner_folds
from chiasm.metrics.scores import PRIMARY, score

FULL = 4  # settings that finish before any is stopped
STATE = "tuning.json"
UNKNOWN = "not estimable"  # stands for a score in the file
DIVERGED = (ArithmeticError, ImpossiblePrediction)
Told = Callable[[int, int], None]
Execute = Callable[[Callable[[Any, Any], Any], Any, Sequence[Any], int], Iterator[Any]]


@dataclass(frozen=True)
class Rung:
    """One inner fold: the patients to fit on and those to score."""

    train: Cohort
    test: Cohort


@dataclass(frozen=True)
class Search:
    """What a search is made with.

    Args:
        make: a setting to the recipe with it.
        rungs: the inner folds, in the order in which settings are fitted for them.
        seed: seed of the fits, the same for every setting of a fold.
        folder: where scores and checkpoints are kept, so that a search that was stopped goes on; None keeps nothing.
        identity: what the scores depend on; scores kept of another search are not used.
        stops: False fits each setting for every inner fold.
        execute: runs fits side by side, as on a cluster; None: one after another. What is picked does not depend on it.
        jobs: handed to `execute`.
    """

    make: Callable[[Values], Any]
    rungs: Sequence[Rung]
    seed: int
    device: str
    folder: Path | None
    identity: str
    stops: bool
    execute: Execute | None = None
    jobs: int = 1

    def run(self, draws: Draws, told: Told, everything: int) -> list[Tried]:
        """Try setting after setting, `everything` at most; `told` is called with (tried, all) after each."""
        kept, tried = _Kept(self.folder, self.identity), list[Tried]()
        if self.execute is not None and len(draws.known):
            self._ahead(draws.known, kept)
        while (values := draws.ask()) is not None:
            if self.execute is not None and not len(draws.known):
                self._ahead([values], kept)
            own = self._tried(values, tried, kept)
            tried.append(own)
            draws.tell(own)
            told(len(tried), everything)
        if len(tried) < everything:
            told(len(tried), len(tried))
        return tried

    def _ahead(self, settings: Sequence[Values], kept: _Kept) -> None:
        """Score settings on all inner folds side by side, also those that would have been stopped, and keep the scores.

        They are kept in the order of the folds, so that a search that is stopped here goes on as any other.
        """
        assert self.execute is not None
        folds = range(len(self.rungs))
        tasks = [(at, fold) for at, own in enumerate(settings) for fold in folds if kept.lacks(own, fold)]
        came: dict[tuple[int, int], float | str] = {}
        context = _Fits(replace(self, execute=None), tuple(settings), self.device)
        for at, fold, found in self.execute(_scored, context, tasks, self.jobs):
            came[at, fold] = found
            while (following := came.pop((at, kept.number(settings[at])), None)) is not None:
                kept.keep(settings[at], following)

    def _tried(self, values: Values, before: Sequence[Tried], kept: _Kept) -> Tried:
        scores: list[float | None] = []
        for fold, rung in enumerate(self.rungs):
            try:
                found = kept.of(values, fold)
                if found is None:
                    found = self._score(values, rung, fold)
                    kept.keep(values, found)
            except DIVERGED:
                kept.keep(values, FAILED)
                found = FAILED
            if found == FAILED:
                return Tried(values, tuple(scores), FAILED)
            scores.append(None if isinstance(found, str) else found)
            if self.stops and fold + 1 < len(self.rungs) and behind(scores, before):
                return Tried(values, tuple(scores), STOPPED)
        return Tried(values, tuple(scores), FINISHED)

    def _score(self, values: Values, rung: Rung, fold: int) -> float | str:
        place = None if self.folder is None else self.folder / f"{zlib.crc32(_key(values).encode()):08x}-{fold}"
        seed = seeded(self.seed, f"tuning-{fold}")
        model = self.make(values).fit(rung.train, seed=seed, checkpoint=place, device=self.device)
        with warnings.catch_warnings():
            hush_findings()
            frame = model.predict(rung.test.with_target(None, None)).loc[list(rung.test.ids)]
        target, outcome = rung.test.target, rung.test.outcome
        assert target is not None and outcome is not None  # `rungs_of` kept patients of known outcome
        primary = PRIMARY[target.kind]
        own = score(target.kind, frame, outcome, class_names(target), None, rung.train.outcome, [primary], min_events=1)
        value = float(own[primary][0])
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        return value if np.isfinite(value) else UNKNOWN


@dataclass(frozen=True)
class _Fits:
    """What fits side by side share; a cluster reads the device."""

    search: Search
    settings: tuple[Values, ...]
    device: str


def _scored(context: _Fits, task: tuple[int, int]) -> tuple[int, int, float | str]:
    """Score a setting on an inner fold; `FAILED` where its training diverged."""
    at, fold = task
    try:
        return at, fold, context.search._score(context.settings[at], context.search.rungs[fold], fold)
    except DIVERGED:
        return at, fold, FAILED


class _Kept:
    """Scores of a search on disk: for each setting its score on each inner fold, `UNKNOWN` or `FAILED`."""

    def __init__(self, folder: Path | None, identity: str) -> None:
        """Read what a search of the same identity left in the folder; what another search left is removed."""
        self.folder, self.identity = folder, identity
        self.settings: dict[str, tuple[Values, list[float | str]]] = {}
        if folder is None:
            return
        stored = _stored(folder)
        if stored.get("identity") == identity:
            self.settings = {_key(own["options"]): (own["options"], own["scores"]) for own in stored["settings"]}
            return
        if stored:
            shutil.rmtree(folder, ignore_errors=True)  # scores and checkpoints of other fits
        self._write()  # so that it is known whose checkpoints follow

    def of(self, values: Values, fold: int) -> float | str | None:
        """Return what is known of a setting on an inner fold; None: nothing."""
        _, known = self.settings.get(_key(values), (values, []))
        return known[fold] if fold < len(known) else None

    def number(self, values: Values) -> int:
        """Return on how many inner folds a setting is known."""
        return len(self.settings.get(_key(values), (values, []))[1])

    def lacks(self, values: Values, fold: int) -> bool:
        """Return whether a setting has yet to be fitted for an inner fold: it is not known, and did not fail before."""
        return fold >= self.number(values) and FAILED not in self.settings.get(_key(values), (values, []))[1]

    def keep(self, values: Values, found: float | str) -> None:
        """Keep the next score of a setting."""
        self.settings.setdefault(_key(values), (values, []))[1].append(found)
        self._write()

    def _write(self) -> None:
        if self.folder is not None:
            settings = [{"options": options, "scores": scores} for options, scores in self.settings.values()]
            write_text(self.folder / STATE, json.dumps({"identity": self.identity, "settings": settings}))


def _stored(folder: Path) -> dict[str, Any]:
    file = folder / STATE
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def unseen(done: int, everything: int) -> None:
    """No-op progress callback."""


def is_of_another(folder: Path, identity: str) -> bool:
    """True if a folder holds the scores of a search of another identity."""
    stored = _stored(folder)
    return bool(stored) and stored.get("identity") != identity


def _key(values: Values) -> str:
    return json.dumps(values, sort_keys=True)


def behind(scores: Sequence[float | None], before: Sequence[Tried]) -> bool:
    """True if the mean of these first scores lies below the median of what the finished settings had on those folds."""
    rivals = [mean_of(own.scores[: len(scores)]) for own in before if own.status == FINISHED]
    mean = mean_of(scores)
    known = [rival for rival in rivals if not np.isnan(rival)]
    return len(known) >= FULL and not np.isnan(mean) and mean < float(np.median(known))


def rungs_of(cohort: Cohort, seed: int, folds: int) -> tuple[Rung, ...]:
    """Draw inner folds of the patients with a known outcome and a modality, stratified, groups on one side.

    Raises:
        Unsupported: the cohort has no target.
        CohortError: too few events or members of a class for two folds.
    """
    if cohort.target is None or cohort.outcome is None:
        raise Unsupported("tuning needs a target: name one in [target], or give target=... to cohort_from_frames")
    usable = cohort.outcome.known & cohort.present.any(1)
    known = cohort if usable.all() else cohort.subset(usable)
    ids = inner_folds(known, seed, folds)
    return tuple(Rung(known.subset(ids != fold), known.subset(ids == fold)) for fold in np.unique(ids))
