"""A model that is served: loaded, understood, and tried once before anybody is answered by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.artifact import DESCRIPTION, ArtifactError, identity, parts_within
from chiasm.cohort import cohort_from_frames
from chiasm.encoders.choice import choose, same_identity
from chiasm.encoders.knowledge import Entities
from chiasm.errors import Unsupported
from chiasm.fitting.expected import expected_of
from chiasm.fitting.model import FittedModel
from chiasm.models.conformal import Thresholds
from chiasm.protocols import Model
from chiasm.serving.patients import OPTIONS
from chiasm.serving.reads import Reads, ReadsColumns, reads_of
from chiasm.serving.schema import schema_of
from chiasm.serving.settings import Limits, Policy
from chiasm.targets import Choice, kind_of

Load = Callable[[Path], Model]
Calibrate = Callable[[Model], Thresholds | None]
NO_KNOWLEDGE = "the model learned of a knowledge graph, of which a request holds nothing"


@dataclass(frozen=True, repr=False)
class Loaded:
    """One version of a model.

    Args:
        name, version: as in `/models/NAME/versions/VERSION`.
        digest: the SHA-256 that its folder gives itself (`artifact.identity`).
        thresholds: how sure it is, where held-out patients were given.
        notes: what is true of every answer.
    """

    name: str
    version: str
    digest: str
    model: FittedModel
    reads: Mapping[str, Reads]
    policy: Policy
    limits: Limits
    thresholds: Thresholds | None = None
    notes: tuple[str, ...] = ()
    stamp: tuple[int, ...] = field(default=())

    @cached_property
    def encodes(self) -> bool:
        """True if anything has to be read or encoded before the model predicts."""
        return bool(self.model.encodings) or any(not isinstance(own, ReadsColumns) for own in self.reads.values())

    @property
    def chooses(self) -> bool:
        """True where each patient of a request has options of his own, among which the model chooses."""
        return kind_of(self.model.response.kind).has_options

    @property
    def draws(self) -> bool:
        """True where it draws label maps, which `/outline` shows, and answers no request for numbers."""
        return kind_of(self.model.response.kind).has_masks

    @cached_property
    def schema(self) -> bytes:
        """The JSON Schema of a request, as it is sent."""
        return json.dumps(schema_of(self.model, self.reads, self.policy, self.limits), ensure_ascii=False).encode()


def open_model(
    path: Path, name: str, version: str, load: Load, policy: Policy, limits: Limits, calibrate: Calibrate | None = None
) -> Loaded:
    """Load a model folder and try it.

    Raises:
        ArtifactError: it is no model, or damaged, or was replaced while it was read.
        Unsupported: it is not of chiasm's own kind, or cannot predict.
    """
    stamp = stamp_of(path)
    model = load(path)
    if not isinstance(model, FittedModel):
        raise Unsupported(
            f"'{path.name}' is a model of another package, which does not say what it reads: it is not served"
        )
    digest = identity(path)
    if stamp_of(path) != stamp:
        raise ArtifactError(f"'{path.name}' was replaced while it was read: it is read again")
    for modality, own in model.encodings.items():
        if not same_identity(own.kind, choose(own.kind, own.encoder).identity, own.identity):
            raise Unsupported(
                f"modality '{modality}' of '{path.name}' was encoded by '{own.encoder}' at fit, and its encoder or the "
                "encoder's weights differ now: bring the same weights, or fit again"
            )
    knowing = any(isinstance(part, Entities) for part in parts_within(model.predictor))
    notes = (NO_KNOWLEDGE,) if knowing else ()
    if kind_of(model.response.kind).has_texts:
        raise Unsupported(
            f"'{path.name}' says texts of its training patients word for word, which are not served over HTTP: "
            "answer by `chiasm predict` where the texts may be read"
        )
    if kind_of(model.response.kind).has_boxes:
        raise Unsupported(f"'{path.name}' draws boxes, which are not served over HTTP: answer by `chiasm predict`")
    thresholds = calibrate(model) if calibrate else None
    loaded = Loaded(
        name, version or digest[:12], digest, model, reads_of(model), policy, limits, thresholds, notes, stamp
    )
    if loaded.chooses and OPTIONS in loaded.reads:
        raise Unsupported(
            f"'{path.name}' reads a modality '{OPTIONS}', which is where a patient's own options stand in a request: "
            "name the modality otherwise, and fit again"
        )
    require_predicts(loaded)
    return loaded


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return what changes when a model folder is replaced.

    Raises:
        ArtifactError: there is no model.
    """
    try:
        found = (path / DESCRIPTION).stat()
    except OSError:
        raise ArtifactError(f"'{path.name}' is no model folder: chiasm fit --out writes one") from None
    return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_dev)


def require_predicts(loaded: Loaded) -> None:
    """Predict a made-up patient who has the median of every number, where the model reads a table.

    Raises:
        Unsupported: the prediction fails.
    """
    expected = expected_of(loaded.model.predictor, loaded.model.modalities)
    blocks = {}
    for name, own in loaded.reads.items():
        if isinstance(own, ReadsColumns) and name in expected and own.columns:
            frame = pd.DataFrame([expected[name].scaler.median], index=["0"], columns=list(own.numbers))
            blocks[name] = frame.assign(
                **{word: sorted(known)[0] if known else "-" for word, known in own.levels.items()}
            )
    if not blocks:
        return
    words = {name: tuple(own.levels) for name, own in loaded.reads.items() if name in blocks and own.levels}  # type: ignore[union-attr]
    people = pd.DataFrame({OPTIONS: ['["-", "--"]']} if loaded.chooses else None, index=["0"])
    target = Choice(options=OPTIONS) if loaded.chooses else None
    cohort = cohort_from_frames(
        people, blocks, target, kinds={name: loaded.reads[name].kind for name in blocks},
        categories={name: own for name, own in words.items() if own},
    )  # fmt: skip
    try:
        found = loaded.model.predict_ready(cohort)
        numbers = found.drop(columns="pattern").to_numpy(np.float64)
    except Exception as error:
        raise Unsupported(
            f"'{loaded.name}' does not predict a patient of median values ({type(error).__name__}): it is not served"
        ) from error
    if not np.isfinite(numbers).any():
        raise Unsupported(f"'{loaded.name}' predicts no number for a patient of median values: it is not served")
