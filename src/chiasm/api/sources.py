"""Sources of a cohort: cohorts and fitted models, opened, compared with it, and read as it is, before any fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chiasm import artifact
from chiasm.api.encoding import prepare
from chiasm.api.source_checks import of_source, partly_shared, require_answers, require_source, unknown_training
from chiasm.cohort import Cohort, CohortError
from chiasm.cohort.accepted import settle
from chiasm.cohort.lending import shared_parts
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.checking import examine
from chiasm.encoding.preparing import PreparedCohort
from chiasm.errors import Problem, error
from chiasm.fitting.model import FittedModel
from chiasm.fitting.source_model import SourceModel
from chiasm.recipes import registry

Source = Given | FittedModel
"""What is taken for a source: a cohort or its manifest, a fitted model or its folder."""
OF_FOLDS = ("never-tested", "without-fold", "two-folds", "fold-lacks-class", "fold-lacks-label", "unmade-finding")
"""Findings that matter to who is tested, and so to no source cohort."""


def with_sources(
    cohort: PreparedCohort, sources: Iterable[Source] = (), *, jobs: int | None = None, engine: str = "local"
) -> PreparedCohort:
    """Give a prepared cohort its sources: those of its manifest and these, cohorts prepared as it is.

    Sources are borrowed from by recipes such as `transfer`; nobody in a source cohort is ever scored, and of a fitted
    model no patient is needed. What a table shares with the cohort's only in part is a finding, and that nothing tells
    whom a model learned from.

    Args:
        cohort: from `prepare`; one that has its sources already, where no other is named, is returned as it is.
        sources: cohorts, fitted models, or the paths of manifests and model folders.
        jobs, engine: as for `encode`.

    Raises:
        CohortError: a source cannot be opened, or its check finds errors.
        Unsupported: another kind of target, other classes or another unit than the cohort's; nothing that both share;
            too few patients.
        LeakageError: it is the cohort itself, or learned from it, or a patient stands in both.
    """
    own, asked = cohort.cohort, list(sources)
    if not asked and (own.lenders or own.lent_models or not own.lender_paths):
        return cohort
    return lent(cohort, opened_sources(own, asked), jobs=jobs, engine=engine)


def lent(
    cohort: PreparedCohort, sources: Sequence[Cohort | SourceModel], *, jobs: int | None = None, engine: str = "local"
) -> PreparedCohort:
    """Prepare sources from `opened_sources`, and give them to a cohort; unchanged without any.

    Raises:
        Unsupported: a model that was fitted on other tokens, and so cannot be asked about these patients.
    """
    if not sources:
        return cohort
    own = cohort.cohort
    ready = [_prepared(own, source, jobs, engine) for source in sources if isinstance(source, Cohort)]
    models = [source for source in sources if isinstance(source, SourceModel)]
    notes = [note for lender in ready for note in partly_shared(own, lender)]
    for model in models:
        require_answers(own, model)
        notes += [*partly_shared(own, model), unknown_training(own, model)]
    known = {finding.problem for finding in cohort.checked}
    checked = (*cohort.checked, *settle([note for note in notes if note not in known], own.accepted))
    return replace(cohort, cohort=own.with_lenders(ready).with_lent_models(models), checked=checked)


def opened_sources(cohort: Cohort, sources: Iterable[Source] = ()) -> list[Cohort | SourceModel]:
    """Open the sources that a cohort's manifest names and these, once each is one that can be borrowed from.

    Args:
        cohort: encoded or not.
        sources: cohorts, fitted models, or the paths of manifests and model folders.
    """
    found: list[Cohort | SourceModel] = []
    for given in [*cohort.lender_paths, *sources]:
        source = opened_source(given, [own.name for own in found])
        require_source(cohort, source)
        if all(_content(source) != _content(before) for before in found):  # one that is named twice counts once
            found.append(source)
    return found


def opened_source(given: Source, taken: Sequence[str] = ()) -> Cohort | SourceModel:
    """Open a source: a model folder is known by its `model.json`, and has the name of its two last folders.

    Args:
        taken: names of other sources; a model that has one of them gets a number.

    Raises:
        CohortError: it cannot be opened.
    """
    if isinstance(given, FittedModel):
        return SourceModel(_other(given.recipe, taken), given)
    if (
        isinstance(given, str | os.PathLike)
        and artifact.holds_model(given)
        and not (Path(given) / "cohort.toml").exists()
    ):
        place = Path(given).resolve()
        try:
            model = artifact.load(place, bring=registry.bring)
        except artifact.ArtifactError as refused:
            what, _, fix = str(refused).rpartition(": ")
            raise CohortError([error(f"source model: {what or fix}", fix, finding="broken-source")]) from None
        if not isinstance(model, FittedModel):
            fix = "name a folder that chiasm fit wrote"
            what = f"source model '{place.name}': the folder holds a part of a model"
            raise CohortError([error(what, fix, finding="broken-source")])
        return SourceModel(_other("/".join(place.parts[-2:]), taken), model, os.fspath(given))
    try:
        return as_cohort(given)
    except CohortError as refused:
        raise of_source(str(given), refused) from None


def _other(name: str, taken: Sequence[str]) -> str:
    number = 1 + sum(own == name or own.startswith(f"{name} (") for own in taken)
    return name if number == 1 else f"{name} ({number})"


def _content(source: Cohort | SourceModel) -> str:
    return source.fingerprint if isinstance(source, Cohort) else source.identity


def own_problems(cohort: Cohort, lender: Cohort) -> list[Problem]:
    """List the problems of what a cohort would read of a source cohort, each told as the source's."""
    return of_source(lender.name, CohortError(examine(_read_of(cohort, lender))[1])).problems


def _read_of(cohort: Cohort, lender: Cohort) -> Cohort:
    """What is shared of a source cohort, each modality to be encoded as in the cohort."""
    names = sorted(shared_parts(cohort, lender))
    encoders = {name: cohort.encodings[name].encoder for name in names if name in cohort.encodings}
    own = replace(lender.with_modalities(names), fold=None, accepted={}, encoders=encoders, lenders=(), lender_paths=())
    return replace(own, findings=tuple(known for known in own.findings if known.finding not in OF_FOLDS))


def _prepared(cohort: Cohort, lender: Cohort, jobs: int | None, engine: str) -> Cohort:
    """Check and encode what is shared of a source cohort."""
    own = _read_of(cohort, lender)
    quiet: dict[str, Any] = {"progress": lambda *told: None}
    try:
        return prepare(own, checked=examine(own)[1], jobs=jobs, engine=engine, **quiet).cohort
    except CohortError as refused:
        raise of_source(lender.name, refused) from None
