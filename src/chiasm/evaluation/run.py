"""`evaluate`: every recipe on the same folds, inner selection included, resumable after any interruption."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from chiasm.artifact import write_text
from chiasm.cohort import Cohort, Survival, Unsupported, class_names, horizons
from chiasm.cohort.units import units_of
from chiasm.evaluation.fits import Clock, Context, Execute, Fit, Task, run_task, write_parquet
from chiasm.evaluation.metrics import PRIMARY, score
from chiasm.evaluation.protocol import Protocol, Split, inner_plan, plan
from chiasm.evaluation.summary import SINGLE, Inner, options_of, plain, summarise
from chiasm.evaluation.trial import Trial, TrialError, load_trial, read_document

WORK = ".work"
Progress = Callable[[int, int], None]


def run_trial(
    cohort: Cohort,
    recipes: Sequence[Any],
    protocol: Protocol,
    *,
    seed: int,
    out: Path | None,
    resume: bool,
    jobs: int,
    device: str,
    execute: Execute,
    clock: Clock,
    progress: Progress,
) -> Trial:
    """Fit every recipe on every outer training set and its inner ones, and summarise.

    Patients whose outcome is unknown, or who have no modality, are left out and counted.

    Args:
        out: the run folder; None keeps nothing on disk.
        resume: go on with the trial that `out` holds; one with other settings is refused.
        execute, clock: how tasks are run side by side, and how their work is timed.
        progress: called with (finished, all) training sets.

    Raises:
        TrialError: `out` holds a trial and `resume` is False, or holds another trial.
        ValueError: a negative seed, or a recipe that is named twice.
    """
    if seed < 0:
        raise ValueError(f"the seed is {seed}, and must be 0 or more")
    cohort, excluded = usable(cohort)
    names = [recipe.name for recipe in recipes]
    if len(set(names)) != len(names):
        raise ValueError(f"recipe '{max(names, key=names.count)}' is named twice")
    splits = plan(cohort, protocol, seed)
    inner_splits = {split.key: inner_plan(cohort, split, protocol, seed) for split in splits}
    tasks = make_tasks(recipes, splits, inner_splits)
    settings = fingerprint(cohort, recipes, protocol, seed)
    work = None
    if out is not None:
        finished = claim(out, settings, resume)
        if finished is not None:
            return finished
        work = out / WORK
    log(out, "started", patients=len(cohort), recipes=names, training_sets=len(tasks), seed=seed)
    fits: dict[tuple[str, str], Fit] = {}
    progress(0, len(tasks))
    context = Context(kept_together(cohort, protocol), tuple(recipes), seed, device, work, clock)
    for done, found in enumerate(execute(run_task, context, tasks, jobs), start=1):
        for fit in found:
            fits[(fit.recipe, fit.split)] = fit
            log(out, "fitted", recipe=fit.recipe, split=fit.split, seconds=round(fit.seconds, 3))
        progress(done, len(tasks))
    inner = inner_scores(cohort, recipes, splits, inner_splits, fits)
    outer = [fits[(name, split.key)] for name in names for split in splits]
    trial = summarise(cohort, excluded, recipes, protocol, seed, splits, outer, inner)
    if out is not None:
        store(trial, out, settings)
        shutil.rmtree(out / WORK, ignore_errors=True)
        log(out, "finished")
    return trial


def usable(cohort: Cohort) -> tuple[Cohort, int]:
    """The patients a trial can use, with horizons for survival, and how many were left out."""
    if cohort.target is None or cohort.outcome is None:
        raise Unsupported("evaluating needs a target: name one in [target], or give target=... to cohort_from_frames")
    keep = cohort.outcome.known & cohort.present.any(1)
    excluded = int((~keep).sum())
    if excluded == len(cohort):
        raise Unsupported("no patient has both a known outcome and a modality: there is nothing to evaluate")
    cohort = cohort if keep.all() else cohort.subset(keep)
    target, outcome = cohort.target, cohort.outcome
    if isinstance(target, Survival) and not target.times and outcome is not None:
        # The same horizons in every fold: where predictions are read off, not something a model learns.
        cohort = cohort.with_target(replace(target, times=horizons(outcome)), outcome)
    return cohort, excluded


def kept_together(cohort: Cohort, protocol: Protocol) -> Cohort:
    """The cohort whose groups are what the protocol keeps on one side, so that recipes split as the trial does."""
    if protocol.by is None and not protocol.group_duplicates:
        return cohort
    units = units_of(cohort, protocol.by, protocol.group_duplicates)
    return cohort if units is None else replace(cohort, group=units.astype(str))


def make_tasks(recipes: Sequence[Any], splits: Sequence[Split], inner_splits: dict[str, list[Split]]) -> list[Task]:
    """Every outer training set with all recipes, then the inner ones with those among which something is picked."""
    groups = [[n for n, r in enumerate(recipes) if (r.family == SINGLE) is single] for single in (True, False)]
    choosing = tuple(sorted(number for group in groups if len(group) > 1 for number in group))
    tasks = [Task(split, tuple(range(len(recipes)))) for split in splits]
    if choosing:
        tasks += [Task(inner, choosing) for split in splits for inner in inner_splits[split.key]]
    return tasks


def inner_scores(
    cohort: Cohort, recipes: Sequence[Any], splits: Sequence[Split], inner_splits: dict[str, list[Split]],
    fits: dict[tuple[str, str], Fit],
) -> Inner:  # fmt: skip
    """The mean primary metric of each recipe over the inner folds of each outer fold, where one can be estimated."""
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        return {}
    primary, found = PRIMARY[target.kind], {}
    classes = class_names(target)
    for recipe in recipes:
        for split in splits:
            values = []
            for inner in inner_splits[split.key]:
                fit = fits.get((recipe.name, inner.key))
                if fit is not None:
                    own = score(
                        target.kind, fit.frame, outcome.take(inner.test), classes, metrics=[primary], min_events=1
                    )
                    values.append(float(own[primary][0]))
            known = [value for value in values if np.isfinite(value)]
            if known:
                found[(recipe.name, split.repeat, split.fold)] = float(np.mean(known))
    return found


def fingerprint(cohort: Cohort, recipes: Sequence[Any], protocol: Protocol, seed: int) -> str:
    """What a trial depends on; two trials with the same one have the same figures.

    The options count beside the name: that of somebody else's recipe need not hold them.
    """
    asked = [[recipe.name, options_of(recipe)] for recipe in recipes]
    text = json.dumps([cohort.fingerprint, asked, protocol.as_json(), seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def claim(out: Path, settings: str, resume: bool) -> Trial | None:
    """Make `out` ours: the finished trial if it holds one and is resumed, None if there is work to do.

    Raises:
        TrialError: it holds something that must not be overwritten.
    """
    plan_file = out / WORK / "plan.json"
    stored = [file for file in (out / "trial.json", plan_file) if file.is_file()]
    if stored and not resume:
        raise TrialError(f"'{out.name}' holds a trial already: add --resume to go on with it, or choose another --out")
    # A work folder without a plan is what a run leaves that was killed before it had written one: nothing.
    if not stored and out.exists() and (not out.is_dir() or any(file.name != WORK for file in out.iterdir())):
        raise TrialError(f"'{out.name}' exists and is not a run folder: choose another --out")
    for file in stored:
        if read_document(file).get("settings") != settings:
            raise TrialError(
                f"'{out.name}' holds a trial with other data, recipes, protocol or seed: "
                "choose another --out, or repeat its settings"
            )
    if (out / "trial.json").is_file():
        return load_trial(out)
    write_text(plan_file, json.dumps({"settings": settings}))
    return None


def store(trial: Trial, out: Path, settings: str) -> None:
    """`predictions.parquet`, `outcomes.parquet`, then `trial.json`, whose presence says that the trial is finished."""
    write_parquet(out / "predictions.parquet", pa.Table.from_pandas(trial.predictions, preserve_index=False))
    write_parquet(out / "outcomes.parquet", pa.Table.from_pandas(trial.outcomes.reset_index(), preserve_index=False))
    write_text(
        out / "trial.json", json.dumps({**plain(trial.document), "settings": settings}, indent=1, allow_nan=False)
    )


def log(out: Path | None, event: str, **details: Any) -> None:
    """Append a line to `log.jsonl`: counts, names of recipes and folds, seconds; never a patient."""
    if out is None:
        return
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "event": event, **details})
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
