"""Fitting every recipe on one training set and keeping what it predicts: the only place where a recipe meets a fold."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from chiasm.cohort import Cohort
from chiasm.evaluation.protocol import Split

Clock = Callable[[], float]


class Execute(Protocol):
    """Runs `function(context, task)` for every task, perhaps side by side; yields results as they come."""

    def __call__(
        self, function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int
    ) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Fit:
    """What one recipe predicted for the tested patients of one split, in the cohort's sorted row order."""

    recipe: str
    split: str
    frame: pd.DataFrame
    seconds: float
    trained_parameters: int


@dataclass(frozen=True)
class Context:
    """What every fit of a trial shares. `work` is the folder of finished fits and checkpoints, None to keep nothing."""

    cohort: Cohort
    recipes: tuple[Any, ...]
    seed: int
    device: str
    work: Path | None
    clock: Clock


@dataclass(frozen=True)
class Task:
    """One training set and the recipes to fit on it, by their position in the trial."""

    split: Split
    recipes: tuple[int, ...]


def run_task(context: Context, task: Task) -> list[Fit]:
    """Fit each recipe of the task on the split's training rows and predict its test rows; finished ones are read back.

    Raises:
        RuntimeError: a recipe failed; the message names it and the fold.
    """
    train = context.cohort.subset(task.split.train)
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
        seed = (context.seed * 1_000_003 + zlib.crc32(task.split.key.encode())) % 2**31
        start = context.clock()
        try:
            model = recipe.fit(train, seed=seed, checkpoint=checkpoint, device=context.device)
            frame = model.predict(test.with_target(None, None))
        except (ArithmeticError, LookupError, RuntimeError, TypeError) as error:
            # Without its text, which may quote a patient; the cause is chained for whoever asks for the traceback.
            what = f"recipe '{recipe.name}' failed in {task.split.key} with a {type(error).__name__}"
            raise RuntimeError(what) from error
        fit = Fit(
            recipe.name, task.split.key, frame.loc[list(test.ids)], context.clock() - start, model.trained_parameters
        )
        fits.append(fit)
        if done is not None:
            _write(done, fit)
        if checkpoint is not None:
            shutil.rmtree(checkpoint, ignore_errors=True)
    return fits


def _write(path: Path, fit: Fit) -> None:
    """One parquet file, atomically; seconds and parameters travel in its metadata."""
    table = pa.Table.from_pandas(fit.frame)
    note = json.dumps({"seconds": fit.seconds, "trained_parameters": fit.trained_parameters})
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"chiasm": note.encode()})
    write_parquet(path, table)


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table atomically: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, staging)
    with staging.open("rb") as file:
        os.fsync(file.fileno())
    staging.replace(path)


def _read(path: Path, recipe: str, split: str) -> Fit:
    table = pq.read_table(path)
    note = json.loads(table.schema.metadata[b"chiasm"])
    return Fit(recipe, split, table.to_pandas(), float(note["seconds"]), int(note["trained_parameters"]))
