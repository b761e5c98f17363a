"""Running a trial: every recipe on the same folds, inner selection included, resumable after any interruption."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.cohort.accepted import Finding
from chiasm.cohort.generated import require_real
from chiasm.cohort.units import units_of
from chiasm.errors import error
from chiasm.evaluation.candidates import first_modalities, forms_to_try
from chiasm.evaluation.description import described
from chiasm.evaluation.fits import Clock, Context, Execute, Fit, Task, run_task
from chiasm.evaluation.inner import inner_scores
from chiasm.evaluation.protocol import Protocol, Split, inner_plan, plan, with_repeats
from chiasm.evaluation.run_folder import WORK, claim, give_back, log, store
from chiasm.evaluation.sealing import plan_of, write_plan
from chiasm.evaluation.summary import Setting, options_of, plain, summarise
from chiasm.evaluation.trial import Trial, TrialError
from chiasm.evaluation.unlabelled import Unlabelled, unlabelled_of
from chiasm.fitting.sides import COMBINED, REFERENCES, SINGLE, sides_of

ALL_FORMS_UP_TO = 3  # with at most this many modalities, every one-modality form is tried
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Gathered:
    """Predictions of the recipes of a trial, before anything is concluded from them.

    Args:
        fits: predictions by (recipe, split).
        inner, own: inner scores over all patients, and of one-modality recipes over the patients with that modality.
    """

    setting: Setting
    fits: dict[tuple[str, str], Fit]
    inner: dict[tuple[str, int, str], float]
    own: dict[tuple[str, int, str], float]


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
    forms: Sequence[Any] = (),
    findings: Sequence[Finding] = (),
    contrasts: Sequence[tuple[str, str]] = (),
) -> Trial:
    """Fit every recipe on every outer training set and its inner ones, and summarise the results.

    Patients whose outcome is unknown, or who have no modality, are left out and counted. A recipe with a true
    `reads_unlabelled` reads the former beside the training patients of each fold; they are never scored.

    Args:
        out: the run folder; None keeps nothing on disk.
        resume: continue the trial that `out` holds; a trial with other settings is refused.
        execute, clock: how tasks are run in parallel, and the clock that times them.
        progress: called with (finished, all) training sets.
        forms: one-modality forms of the combined recipes that the trial may add by itself. With up to three modalities
            all of them are tried; with more, each outer fold tries those of the two modalities that rank first on its
            inner folds.
        findings: findings of the check, each with the reason for which it was accepted, or None.
        contrasts: pairs of recipes, named beforehand, whose difference is judged too.

    Raises:
        TrialError: `out` holds a trial and `resume` is False, or holds another trial; a model reads a modality that its
            recipe did not declare.
        ValueError: a negative seed, a recipe that is named twice, or a contrast with a recipe that is not in the trial.
        CohortError: sites are to be kept together, but each holds one patient.
    """
    if seed < 0:
        raise ValueError(f"the seed is {seed}, and must be 0 or more")
    require_real(cohort)
    everyone = cohort
    cohort, excluded = usable(everyone)
    protocol = with_repeats(protocol, cohort)
    require_clusters(cohort, protocol)
    every = [*recipes, *forms]
    names = [recipe.name for recipe in every]
    if len(set(names)) != len(names):
        raise ValueError(f"recipe '{max(names, key=names.count)}' is named twice")
    require_contrasts(contrasts, [*names, *REFERENCES])
    splits = plan(cohort, protocol, seed)
    inner_splits = {split.key: inner_plan(cohort, split, protocol, seed) for split in splits}
    unlabelled = unlabelled_of(everyone, every, lambda own: kept_together(own, protocol))
    settings = fingerprint(cohort, every, protocol, seed, contrasts, unlabelled)
    if out is not None:
        finished = claim(out, settings, resume)
        if finished is not None:
            return finished
        if cohort.sealed is not None:
            write_plan(out, plan_of(cohort, recipes, forms, protocol, seed, contrasts, settings))
    description = plain(described(everyone, cohort))  # before the fits: what fails here fails early
    gathered = fit_trial(
        cohort, recipes, forms, protocol, seed, splits, inner_splits, excluded=excluded, findings=findings,
        contrasts=contrasts, out=out, resume=resume, jobs=jobs, device=device, execute=execute, clock=clock,
        progress=progress, unlabelled=unlabelled,
    )  # fmt: skip
    trial = summarise(gathered.setting, gathered.fits, gathered.inner, gathered.own)
    trial = replace(trial, document={**trial.document, "description": description})
    if out is not None:
        store(trial, out, settings)
        shutil.rmtree(out / WORK, ignore_errors=True)
        log(out, "finished")
    return trial


def fit_trial(
    cohort: Cohort,
    recipes: Sequence[Any],
    forms: Sequence[Any],
    protocol: Protocol,
    seed: int,
    splits: Sequence[Split],
    inner_splits: dict[str, list[Split]],
    *,
    excluded: int,
    findings: Sequence[Finding],
    contrasts: Sequence[tuple[str, str]],
    out: Path | None,
    resume: bool,
    jobs: int,
    device: str,
    execute: Execute,
    clock: Clock,
    progress: Progress,
    unlabelled: Unlabelled | None = None,
) -> Gathered:
    """Fit every recipe on every outer and inner training set; arguments as in `run_trial`, for a usable cohort."""
    every, work = [*recipes, *forms], None if out is None else out / WORK
    many = len(cohort.modalities) > ALL_FORMS_UP_TO
    now = list(range(len(recipes) if many else len(every)))
    tasks = make_tasks(every, now, splits, inner_splits, cohort)
    log(out, "started", patients=len(cohort), recipes=[r.name for r in every], training_sets=len(tasks), seed=seed)
    fits: dict[tuple[str, str], Fit] = {}
    context = Context(kept_together(cohort, protocol), tuple(every), seed, device, work, clock, unlabelled)

    def fit_all(tasks: Sequence[Task], before: int, everything: int) -> None:
        progress(before, everything)
        for done, made in enumerate(execute(run_task, context, tasks, jobs), start=1):
            for fit in made:
                fits[(fit.recipe, fit.split)] = fit
                log(out, "fitted", recipe=fit.recipe, split=fit.split, seconds=round(fit.seconds, 3))
            progress(before + done, everything)

    try:
        fit_all(tasks, 0, len(tasks))
    except TrialError:
        if out is not None and not resume:
            give_back(out)
        raise
    first: dict[str, tuple[str, ...]] | None = None
    if many:
        first = first_modalities(cohort, every, splits, inner_splits, fits)
        added = forms_to_try(every, len(recipes), splits, inner_splits, first)
        fit_all(added, len(tasks), len(tasks) + len(added))
    tried = {name for name, _ in fits}
    every = [recipe for recipe in every if recipe.name in tried]
    needed = None if first is None else sorted({name for pair in first.values() for name in pair})
    setting = Setting(
        cohort, kept_together(cohort, protocol), excluded, every, protocol, seed, splits,
        sides_of(every, cohort, needed), tuple(findings), tuple(contrasts),
        0 if unlabelled is None else unlabelled.count,
    )  # fmt: skip
    inner = inner_scores(cohort, every, splits, inner_splits, fits)
    return Gathered(setting, fits, inner, inner_scores(cohort, every, splits, inner_splits, fits, own=True))


def usable(cohort: Cohort) -> tuple[Cohort, int]:
    """Restrict the cohort to the patients a trial can use, and count those left out."""
    if cohort.target is None or cohort.outcome is None:
        raise Unsupported("evaluating needs a target: name one in [target], or give target=... to cohort_from_frames")
    keep = cohort.outcome.known & cohort.present.any(1)
    excluded = int((~keep).sum())
    if excluded == len(cohort):
        raise Unsupported("no patient has both a known outcome and a modality: there is nothing to evaluate")
    return cohort if keep.all() else cohort.subset(keep), excluded


def require_clusters(cohort: Cohort, protocol: Protocol) -> None:
    """Refuse to keep sites together if each holds one patient, since nothing would be kept together.

    Raises:
        CohortError: every site holds one patient.
    """
    if protocol.by == "site" and cohort.site is not None:
        sites = [site for site in cohort.site.tolist() if site]
        if len(sites) == len(set(sites)):
            what = f"each of the {len(sites):,} sites holds one patient, so that keeping sites together keeps nothing"
            raise CohortError([error(what, "name the column of the hospitals as `site`", path=cohort.path)])


def require_contrasts(contrasts: Sequence[tuple[str, str]], names: Sequence[str]) -> None:
    """Refuse a named contrast of a recipe with itself or with a recipe that is not in the trial."""
    for pair in contrasts:
        lacking = [name for name in pair if name not in names]
        if lacking:
            raise ValueError(f"the contrast names '{lacking[0]}', no recipe of this trial: add it to the recipes")
        if pair[0] == pair[1]:
            raise ValueError(f"the contrast compares '{pair[0]}' with itself: name two recipes")


def kept_together(cohort: Cohort, protocol: Protocol) -> Cohort:
    """Set the cohort's groups to what the protocol keeps on one side, so that recipes split as the trial does."""
    if protocol.by is None and not protocol.group_duplicates:
        return cohort
    units = units_of(cohort, protocol.by, protocol.group_duplicates)
    return cohort if units is None else replace(cohort, group=units.astype(str))


def make_tasks(
    recipes: Sequence[Any], now: Sequence[int], splits: Sequence[Split], inner_splits: dict[str, list[Split]],
    cohort: Cohort,
) -> list[Task]:  # fmt: skip
    """Build the tasks: the recipes `now` on every outer training set, and on the inner ones where a choice is made.

    Inner folds rank every one-modality recipe, which `best-available` needs too, and the combined recipes if there are
    several. Sides are computed for all recipes; while one-modality forms may still be added, none is required.
    """
    sides = sides_of(recipes, cohort, None if len(now) == len(recipes) else ())
    chosen = [sides[recipes[number].name] for number in now]
    choosing = []
    if COMBINED in chosen or len(cohort.modalities) > 1:
        choosing += [number for number, side in zip(now, chosen, strict=True) if side == SINGLE]
    if chosen.count(COMBINED) > 1:
        choosing += [number for number, side in zip(now, chosen, strict=True) if side == COMBINED]
    tasks = [Task(split, tuple(now), first=split is splits[0]) for split in splits]
    if choosing:
        tasks += [Task(inner, tuple(sorted(choosing))) for split in splits for inner in inner_splits[split.key]]
    return tasks


def fingerprint(
    cohort: Cohort,
    recipes: Sequence[Any],
    protocol: Protocol,
    seed: int,
    contrasts: Sequence[tuple[str, str]] = (),
    unlabelled: Unlabelled | None = None,
) -> str:
    """Hash everything that a trial's figures depend on; trials with equal hashes have the same figures.

    The options are hashed beside the name, because the name of a third-party recipe need not contain them.
    """
    asked = [[recipe.name, options_of(recipe)] for recipe in recipes]
    settings: list[Any] = [cohort.fingerprint, asked, protocol.as_json(), seed, list(contrasts)]
    settings += [[own.column, own.level.tolist()] for own in cohort.subgroups]  # their figures are the trial's too
    settings += [] if unlabelled is None else [unlabelled.whole.fingerprint]
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
