"""The public functions: names resolved to recipes, parts put together."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm import artifact
from chiasm.artifact import ArtifactError
from chiasm.cohort import Cohort, CohortError, LeakageError, Problem, Unsupported, open_cohort
from chiasm.cohort.accepted import settle
from chiasm.cohort.demo import demo_cohort
from chiasm.cohort.errors import hush_findings
from chiasm.doctor import diagnose, require_device
from chiasm.encoders import Encoded, TokenStore, encode_cohort, list_encoders
from chiasm.encoders.catalogue import import_fitted
from chiasm.encoders.checking import examine, kept_together, require_sound
from chiasm.encoders.choice import require_same
from chiasm.encoders.encode import unseen
from chiasm.encoders.store_prune import Pruned, open_store, prune_store
from chiasm.evaluation import Protocol, Trial, TrialError, run_trial
from chiasm.evaluation import load_trial as read_trial
from chiasm.federated.public import federation_client, federation_server, invite, new_federation
from chiasm.merging.methods import require_base
from chiasm.merging.tensors import require_weights
from chiasm.protocols import Model
from chiasm.recipes import registry
from chiasm.recipes.merged import Merged, merge_fitted, method_of, require_alike
from chiasm.recipes.merged_blocks import block_method_of, hold_blocks, merge_blocks, require_blocks
from chiasm.recipes.merged_scores import primary_of, recalibrated, scores_of
from chiasm.recipes.merged_singles import hold_singles, merge_singles, require_singles
from chiasm.retrieval import require_patients, retrieval_scores
from chiasm.retrieval import similar as nearest_patients
from chiasm.training.cluster import on_cluster
from chiasm.training.memo import work_clock
from chiasm.training.pool import as_it_pays, default_jobs, side_by_side

__all__ = [
    "ArtifactError", "Cohort", "CohortError", "Encoded", "LeakageError", "Merged", "Problem", "Protocol", "Pruned",
    "TokenStore", "Trial", "TrialError", "Unsupported", "check_cohort", "demo_cohort", "diagnose", "encode",
    "encode_for", "evaluate", "examine", "federation_client", "federation_server", "fit", "hush_findings", "invite",
    "list_encoders", "list_recipes", "load_model", "load_trial", "merge", "names_in_trial", "new_federation",
    "open_cohort", "open_store", "prune_store", "read_inputs", "require_device", "score_similar", "similar",
    "split_names",
]  # fmt: skip

ENGINES = {"local": side_by_side, "ray": on_cluster}
list_recipes = registry.list_recipes
names_in_trial = registry.names_in_trial
read_inputs = registry.read_inputs
split_names = registry.split_names


def check_cohort(cohort: Cohort | str | os.PathLike[str]) -> list[Problem]:
    """Every problem of a cohort or of a manifest, errors first; only errors stop a run.

    Values, identifiers, targets and folds, and what the headers of files say; no weight is loaded for it. A file that
    cannot be read is a warning, since its patient counts as one who lacks the modality, unless none of them can be.
    """
    return examine(cohort)[1]


def encode(
    cohort: Cohort,
    encoders: Mapping[str, str] | None = None,
    *,
    store: Path | str | None = None,
    inputs: bool = False,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[[str, int, int], None] | None = None,
) -> Encoded:
    """Every file, cell and event decoded and encoded; what a frozen encoder gives is kept, and never computed again.

    `evaluate`, `fit` and `predict` do this first; it is for encoding ahead, and for choosing encoders.

    Args:
        encoders: modality to a name of `list_encoders`, with options: `{"note": "minilm", "scan": "slices:count=16"}`;
            else the manifest's `encoder`, else the default of the kind.
        store: the folder of the token store; None takes `$CHIASM_STORE`, or the user's cache folder.
        inputs: keep what the networks of encoders read too, for recipes that adapt them (`lora`).
        jobs: processes; None takes the cores there are.
        engine: "local", or "ray": the cluster that `RAY_ADDRESS` names.
        progress: called with (modality, finished, all) sources.

    Returns:
        The cohort to go on with, the sources that could not be read, and counts.

    Raises:
        Unsupported: there is no such encoder, or a package is missing; the message names its pip command.
        CohortError: none of a modality's sources can be read.
    """
    return encode_cohort(
        cohort,
        encoders,
        store=open_store(store),
        inputs=inputs,
        jobs=jobs or default_jobs(),
        execute=as_it_pays if engine == "local" else engine_of(engine),
        progress=progress or unseen,
    )


def encode_for(model: Model, cohort: Cohort, *, progress: Callable[[str, int, int], None] | None = None) -> Encoded:
    """The modalities that a model reads, encoded as at its fit; the others are left as they are.

    Raises:
        Unsupported: a modality is of another kind than at the fit, or its encoder or the encoder's weights differ.
    """
    encodings = getattr(model, "encodings", {})
    require_same(cohort, encodings)
    chosen = {name: own.encoder for name, own in encodings.items() if name in cohort.modalities}
    bags = {name for name in cohort.modalities if cohort.kinds[name] == "bag"} & set(getattr(model, "modalities", ()))
    inputs = bool(getattr(model, "reads_inputs", False))
    found = encode(cohort.with_modalities(sorted({*chosen, *bags})), chosen, inputs=inputs, progress=progress)
    return Encoded(cohort.merged(found.cohort), found.problems, found.counts)


def engine_of(name: str) -> Any:
    """How tasks are run.

    Raises:
        ValueError: there is no such engine.
    """
    if name not in ENGINES:
        raise ValueError(f"engine '{name}' is not known: choose one of {', '.join(ENGINES)}")
    return ENGINES[name]


def encoded(cohort: Cohort, recipes: Sequence[Any], *, engine: str = "local", jobs: int | None = None) -> Cohort:
    """The cohort encoded as these recipes read it; how many sources could not be read is a Python warning."""
    found = encode(cohort, inputs=read_inputs(recipes), engine=engine, jobs=jobs)
    if found.problems:
        refused = sum(count.refused for count in found.counts.values())
        message = f"{refused:,} sources cannot be read and count as absent: chiasm.encode(cohort).problems lists them"
        warnings.warn(message, stacklevel=3)
    return found.cohort


def evaluate(
    cohort: Cohort,
    recipes: Iterable[str | Any] | None = None,
    protocol: Protocol | None = None,
    *,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    jobs: int | None = None,
    engine: str = "local",
    device: str = "cpu",
    contrasts: Iterable[tuple[str, str]] = (),
    checked: Sequence[Problem] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """Every recipe on the same folds: out-of-fold predictions, scores with intervals, and the verdict.

    Args:
        cohort: with a target.
        recipes: names (`"late-fusion"`, `"lego-fuse:mode=weave"`, `"single:rna"`) or recipe objects; None takes every
            modality alone and every recipe that supports the cohort.
        protocol: folds, repeats, margin; the folds that the cohort prescribes unless it says otherwise.
        seed: of the splits, the fits and the bootstrap.
        out: the run folder: `trial.json`, `predictions.parquet`, `outcomes.parquet`, `report.html`, `log.jsonl`.
        resume: go on with the trial that `out` holds.
        jobs: processes; None takes the cores there are, but one where a process cannot be forked (macOS, Windows),
            since a script without a `__main__` guard would be run again in each.
        engine: "local", or "ray": encoding and training sets run on the cluster that `RAY_ADDRESS` names.
        contrasts: pairs `(recipe, against)` of the trial, named beforehand, each judged by its own interval.
        checked: what `check_cohort` found before the cohort was encoded; None checks it here.
        progress: called with (finished, all) training sets.

    Raises:
        CohortError: `check_cohort` finds errors, or a finding is accepted that was not made.
        Unsupported: a recipe that was asked for cannot be fitted on this cohort.
        TrialError: `out` holds a trial already and `resume` is False, or another trial.
    """
    findings = require_sound(cohort, checked)
    recipes = None if recipes is None else list(recipes)
    ready = encode(cohort, inputs=read_inputs(recipes or []), engine=engine, jobs=jobs)
    findings += settle(ready.problems, cohort.accepted)
    if protocol is not None and protocol.group_duplicates:
        findings = [kept_together(finding) for finding in findings]
    cohort = ready.cohort
    chosen, forms = registry.for_trial(recipes, cohort)
    folder = Path(out) if out is not None else None
    trial = run_trial(
        cohort,
        chosen,
        protocol or Protocol(),
        seed=seed,
        out=folder,
        resume=resume,
        jobs=jobs or default_jobs(),
        device=device,
        execute=engine_of(engine),
        clock=work_clock,
        progress=progress or (lambda finished, everything: None),
        forms=forms,
        findings=findings,
        contrasts=list(contrasts),
    )
    trial = Trial(trial.document, trial.predictions, trial.outcomes, _report)
    if folder is not None and not (folder / "report.html").exists():
        trial.report(folder / "report.html")
    return trial


def fit(
    cohort: Cohort, recipe: str | Any, *, seed: int = 0, device: str = "cpu", checkpoint: Path | str | None = None
) -> Model:
    """Fit one recipe on every patient of the cohort whose outcome is known.

    Args:
        recipe: a name with its options, or a recipe object.
        checkpoint: a folder; training goes on from what an interrupted fit left there.
    """
    require_sound(cohort)
    cohort = encoded(cohort, [recipe])
    (chosen,) = registry.resolve([recipe], cohort)
    model: Model = chosen.fit(cohort, seed=seed, checkpoint=Path(checkpoint) if checkpoint else None, device=device)
    return model


def load_model(path: Path | str) -> Model:
    """Read a model folder. Nothing in it is executed.

    Raises:
        ArtifactError: the folder is not a model, is damaged, or was changed.
    """
    registry.recipe_classes()  # names of the parts that a model may hold
    import_fitted()
    model = artifact.load(path)
    if not isinstance(model, Model):
        raise artifact.ArtifactError(f"'{Path(path).name}' holds a part of a model, not a model")
    return model


def similar(
    cohort: Cohort,
    patients: Iterable[str],
    by: str | Model,
    *,
    k: int = 10,
    method: str = "auto",
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """The k other patients of the cohort that are most like each of these: patient, rank, neighbour, distance.

    Args:
        cohort: whom to search, and among whom; encoded first where it is not.
        patients: identifiers.
        by: a modality, or a fitted model, whose embedding of all modalities is compared.
        method: "exact", "index" (LanceDB), or "auto": the index above 200,000 patients.
        progress: called with (modality, finished, all) sources.

    Raises:
        Unsupported: a patient is not in the cohort or lacks what is compared, or the model has no embedding.
    """
    chosen = list(patients)
    require_patients(cohort, chosen, by)
    if isinstance(by, str):
        found = encode(cohort.with_modalities([by]), progress=progress)
    else:
        found = encode_for(by, cohort, progress=progress)
    return nearest_patients(found.cohort, chosen, by, k=k, method=method)


def score_similar(
    cohort: Cohort, by: str | Model, *, seed: int = 0, progress: Callable[[str, int, int], None] | None = None
) -> pd.DataFrame:
    """How well the patients most like a patient share its class: see `chiasm.retrieval.retrieval_scores`."""
    if isinstance(by, str):
        found = encode(cohort.with_modalities([by]), progress=progress)
    else:
        found = encode_for(by, cohort, progress=progress)
    return retrieval_scores(found.cohort, by, seed=seed)


def load_trial(folder: Path | str) -> Trial:
    """Read a finished trial back from its run folder."""
    return read_trial(folder, _report)


def merge(
    models: Sequence[Path | str | Model],
    method: str | None = None,
    *,
    weights: Sequence[float] | None = None,
    base: Path | str | Model | None = None,
    cohort: Cohort | None = None,
) -> Merged:
    """One model from several, without training: networks of one recipe and encoders, or models of other modalities.

    Blocks of `lego-merge` and models of `single` are of different modalities, each trained where it is measured, and no
    patient needs two of them. What does not fit is said before a weight is read.

    Args:
        models: folders, or fitted models.
        method: of networks linear (the default), slerp, task-arithmetic, ties, dare, dare-ties or breadcrumbs, with
            options as in "ties:density=0.5"; see `chiasm.merging`. Of blocks mean (the default), harmonic or geometric,
            and how heads are merged, as in "mean:head=linear": slerp (the default), linear or ot. Of `single` and
            `late-fusion` the mean.
        weights: one number >= 0 for each model; None: equal.
        base: what the models were fine-tuned from, for methods that need it.
        cohort: with the target; every model and the merged one are scored on it, and the merged one is calibrated on it
            afterwards. Choose patients of whom no model was fitted: on others, the models that know them look better
            than they are.

    Returns:
        The merged model, also where another scores better: `Merged.best` and `Merged.warning` say so.

    Raises:
        Unsupported: models that are no networks, or differ in more than their weights.
        ValueError: tensors or shapes that differ; an unknown method or option; weights that are none.
        ArtifactError: a folder that is not a model, or is damaged.
    """
    given = [*models, *([] if base is None else [base])]
    if not models:
        raise ValueError("there is no model to merge: give one or more")
    share = [1.0] * len(models) if weights is None else list(weights)
    require_weights(share, len(models))
    names = [f"model {number}" for number in range(1, len(models) + 1)]
    names = [
        f"{name} ({Path(own).name})" if isinstance(own, str | Path) else name
        for name, own in zip([*names, "the base"], given, strict=False)
    ]
    outlined = [artifact.outline(own) if isinstance(own, str | Path) else artifact.outline_of(own) for own in given]
    blocks, singles = hold_blocks(outlined), hold_singles(outlined)
    if (blocks or singles) and base is not None:
        raise ValueError("models of different modalities have no base to merge from: leave it out")
    if blocks:
        joining = block_method_of(method or "mean")
        require_blocks(outlined, names, share, joining)
    elif singles:
        require_singles(outlined, names, share, method)
    else:
        chosen = method_of(method or "linear")
        require_base(chosen, base is not None)
        require_alike(outlined, names)
    loaded: list[Any] = [load_model(own) if isinstance(own, str | Path) else own for own in given]
    parents, origin = loaded[: len(models)], loaded[-1] if base is not None else None
    if blocks:
        merged = merge_blocks(parents, share, joining)
    else:
        merged = merge_singles(parents) if singles else merge_fitted(parents, names, share, chosen, origin)
    if cohort is None:
        return Merged(merged, primary_of(merged), {})
    require_sound(cohort, tolerated=["modality-of-nobody"])
    cohort = encode_for(merged, cohort).cohort
    scores = scores_of({**dict(zip(names, parents, strict=False)), "merged": merged}, cohort)
    fitted, patients = recalibrated(merged, cohort)
    return Merged(fitted, primary_of(merged), scores, patients)


def _report(trial: Trial, path: Path) -> Path:
    from chiasm.report import write_report

    return write_report(trial, path)
