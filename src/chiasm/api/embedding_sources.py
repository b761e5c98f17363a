"""Where the embeddings that `embed` compares come from: encoders of a modality, files, and fitted models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.api.encoding import encode, encode_for
from chiasm.api.models import load_model
from chiasm.cohort import Cohort, Problem, Unsupported
from chiasm.cohort.kinds import TABLE, as_read, has_form
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoders.adaptable import is_adaptable
from chiasm.encoders.choice import choose
from chiasm.encoding.checking import require_sound
from chiasm.encoding.preparing import warn_of_findings
from chiasm.errors import count
from chiasm.evaluation.run import usable
from chiasm.fitting.embedded.files import read_vectors
from chiasm.fitting.embedded.layers import layer_vectors
from chiasm.fitting.embedded.learned import require_one_outcome
from chiasm.fitting.embedded.pooling import pooled_vectors
from chiasm.fitting.embedded.vectors import RawColumns, Vectors
from chiasm.fitting.model import FittedModel
from chiasm.protocols import reads_inputs
from chiasm.recipes import registry
from chiasm.retrieval import embed_model

RAW_ENCODERS = {"image": "patches:size=32,patch=32", "volume": "volume-patches:size=16,patch=16"}
"""Raw input of files by what they are read as: grey pixels at 32 x 32, voxels at 16 x 16 x 16."""
SEEN_BEFORE = (
    "'{name}' is a fitted model: whoever of these patients it was fitted on, or was chosen by, it knows too well, and "
    "its figures hold only for others"
)


@dataclass(frozen=True)
class Gathered:
    """Embeddings of the same patients, by row of `cohort`, with the raw input; None where the kind has none."""

    cohort: Cohort
    vectors: tuple[Vectors, ...]
    raw: Vectors | RawColumns | None
    layers: tuple[Vectors, ...]
    adaptable: Cohort | None
    encoded: str
    notes: tuple[str, ...]
    leaks: tuple[str, ...]


def gathered(
    cohort: Given,
    *,
    modality: str | None,
    encoders: Sequence[str],
    files: str | Path | Iterable[str | Path] | Mapping[str, str | Path],
    models: Sequence[Any],
    pool: str,
    baselines: bool,
    layers: bool,
    adapt: Sequence[Any],
    checked: Sequence[Problem] | None,
    jobs: int | None,
    engine: str,
    progress: Callable[..., None] | None,
) -> Gathered:
    """Check the cohort, make or read every embedding, and keep the patients who have them all and a known outcome.

    Raises:
        CohortError: the check finds errors, or a file of embeddings is no such file.
        Unsupported: no target, one of options of each patient's own, nothing to compare, or nobody is left.
    """
    whole = as_cohort(cohort)
    usable(whole)  # a target, before anything is read
    assert whole.target is not None  # `usable` has asked
    require_one_outcome(whole.target)
    given = named_files(files)
    chosen = chosen_modality(whole, modality, bool(encoders) or not (given or models), baselines)
    quiet = None if progress is None else (lambda *told: None)
    notes, vectors = [], []
    for name, path in given.items():
        read = read_vectors(path, whole, name or None)
        vectors.append(read.vectors)
        if read.strangers:
            notes.append(f"'{read.vectors.name}' has {count(read.strangers, 'row')} of nobody in the cohort")
    specs = list(encoders) or ([] if given or models else [whole.encoders.get(chosen, "") if chosen else ""])
    inputs = bool(adapt)
    if (layers or inputs) and len(specs) != 1:
        raise Unsupported("layers are read, and a network is adapted, of one encoder: name one (--encoder)")
    base = whole.with_modalities([chosen]) if chosen else whole
    _require_not_encoded(base, specs, layers or inputs)
    findings = require_sound(base, checked)
    if checked is None:
        warn_of_findings(findings, stacklevel=3)
    if adapt and chosen is not None:
        require_adaptation(base, chosen, specs[0], adapt, jobs=jobs, engine=engine)
    states: list[Vectors] = []
    adaptable: Cohort | None = None
    encoded = ""
    for spec in specs:
        assert chosen is not None  # asked for, or refused by `chosen_modality`
        named = {chosen: spec} if spec else None
        own = encode(base, named, inputs=layers or inputs, jobs=jobs, engine=engine, progress=quiet).cohort
        encoded = spec or (own.encodings[chosen].encoder if chosen in own.encodings else chosen)
        vectors.append(pooled_vectors(own, chosen, encoded, pool))
        states = layer_vectors(own, chosen, pool) if layers else []
        adaptable = own if inputs else None
    for model in models:
        fitted = load_model(model) if isinstance(model, str | Path) else model
        own_name = str(fitted.recipe) if isinstance(fitted, FittedModel) else "model"
        called = Path(model).name if isinstance(model, str | Path) else own_name
        rows, values = embed_model(fitted, encode_for(fitted, whole, progress=quiet).cohort)
        placed = np.full((len(whole), values.shape[1]), np.nan, np.float32)
        placed[rows] = values
        vectors.append(Vectors(called, placed))
        notes.append(SEEN_BEFORE.format(name=called))
    raw = _raw(base, chosen, jobs, engine, quiet) if baselines and chosen else None
    if baselines and raw is None:
        notes.append(_no_raw(whole, chosen))
    leaks = tuple(own.words for own in findings if own.leak)
    return _compared(whole, vectors, raw, states, adaptable, encoded, notes, leaks)


def require_adaptation(
    cohort: Cohort, modality: str, spec: str, recipes: Sequence[Any], *, jobs: int | None, engine: str
) -> None:
    """Refuse recipes that cannot adapt an encoder's network to this cohort, before all of it is encoded.

    What the specification of the encoder and the recipes do not show is asked of two patients.

    Raises:
        Unsupported: a recipe adapts no network, the encoder has none, or they do not go together.
    """
    from chiasm.recipes.adaptation.adapted import AdaptedRecipe

    for recipe in recipes:
        made = registry.named(recipe)
        if not (reads_inputs(made) or isinstance(made, AdaptedRecipe)):  # `probe` reads tokens alone
            raise Unsupported(f"recipe '{made.name}' adapts no network of an encoder: name one that does, as lora")
    chosen = choose(cohort.kinds[modality], spec or None)
    if not is_adaptable(chosen.encoder):
        raise Unsupported(
            f"the encoder '{chosen.spec}' has no network that can be adapted: name one that has, as hf:folder, or "
            "leave out adapt (--adapt)"
        )
    few = cohort.without(modality, cohort.rows_of(modality)[2:])
    tried = encode(few, {modality: chosen.spec}, inputs=True, jobs=jobs, engine=engine, progress=_unseen).cohort
    registry.resolve(recipes, tried)


def _unseen(*told: Any) -> None:
    """No-op progress callback: two patients are soon encoded."""


def _require_not_encoded(cohort: Cohort, specs: Sequence[str], inputs: bool) -> None:
    """Refuse a modality that was encoded already, where another encoder is asked for, or its network."""
    for name, own in cohort.encodings.items():
        if inputs or any(specs):
            raise Unsupported(
                f"modality '{name}' was encoded by '{own.encoder}' already: give the cohort as it was opened"
            )


def named_files(files: Any) -> dict[str, Path]:
    """Files by the names that they are given; `name=path` names one too."""
    if isinstance(files, Mapping):
        return {str(name): Path(path) for name, path in files.items()}
    listed = [files] if isinstance(files, str | Path) else list(files)
    found: dict[str, Path] = {}
    for own in listed:
        name, sign, path = str(own).partition("=")
        named = sign and not Path(str(own)).exists()
        called = name if named else _stem(Path(own))
        if called in found:
            raise ValueError(f"two files of embeddings are called '{called}': name them, as first={Path(own).name}")
        found[called] = Path(path) if named else Path(own)
    return found


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name


def chosen_modality(cohort: Cohort, modality: str | None, needed: bool, baselines: bool) -> str | None:
    """The modality that encoders read and that is the raw input; None where nothing asks for one.

    Raises:
        Unsupported: encoders are asked for, and there is no modality of files, cells or events, or several.
        ValueError: there is no such modality.
    """
    if modality is not None:
        cohort.with_modalities([modality])
        if needed and has_form(cohort.kinds[modality], TABLE):
            raise Unsupported(_only_columns(f"modality '{modality}' is columns"))
        return modality
    able = [name for name in cohort.modalities if not has_form(cohort.kinds[name], TABLE)] if needed else []
    if needed and not able:
        raise Unsupported(_only_columns("the cohort holds columns alone"))
    likely = able or (list(cohort.modalities) if baselines else [])
    if len(likely) > 1:
        raise Unsupported(
            f"there are the modalities {', '.join(likely)}: name the one that is asked, by modality (--modality)"
        )
    return likely[0] if likely else None


def _only_columns(what: str) -> str:
    return f"{what}, which no frozen encoder reads: give a file of embeddings (--file) or a fitted model (--model)"


def _raw(
    cohort: Cohort, modality: str, jobs: int | None, engine: str, progress: Callable[..., None] | None
) -> Vectors | RawColumns | None:
    """The raw input of a modality: its columns, its pixels or its voxels; None for other kinds."""
    kind = cohort.kinds[modality]
    if has_form(kind, TABLE):
        return RawColumns("raw", cohort, modality)
    spec = RAW_ENCODERS.get(kind) or RAW_ENCODERS.get(as_read(kind))
    if spec is None or modality in cohort.encodings:
        return None
    encoded = encode(cohort, {modality: spec}, jobs=jobs, engine=engine, progress=progress).cohort
    return pooled_vectors(encoded, modality, "raw", "flat")


def _no_raw(cohort: Cohort, modality: str | None) -> str:
    if modality is None:
        return "no modality was named, so that nothing is compared with the raw input"
    return (
        f"modality '{modality}' of kind '{cohort.kinds[modality]}' has no raw input of one length: nothing is compared "
        "with it"
    )


def _compared(
    whole: Cohort,
    vectors: Sequence[Vectors],
    raw: Vectors | RawColumns | None,
    states: Sequence[Vectors],
    adaptable: Cohort | None,
    encoded: str,
    notes: list[str],
    leaks: tuple[str, ...],
) -> Gathered:
    """Keep who has every embedding, the raw input and a known outcome."""
    assert whole.outcome is not None  # `usable` has asked
    keep = whole.outcome.known & whole.present.any(1)
    known = int(keep.sum())
    for own in vectors:
        lacking = int((keep & ~own.has).sum())
        if lacking:
            notes.append(f"'{own.name}' has no vector of {count(lacking, 'patient')} of known outcome")
        keep = keep & own.has
    if isinstance(raw, Vectors):
        keep = keep & raw.has
    elif raw is not None:
        keep = keep & whole.present[:, whole.modalities.index(raw.modality)]
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise Unsupported("no patient of known outcome has every embedding and the raw input: compare fewer at once")
    if len(rows) < known:
        notes.append(f"{len(rows):,} of {known:,} patients of known outcome have all that is compared")
    taken = whole.subset(rows)
    return Gathered(
        taken,
        tuple(own.take(rows) for own in vectors),
        None if raw is None else raw.take(rows),
        tuple(own.take(rows) for own in states),
        None if adaptable is None else adaptable.subset(rows),
        encoded,
        tuple(notes),
        leaks,
    )
