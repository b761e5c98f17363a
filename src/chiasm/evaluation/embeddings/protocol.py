"""Vectors of any encoder on the folds of a trial: nearest neighbours and probes, on growing parts of each training set.

Every embedding is learned from the same parts of the same training sets and asked about the same patients. A figure is
the mean over folds of the mean over draws of the part; its draws by a bootstrap take patients, and in each fold also
one draw less than there are of the D draws of a part, with replacement, whose spread is that of a mean over D draws
(Rao and Wu, JASA 1988, doi:10.1080/01621459.1988.10478591). So an interval holds both who was tested and which patients
were learned from. Differences are of the same patients, parts and draws, with the wider of two intervals
(`contrasts.contrast`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import kept_randomness, seeded, threads_for
from chiasm.evaluation.contrasts import Values, whole_values
from chiasm.evaluation.embeddings.shares import nested_parts
from chiasm.evaluation.fits import Execute, said_of, with_horizons, without_values
from chiasm.evaluation.folded import Folded, folded
from chiasm.evaluation.intervals import Counts
from chiasm.evaluation.protocol import Protocol, Split
from chiasm.fitting.embedded.learned import METHODS, Pupils
from chiasm.fitting.embedded.vectors import Seen

WHOLE = 100.0
Ints = NDArray[np.int_]
Key = tuple[str, str, float]
"""An embedding, a way to learn from it, and the share of the training patients."""


@dataclass(frozen=True)
class Adapted:
    """Recipes that adapt an encoder's network, learned on the same parts as the embedding of the frozen one.

    Args:
        name: of the frozen encoder's embedding.
        cohort: the patients of the protocol, in its order, encoded with the inputs of the network.
        recipes: the recipes, whose names stand for the way to learn.
    """

    name: str
    cohort: Cohort
    recipes: tuple[Any, ...]


@dataclass(frozen=True)
class Asked:
    """What is learned in each fold: embeddings by row of the cohort, by these methods, on these shares."""

    cohort: Cohort
    seen: tuple[Seen, ...]
    methods: tuple[str, ...]
    shares: tuple[float, ...]
    seed: int
    adapted: Adapted | None = None


@dataclass(frozen=True)
class Task:
    """One draw of the parts of one training set; `whole`: learn from all of it too."""

    split: Split
    draw: int
    whole: bool


@dataclass(frozen=True)
class Answer:
    """Predictions of the tested patients, and the setting chosen."""

    frame: pd.DataFrame
    setting: float


@dataclass(frozen=True)
class Part:
    """How many patients a part of a training set has, and why nothing was learned from it; "" where something was."""

    patients: int
    why: str


@dataclass(frozen=True)
class Curve:
    """One embedding, method and share over all folds and draws.

    Attributes:
        key: which.
        patients: mean number of patients learned from.
        setting: median of the settings that inner folds chose: k, or the penalty in units of information; of a recipe
            that adapts the network its trained parameters.
        values: the primary metric in folds and draws, as `contrasts.contrast` takes it; empty where `why` says that too
            few are left.
        why: why nothing is told; "" where something is.
    """

    key: Key
    patients: float
    setting: float
    values: Values
    why: str


def learn(asked: Asked, task: Task) -> tuple[Task, dict[float, Part], dict[Key, Answer]]:
    """Learn from every embedding by every method on the parts of one draw of one training set."""
    split, seed = task.split, seeded(asked.seed, task.split.key)
    training = asked.cohort.subset(split.train).with_modalities([])
    shares = [own for own in asked.shares if task.whole or own < WHOLE]
    parts = nested_parts(training, shares, seeded(seed, f"draw {task.draw}"))
    told: dict[float, Part] = {}
    found: dict[Key, Answer] = {}
    widest = max(own.width for own in asked.seen) or 1
    with kept_randomness(), threads_for(len(training) * float(widest) ** 2):
        for share, (rows, why) in parts.items():
            told[share] = Part(len(rows), why)
            if why:
                continue
            pupils, train = Pupils.of(training.subset(rows), seed), split.train[rows]
            for seen in asked.seen:
                known, tested = seen.of(train, train), seen.of(split.test, train)
                for method in asked.methods:
                    learned = METHODS[method](pupils, known, tested)
                    found[seen.name, method, share] = Answer(learned.frame, learned.setting)
            if asked.adapted is not None:
                found |= _adapt(asked.adapted, split, train, share, seed)
    return task, told, found


def _adapt(adapted: Adapted, split: Split, train: Ints, share: float, seed: int) -> dict[Key, Answer]:
    """Adapt the network to a part of a training set by each recipe, and ask about the tested patients."""
    cohort, test = with_horizons(adapted.cohort.subset(train)), adapted.cohort.subset(split.test)
    found: dict[Key, Answer] = {}
    for recipe in adapted.recipes:
        with without_values(recipe, split):
            model = recipe.fit(cohort, seed=seed, checkpoint=None, device="cpu")
            frame = said_of(model, test.with_target(None, None)).loc[list(test.ids)]
        found[adapted.name, recipe.name, share] = Answer(frame, float(model.trained_parameters))
    return found


def curves(
    cohort: Cohort,
    seen: Sequence[Seen],
    methods: Sequence[str],
    shares: Sequence[float],
    draws: int,
    protocol: Protocol,
    *,
    seed: int,
    jobs: int,
    execute: Execute,
    progress: Callable[[int, int], None],
    adapted: Adapted | None = None,
) -> tuple[Folded, list[Curve]]:
    """Learn from every embedding on the folds of a trial, by every method and on every share.

    Args:
        cohort: with a target, and only patients who have every embedding.
        seen: the embeddings, by row of the cohort.
        draws: how often the parts of a training set are drawn; the whole is learned from once.
        progress: called with (finished, all) draws of training sets.
        adapted: recipes that adapt the network of one of the embeddings, which take far longer.

    Raises:
        Unsupported: no target, or two embeddings of one name.
        CohortError: a fold without an event or a class.
        ValueError: fewer than one draw.
    """
    if draws < 1:
        raise ValueError(f"{draws} draws of the parts of a training set: one at least is needed")
    names = [own.name for own in seen]
    for name in names:
        if names.count(name) > 1:
            raise Unsupported(f"two embeddings are called '{name}': give each a name of its own")
    known = folded(cohort, protocol, seed)
    if len(known.cohort) < len(cohort):
        raise Unsupported("every patient of the protocol has a known outcome: leave the others out first")
    often = draws if any(share < WHOLE for share in shares) else 1
    tasks = [Task(split, draw, draw == 0) for split in known.splits for draw in range(often)]
    asked = Asked(known.cohort, tuple(seen), tuple(methods), tuple(shares), seed, adapted)
    parts: dict[tuple[str, int], dict[float, Part]] = {}
    answers: dict[tuple[str, int], dict[Key, Answer]] = {}
    progress(0, len(tasks))
    for done, (task, told, found) in enumerate(execute(learn, asked, tasks, jobs), start=1):
        parts[task.split.key, task.draw], answers[task.split.key, task.draw] = told, found
        progress(done, len(tasks))
    ways = {name: list(methods) for name in names}
    if adapted is not None:
        ways[adapted.name] += [recipe.name for recipe in adapted.recipes]
    keys = [(name, method, share) for share in shares for name in names for method in ways[name]]
    return known, [_curve(known, key, often if key[2] < WHOLE else 1, parts, answers, seed) for key in keys]


def _curve(
    known: Folded,
    key: Key,
    often: int,
    parts: dict[tuple[str, int], dict[float, Part]],
    answers: dict[tuple[str, int], dict[Key, Answer]],
    seed: int,
) -> Curve:
    """Score one embedding, method and share in every fold and draw."""
    places = [(split.key, draw) for split in known.splits for draw in range(often)]
    own = [parts[place][key[2]] for place in places]
    patients = float(np.mean([part.patients for part in own]))
    lacking = [part.why for part in own if part.why]
    if lacking:
        return Curve(key, patients, np.nan, [], lacking[0])
    folds = [fold for fold in known.folds for _ in range(often)]
    frames = [answers[place][key].frame for place in places]
    setting = float(np.median([answers[place][key].setting for place in places]))
    values = whole_values(known.target.kind, folds, frames, known.target.names, known.draws)
    if often > 1:
        picked = _picked(len(known.folds), often, known.draws, seed)
        values = [(_by_fold(points, often), _redrawn(drawn, picked)) for points, drawn in values]
    return Curve(key, patients, setting, values, "")


def _picked(folds: int, often: int, draws: Counts, seed: int) -> Ints:
    """Which draws of the part stand for all in each fold and draw of patients, `(J, R, D - 1)`; the same for all."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, folds, often]))
    return rng.integers(0, often, size=(folds, len(draws), often - 1))


def _by_fold(points: NDArray[np.float64], often: int) -> NDArray[np.float64]:
    """Average `(J D, 1)` over the draws of each fold."""
    return np.asarray(points.reshape(-1, often, points.shape[1]).mean(axis=1))


def _redrawn(drawn: NDArray[np.float64], picked: Ints) -> NDArray[np.float64]:
    """Average `(J D, R)` over the draws of the part that are picked in each draw of patients, `(J, R)`."""
    folds, draws, few = picked.shape
    if not drawn.shape[1]:
        return np.zeros((folds, 0))
    by_fold = drawn.reshape(folds, few + 1, draws).transpose(0, 2, 1)  # (J, R, D)
    return np.asarray(np.take_along_axis(by_fold, picked, axis=2).mean(axis=2))
