"""Public function that holds embeddings of any encoder to one protocol, beside the raw input and random features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.api.embedding_sources import Gathered, gathered
from chiasm.api.encoding import engine_of
from chiasm.cohort import Problem, Unsupported
from chiasm.cohort.opened import Given
from chiasm.compute.pool import default_jobs
from chiasm.errors import count
from chiasm.evaluation import Protocol
from chiasm.evaluation.embeddings.judged import judged
from chiasm.evaluation.embeddings.likeness import likeness, stages
from chiasm.evaluation.embeddings.outliers import FEWEST, find_outliers
from chiasm.evaluation.embeddings.protocol import Adapted, curves
from chiasm.evaluation.embeddings.shares import DRAWS, SHARES, require_shares
from chiasm.evaluation.embeddings.spread import principal_components, spread_of
from chiasm.fitting.embedded.learned import METHODS, PROBE, require_methods
from chiasm.fitting.embedded.pooling import require_pool
from chiasm.fitting.embedded.vectors import RandomFeatures, Seen, Vectors
from chiasm.metrics.table import METRICS, primary_label
from chiasm.progress import followed
from chiasm.protocols import Model
from chiasm.recipes import registry
from chiasm.report.written import write_page, write_picture
from chiasm.specs import split_specs

RAW, RANDOM = "raw", "random"
RANDOM_WIDTH = 512


@dataclass(frozen=True, repr=False)
class Embedded:
    """What embeddings are worth on one cohort.

    Attributes:
        table: one row an embedding, method and share of the training patients; the columns stand in
            `chiasm.evaluation.embeddings.judged.COLUMNS`.
        spread: one row an embedding: width, constant columns, share of zeros, directions used, outliers.
        likeness: one row a pair of embeddings: RSA and CKA.
        layers: one row a layer of an encoder's network, with how it is learned from; empty unless asked for.
        sentences: what the comparisons say, the smallest share first.
        notes: what a reader must know: who was left out, what is not comparable.
        leaks: findings of the check that may give the outcome away.
        metric: label of the primary metric; chance: its value where nothing is known.
        cohort: its name; patients: how many are compared; folds: test folds; draws: of each part.
    """

    table: pd.DataFrame
    spread: pd.DataFrame
    likeness: pd.DataFrame
    layers: pd.DataFrame
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    leaks: tuple[str, ...]
    metric: str
    chance: float
    cohort: str
    patients: int
    folds: int
    draws: int

    def __repr__(self) -> str:
        return f"Embedded: {self.table['embedding'].nunique():,} embeddings of {self.patients:,} patients"

    def plot(self, path: Path | str) -> Path:
        """Write the curves of learning, the metric against the patients learned from, as .png, .svg or .pdf.

        Raises:
            Unsupported: there were too few patients at every share.
            ValueError: another ending.
        """
        from chiasm.report.embedding import draw_curves

        if self.table["metric"].isna().all():
            raise Unsupported("there were too few patients to learn from at every share: there is nothing to draw")
        return write_picture(path, lambda: draw_curves(self.table, self.metric, self.chance))

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file: curves of learning, every figure, and what the vectors look like.

        Raises:
            ValueError: another ending than .html.
        """
        from chiasm.report.embedding_page import render_embedded

        return write_page(path, lambda: render_embedded(
            self.table, self.spread, self.likeness, self.layers, self.metric, self.chance, cohort=self.cohort,
            patients=self.patients, folds=self.folds, draws=self.draws, sentences=self.sentences, notes=self.notes,
            leaks=self.leaks,
        ))  # fmt: skip


def embed(
    cohort: Given,
    *,
    modality: str | None = None,
    encoders: str | Iterable[str] = (),
    files: str | Path | Iterable[str | Path] | Mapping[str, str | Path] = (),
    models: Iterable[Model | str | Path] = (),
    pool: str = "mean",
    methods: str | Sequence[str] = tuple(METHODS),
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
    baselines: bool = True,
    layers: bool = False,
    adapt: str | Iterable[str | Any] = (),
    contrasts: Iterable[tuple[str, str]] = (),
    protocol: Protocol | None = None,
    checked: Sequence[Problem] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """Learn from embeddings by neighbours and linear probes on growing parts of the training patients, and compare.

    On the folds of the cohort, every embedding is learned from by the k nearest neighbours (cosine; k by inner folds)
    and by a linear probe (penalty by inner folds), on nested, stratified parts of each training set, beside the raw
    input itself and random features of it. Nothing that is fitted sees a tested patient. How intervals are made stands
    in `chiasm.evaluation.embeddings.protocol`.

    Args:
        cohort: a cohort with a target, or the path of a manifest, which is checked first.
        modality: whose encoder is asked, and which is the raw input; may be left out where there is one.
        encoders: specifications of frozen encoders of the modality; none takes the one that the manifest names, or the
            kind's default, unless files or models are given.
        files: embeddings by patient (`.npy`, `.npz`, `.parquet`, `.csv`); see `fitting.embedded.files.read_vectors`.
            A mapping names them.
        models: fitted models, or their folders, whose embedding of all modalities is compared.
        pool: how the tokens of a patient, as the slices of a volume, become one vector: "mean", "max",
            "attention", or "flat", side by side.
        methods: "knn", "probe", or both.
        shares: percentages of the training patients.
        draws: how often a part is drawn anew.
        baselines: compare with the raw input and random features of it.
        layers: also probe the states after each block of the encoder's network, and compare them.
        adapt: recipes that adapt the encoder's network, as "lora", learned on the same parts and compared with the
            probe of the frozen one; slow, because the network is trained anew for each part.
        contrasts: pairs of embeddings to compare, beside each one with the raw input.
        protocol: folds, repeats and margin, as in `evaluate`.
        checked: the result of `check_cohort`, if the cohort was checked already.
        seed: of the folds, the parts, the random features and the bootstrap.
        jobs, engine, progress: as in `evaluate`.

    Raises:
        CohortError: `check_cohort` finds errors, or a file of embeddings cannot be read or matches nobody.
        Unsupported: no target, or a choice; no tokens of a frozen encoder, or nobody has every embedding.
        ValueError: a method, a pool, a share or a pair that there is not.
    """
    named, parts, pool = require_methods(methods), require_shares(shares), require_pool(pool)
    specs = [encoders] if isinstance(encoders, str) else list(encoders)
    recipes = split_specs(adapt) if isinstance(adapt, str) else list(adapt)
    ready = gathered(
        cohort, modality=modality, encoders=specs, files=files, models=list(models), pool=pool, baselines=baselines,
        layers=layers, adapt=recipes, checked=checked, jobs=jobs, engine=engine, progress=progress,
    )  # fmt: skip
    seen: list[Seen] = [*ready.vectors]
    if ready.raw is not None:
        seen += [ready.raw, RandomFeatures(RANDOM, ready.raw, RANDOM_WIDTH, seed)]
    adapted = None
    if ready.adaptable is not None:
        adapted = Adapted(ready.encoded, ready.adaptable, tuple(registry.resolve(recipes, ready.adaptable)))
    pairs = _pairs(ready, list(contrasts), [own.name for own in seen])
    used = protocol or Protocol()
    with followed("training sets", progress) as told:
        known, found = curves(
            ready.cohort, seen, named, parts, draws, used, seed=seed, jobs=jobs or default_jobs(),
            execute=engine_of(engine), progress=told, adapted=adapted,
        )  # fmt: skip
    judgement = judged(known, found, {own.name: own.width for own in seen}, pairs, used.margin)
    kind = known.target.kind
    fixed = {own.name: own.values.astype(np.float64) for own in seen if isinstance(own, Vectors)}
    spreads = _spreads(fixed)
    return Embedded(
        judgement.table,
        spreads,
        likeness(fixed, seed=seed) if len(fixed) > 1 else pd.DataFrame(),
        _layers(ready, used, seed, jobs or default_jobs(), engine),
        judgement.sentences,
        (*ready.notes, *_vector_notes(fixed, spreads)),
        ready.leaks,
        primary_label(kind),
        METRICS[kind][0].chance,
        ready.cohort.name,
        len(known.cohort),
        len(known.splits),
        draws if min(parts) < 100 else 1,
    )


def _pairs(ready: Gathered, contrasts: list[tuple[str, str]], names: list[str]) -> list[tuple[str, str]]:
    """What is compared: what was asked for first, then each embedding with the raw input."""
    for pair in contrasts:
        lacking = [name for name in pair if name not in names]
        if lacking:
            raise ValueError(f"the contrast names '{lacking[0]}', no embedding here: there are {', '.join(names)}")
        if pair[0] == pair[1]:
            raise ValueError(f"the contrast compares '{pair[0]}' with itself: name two embeddings")
    usual = [] if ready.raw is None else [(own.name, RAW) for own in ready.vectors]
    if ready.raw is None and len(ready.vectors) > 1 and not contrasts:
        usual = [(own.name, ready.vectors[0].name) for own in ready.vectors[1:]]
    return list(dict.fromkeys([*contrasts, *usual]))


def _layers(ready: Gathered, protocol: Protocol, seed: int, jobs: int, engine: str) -> pd.DataFrame:
    """Probe every layer on all training patients, and tell how they get to the last."""
    if not ready.layers:
        return pd.DataFrame()
    known, found = curves(
        ready.cohort, ready.layers, (PROBE,), (100.0,), 1, protocol, seed=seed, jobs=jobs, execute=engine_of(engine),
        progress=lambda done, all: None,
    )  # fmt: skip
    probed = judged(known, found, {}, (), protocol.margin).table.set_index("embedding")[["metric", "low", "high"]]
    told = stages({own.name: own.values.astype(np.float64) for own in ready.layers}, seed=seed)
    return told.join(probed, on="stage")


def _spreads(fixed: Mapping[str, Any]) -> pd.DataFrame:
    """How many directions each embedding uses, and who lies far out."""
    rows = []
    for name, values in fixed.items():
        found = principal_components(values)  # decomposed once: of all that is done here it takes longest
        own = spread_of(values, found)
        out = find_outliers(values, found=found) if len(values) >= FEWEST else None
        rows.append(
            {
                "embedding": name,
                "width": own.width,
                "constant": own.constant,
                "zeros": own.zeros,
                "participation": own.participation,
                "half": own.half,
                "outliers": np.nan if out is None else float(len(out.rows)),
                "outliers_expected": np.nan if out is None else out.expected,
            }
        )
    return pd.DataFrame(rows)


def _vector_notes(fixed: Mapping[str, Any], spreads: pd.DataFrame) -> list[str]:
    """What is odd about vectors: constant columns, one column, patients with the same vector."""
    notes = []
    for (name, values), constant in zip(fixed.items(), spreads.get("constant", ()), strict=True):
        if constant:
            verb = "tells" if constant == 1 else "tell"
            told = (
                f"'{name}' has {count(constant, 'column')} of {values.shape[1]:,} that {verb} no patient from another"
            )
            notes.append(told)
        if values.shape[1] == 1:
            notes.append(f"'{name}' has one column: by cosine every two patients are alike, or opposite")
        same = len(values) - len(np.unique(values, axis=0))
        if same and constant < values.shape[1]:
            notes.append(
                f"'{name}' has {count(same, 'patient')} with the very vector of another one: where these are records "
                "of one person, name a column `group` in [patients], so that no fold divides them"
            )
    return notes
