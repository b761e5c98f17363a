"""Public functions to seal a test set before the first look, and to open it once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chiasm.api.encoding import encode, prepare
from chiasm.api.source_checks import require_source
from chiasm.api.sources import Source, lent, opened_sources
from chiasm.api.trials import load_trial
from chiasm.cohort import require_disjoint
from chiasm.cohort.seal import add_opening
from chiasm.cohort.sealing import compared, open_sealed, seal_cohort
from chiasm.encoding.checking import examine
from chiasm.encoding.findings import stopping
from chiasm.encoding.preparing import warn_of_findings
from chiasm.evaluation import Trial, TrialError
from chiasm.recipes import registry


def seal(
    cohort: str | os.PathLike[str], test: float | None = None, *, seed: int | None = None, by: str | None = None
) -> Path:
    """Draw a stratified test set of a manifest's patients, and seal it in `<manifest>.seal.json`.

    From then on `open_cohort`, and every function and command that opens the manifest, gives the patients outside the
    seal alone. Groups, and patients identical in every modality, stay on one side. The cohort is checked first, as
    `check_cohort` does but for its sources: errors stop the sealing, and of warnings nothing is said.

    Args:
        cohort: the manifest, or the folder that holds it as `cohort.toml`.
        test: share of the patients with a known outcome; None: what `[seal]` of the manifest says, else a fifth.
        seed: seed of the draw; None: what `[seal]` says, else 0.
        by: "site" keeps each site on one side; None: what `[seal]` says.

    Returns:
        The file that was written, readable by its owner alone: counts and salted hashes, no identifier.

    Raises:
        CohortError: the cohort has errors, is sealed already, or would have too few patients on one side.
        ValueError: the share does not lie between 0 and 1, or `[seal]` says something else than the arguments.
    """
    return seal_cohort(cohort, test, seed=seed, by=by, check=lambda everyone: stopping(examine(everyone)[1]))


def open_seal(
    run: str | os.PathLike[str],
    cohort: str | os.PathLike[str],
    *,
    recipes: Iterable[Any] = (),
    device: str = "cpu",
    sources: Iterable[Source] = (),
) -> Trial:
    """Score the picks of a finished trial on the sealed patients, note the opening, and write the page anew.

    Everything is compared with what was hashed before: the sealed patients with the seal, the patients outside, the
    recipes, the rules and the seed with what the run named before anything was fitted. The best single and the best
    combined recipe, `presence` and `null` are fitted on all patients outside and asked about the sealed ones, without
    their outcomes. Then the opening is noted in the seal, so that one that is stopped counts too, and they are scored.
    The folder of the run gets `sealed.json`, `sealed_predictions.parquet` and `sealed_outcomes.parquet`. A second
    opening is allowed, and told on every page.

    Args:
        run: the folder of a trial that `evaluate` wrote for the sealed cohort.
        cohort: the manifest; a run remembers no path.
        recipes: recipe objects of the trial that cannot be made again from their names.
        device: where torch computes.
        sources: the source cohorts of the trial that the manifest does not name.

    Returns:
        The trial as it is now, with `document["sealed"]`.

    Raises:
        CohortError: the cohort is not sealed, the seal is damaged or another one, or a sealed patient has changed.
        LeakageError: a sealed patient, group or site, or a copy of one, stands among the patients outside, or in a
            source cohort.
        TrialError: the folder holds no such trial, or something differs from what was hashed. Nothing is written.
    """
    from chiasm.evaluation.opening import asked, picks_of, scored_once, store_opening
    from chiasm.evaluation.run import usable
    from chiasm.evaluation.run_folder import log
    from chiasm.evaluation.sealing import differences, read_plan
    from chiasm.evaluation.summary import options_of, plain

    folder = Path(run)
    trial, plan = load_trial(folder), read_plan(folder)
    opened = open_sealed(cohort)
    changed, otherwise = compared(opened.manifest, opened.seal)
    if changed:
        raise _unopened(changed)
    names, given = picks_of(trial), {recipe.name: recipe for recipe in recipes}
    picked = [given.get(name, name) for name in names]
    lenders = opened_sources(opened.outside, sources)
    for lender in lenders:
        require_source(opened.sealed, lender)
        require_source(opened.everyone, lender)  # a model of both sides is known by neither alone
    ready = lent(prepare(opened.outside, picked), lenders)
    warn_of_findings(ready.checked)
    train, _ = usable(ready.cohort)
    if different := differences(plan, trial, train):
        raise _unopened(different)
    chosen = registry.resolve(picked, train)
    named = {**plan["forms"], **plan["recipes"]}
    if other := [recipe.name for recipe in chosen if plain(options_of(recipe)) != named[recipe.name]]:
        raise _unopened(
            [f"recipe '{name}' is made otherwise than in the trial: give it in `recipes`" for name in other]
        )
    sealed = encode(opened.sealed, inputs=registry.read_inputs(picked)).cohort
    if sealed.target is None or train.target is None or sealed.target.names != train.target.names:
        raise _unopened(["the sealed patients and the others do not have the same classes"])
    left_out = len(sealed) - len(usable(sealed)[0])
    require_disjoint(train, sealed, by=opened.seal.drawn.by, group_duplicates=True)  # of records added since, too
    said = asked(trial, train, sealed, chosen, seed=plan["seed"], device=device)
    seal_now = add_opening(opened.file, opened.seal.identity, plan["hash"], names)
    number = seal_now.openings[-1].number
    log(folder, "seal opened", number=number, recipes=names)
    found = scored_once(trial, said, seed=plan["seed"])
    store_opening(folder, trial, found, seal_now, plan=plan["hash"], left_out=left_out, otherwise=otherwise)
    log(folder, "seal scored", number=number)
    after = load_trial(folder)
    after.report(folder / "report.html")
    return after


def _unopened(reasons: list[str]) -> TrialError:
    return TrialError(f"the seal stays closed: {'; '.join(reasons)}")
