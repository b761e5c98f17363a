"""Public functions to encode a cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from chiasm.cohort import Cohort, Problem
from chiasm.cohort.opened import Given, as_cohort
from chiasm.compute.cluster import on_cluster
from chiasm.compute.pool import as_it_pays, default_jobs, side_by_side
from chiasm.encoding.encode import Encoded, encode_cohort
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.encoding.preparing import encode_for as encoded_as_at_fit
from chiasm.encoding.preparing import prepare as prepare_cohort
from chiasm.encoding.prune import open_store
from chiasm.progress import followed
from chiasm.protocols import Model
from chiasm.recipes import registry

ENGINES = {"local": side_by_side, "ray": on_cluster}


def encode(
    cohort: Given,
    encoders: Mapping[str, str] | None = None,
    *,
    store: Path | str | None = None,
    inputs: bool = False,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[[str, int, int], None] | None = None,
) -> Encoded:
    """Decode and encode every file, cell and event; the tokens of frozen encoders are stored and reused.

    `evaluate`, `fit` and `predict` do this automatically; call it to encode ahead of time or to choose encoders.

    Args:
        cohort: a cohort, or the path of a manifest.
        encoders: name of `list_encoders`, with options, per modality: `{"note": "minilm", "scan": "slices:count=16"}`;
            else the manifest's `encoder`, else the default of the kind.
        store: the folder of the token store; None takes `$CHIASM_STORE`, or the user's cache folder.
        inputs: also store the inputs of the encoders' networks, for recipes that adapt them (`lora`).
        jobs: number of processes; None takes the available cores.
        engine: "local", or "ray" for the cluster that `RAY_ADDRESS` names.
        progress: called with (modality, finished, all) sources; None draws a bar in a terminal or notebook.

    Returns:
        The encoded cohort, the problems of sources that could not be read, and counts of sources.

    Raises:
        Unsupported: there is no such encoder, or a package is missing; the message names its pip command.
        CohortError: none of a modality's sources can be read.
    """
    with followed("sources", progress) as told:
        return encode_cohort(
            as_cohort(cohort),
            encoders,
            store=open_store(store),
            inputs=inputs,
            jobs=jobs or default_jobs(),
            execute=as_it_pays if engine == "local" else engine_of(engine),
            progress=told,
        )


def encode_for(model: Model, cohort: Cohort, *, progress: Callable[[str, int, int], None] | None = None) -> Encoded:
    """Encode the modalities that a model uses as at its fit; the others are left unchanged.

    Raises:
        Unsupported: a modality is of another kind than at the fit, or its encoder or the encoder's weights differ.
    """
    with followed("sources", progress) as told:
        return encoded_as_at_fit(model, cohort, jobs=default_jobs(), execute=as_it_pays, progress=told)


def prepare(
    cohort: Given,
    recipes: Iterable[Any] = (),
    *,
    model: Model | None = None,
    checked: Sequence[Problem] | None = None,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[[str, int, int], None] | None = None,
) -> PreparedCohort:
    """Check and encode a cohort once; `fit`, `evaluate` and `federation_client` take what comes back as it is.

    Args:
        cohort: a cohort, or the path of a manifest.
        recipes: names or objects of the recipes to fit, some of which need the inputs of encoders' networks.
        model: encode what this model uses, as at its fit.
        checked: the result of `check_cohort`, if the cohort was checked already.
        jobs, engine, progress: as for `encode`.

    Raises:
        CohortError: `check_cohort` finds errors, an accepted finding was not made, or no source can be read.
        Unsupported: an encoder or a package is missing, or a recipe cannot learn the cohort's target.
    """
    opened, recipes = as_cohort(cohort), list(recipes)
    registry.require_target(recipes, opened.target)
    with followed("sources", progress) as told:
        return prepare_cohort(
            opened,
            model=model,
            checked=checked,
            inputs=registry.read_inputs(recipes),
            jobs=jobs or default_jobs(),
            execute=as_it_pays if engine == "local" else engine_of(engine),
            progress=told,
        )


def made_ready(
    cohort: Given | PreparedCohort,
    recipes: Iterable[Any],
    *,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[..., None] | None = None,
) -> PreparedCohort:
    """Check and encode a cohort and warn of what the check found; one that is prepared already is taken as it is.

    Args:
        progress: who follows training sets, and so sees no bar of sources.
    """
    if isinstance(cohort, PreparedCohort):
        return cohort
    quiet = None if progress is None else (lambda *told: None)
    ready = prepare(cohort, recipes, jobs=jobs, engine=engine, progress=quiet)
    warn_of_findings(ready.checked, stacklevel=3)
    return ready


def engine_of(name: str, gpus_per_trial: float | None = None) -> Any:
    """Return the function of an engine that executes tasks, on a cluster with so many GPUs for each.

    Raises:
        ValueError: there is no such engine, or GPUs are asked for each task and no cluster hands them out.
    """
    if name not in ENGINES:
        raise ValueError(f"engine '{name}' is not known: choose one of {', '.join(ENGINES)}")
    if gpus_per_trial is None:
        return ENGINES[name]
    if name != "ray":
        raise ValueError("GPUs for each trial are handed out by a cluster: say the engine 'ray' too")
    return partial(on_cluster, gpus=gpus_per_trial)
