"""Fitting of recipes on one training set, and their predictions: the only place where a recipe meets a fold."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from chiasm.artifact import whole_file
from chiasm.cohort import Cohort
from chiasm.compute.isolation import seeded
from chiasm.errors import hush_findings
from chiasm.evaluation.protocol import Split
from chiasm.evaluation.trial import TrialError
from chiasm.evaluation.unlabelled import Unlabelled, reads_unlabelled
from chiasm.fitting.sides import reads_of
from chiasm.protocols import Model, ToldStart, modalities_of, search_of

Clock = Callable[[], float]


class Execute(Protocol):
    """Callable that runs `function(context, task)` for each task, perhaps in parallel, and yields results as ready."""

    def __call__(
        self, function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int
    ) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Fit:
    """Predictions of one recipe for the tested patients of one split, in the cohort's sorted row order.

    `level` is the mean link of its predictions over the training patients who have the modality, to which
    `best-available` relates each patient; only where the recipe reads one modality and the split is an outer one.
    `start` tells how a network began that could begin with a source's weights (`ToldStart`); empty for others.
    `tuning` tells of the search that picked the recipe's options (`ToldTuning`), as JSON; None without one.
    """

    recipe: str
    split: str
    frame: pd.DataFrame
    seconds: float
    trained_parameters: int
    level: tuple[float, ...] | None = None
    start: str = ""
    tuning: dict[str, Any] | None = None


@dataclass(frozen=True)
class Context:
    """State of all fits of a trial. `work` is the folder of finished fits and checkpoints; None stores nothing.

    `unlabelled` are patients without an outcome, whom recipes that learn from them read beside the training patients.
    """

    cohort: Cohort
    recipes: tuple[Any, ...]
    seed: int
    device: str
    work: Path | None
    clock: Clock
    unlabelled: Unlabelled | None = None


@dataclass(frozen=True)
class Task:
    """One training set and the recipes to fit on it, by their position in the trial.

    `first`: also check that the fitted models read only what their recipes declared.
    """

    split: Split
    recipes: tuple[int, ...]
    first: bool = False


def run_task(context: Context, task: Task) -> list[Fit]:
    """Fit each recipe of the task on the split's training rows and predict its test rows, reusing finished fits.

    Raises:
        RuntimeError: a recipe failed with an arithmetic, lookup, runtime or type error; the message names it and the
            fold.
        TrialError: a model reads a modality that its recipe did not declare.
    """
    train = with_horizons(context.cohort.subset(task.split.train))
    test = context.cohort.subset(task.split.test)
    test = test.with_modalities([name for name in test.modalities if name not in task.split.hidden])
    fits = []
    for number in task.recipes:
        recipe = context.recipes[number]
        done = None if context.work is None else context.work / f"{number}-{task.split.key}.parquet"
        if done is not None and done.exists():
            fits.append(_read(done, recipe.name, task.split.key))
            continue
        checkpoint = None if context.work is None else context.work / "checkpoints" / f"{number}-{task.split.key}"
        seed = seeded(context.seed, task.split.key)
        start = context.clock()
        with without_values(recipe, task.split):
            read = train
            if context.unlabelled is not None and reads_unlabelled(recipe):
                read = context.unlabelled.beside(task.split, train)
            model = recipe.fit(read, seed=seed, checkpoint=checkpoint, device=context.device)
            frame = said_of(model, test.with_target(None, None)).loc[list(test.ids)]
            seconds = context.clock() - start
            declared = reads_of(recipe, context.cohort)
            if task.first:
                require_declared(recipe, declared, model, test, frame)
            level = mean_link(model, train, declared[0]) if task.split.inner is None and len(declared) == 1 else None
        began = model.start if isinstance(model, ToldStart) else ""
        searched = None if (search := search_of(model)) is None else search.as_json()
        fit = Fit(recipe.name, task.split.key, frame, seconds, model.trained_parameters, level, began, searched)
        fits.append(fit)
        if done is not None:
            _write(done, fit)
        if checkpoint is not None:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return fits


@contextmanager
def without_values(recipe: Any, split: Split) -> Iterator[None]:
    """Leave out what an error of a recipe says, because it may quote a patient; the chained cause still has it."""
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError) as error:
        what = f"recipe '{recipe.name}' failed in {split.key} with a {type(error).__name__}"
        raise RuntimeError(what) from error


def with_horizons(train: Cohort) -> Cohort:
    """Return the training set with horizons: the requested ones, or the quartiles of its own event times."""
    target, outcome = train.target, train.outcome
    if target is None or outcome is None:
        return train
    timed = target.with_horizons(outcome)
    return train if timed is target else train.with_target(timed, outcome)


def mean_link(model: Any, train: Cohort, modality: str) -> tuple[float, ...] | None:
    """Average the model's link over the training patients who have the modality; None if nobody has it."""
    assert train.target is not None  # a training set has a target
    rows = train.rows_of(modality)
    if not len(rows):
        return None
    frame = said_of(model, train.subset(rows).with_target(None, None))
    links = train.target.links(frame, train.target.names)
    return tuple(float(value) for value in train.target.level(links))


def require_declared(recipe: Any, declared: Sequence[str], model: Any, test: Cohort, frame: pd.DataFrame) -> None:
    """Refuse a fitted model that reads a modality which its recipe did not declare.

    Two things are checked: the modalities that the model says it reads, and its predictions, which must not change
    without the other modalities.

    Raises:
        TrialError: naming the recipe and the modalities.
    """
    others = [name for name in test.modalities if name not in declared]
    if not declared or not others:
        return
    named = sorted(modalities_of(model) & set(others))
    here = [name for name in declared if name in test.modalities]
    rows = np.flatnonzero(test.with_modalities(here).present.any(axis=1)) if here else np.zeros(0, int)
    if not named and len(rows):
        columns = [name for name in frame.columns if name != "pattern"]
        nameless = test.subset(rows).with_modalities(here).with_target(None, None)
        alone = said_of(model, nameless).loc[list(test.ids[rows])]
        named = [] if _same(frame.iloc[rows][columns], alone[columns]) else others
    if named:
        raise TrialError(
            f"recipe '{recipe.name}' declares that it reads {', '.join(declared)}, and its model reads "
            f"{', '.join(named)} too: name every modality in its `modalities`, which decides its side of the verdict"
        )


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """True if predictions are the same, numbers but for rounding."""
    words = [name for name in one.columns if one[name].dtype == object]
    before, after = (own.drop(columns=words).to_numpy(np.float64) for own in (one, other))
    alike = all(one[name].tolist() == other[name].tolist() for name in words)
    return alike and bool(np.allclose(before, after, rtol=1e-5, atol=1e-6))


def _write(path: Path, fit: Fit) -> None:
    """Write a fit to one parquet file, atomically; seconds, parameters and level are stored in its metadata."""
    table = pa.Table.from_pandas(fit.frame)
    note: dict[str, Any] = {"seconds": fit.seconds, "trained_parameters": fit.trained_parameters, "level": fit.level}
    note |= {"start": fit.start, "tuning": fit.tuning}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"chiasm": json.dumps(note).encode()})
    write_parquet(path, table)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table whole or not at all, for its owner alone: it holds identifiers."""
    with whole_file(path) as staging:
        pq.write_table(table, staging)


def write_tables(folder: Path, predictions: pd.DataFrame, outcomes: pd.DataFrame, prefix: str = "") -> None:
    """Write predictions and outcomes, indexed by patient, as two parquet files of a folder."""
    for name, table in (("predictions", predictions), ("outcomes", outcomes.reset_index())):
        write_parquet(folder / f"{prefix}{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))


def _read(path: Path, recipe: str, split: str) -> Fit:
    table = pq.read_table(path)
    note = json.loads(table.schema.metadata[b"chiasm"])
    level = None if note["level"] is None else tuple(note["level"])
    seconds, parameters, start = float(note["seconds"]), int(note["trained_parameters"]), str(note.get("start", ""))
    return Fit(recipe, split, table.to_pandas(), seconds, parameters, level, start, note.get("tuning"))


def said_of(model: Model, cohort: Cohort) -> pd.DataFrame:
    """Predict tested patients, of whom nobody has to be told that a value lies far outside of training."""
    with warnings.catch_warnings():
        hush_findings()
        return model.predict(cohort)
