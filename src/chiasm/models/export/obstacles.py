"""Why a model cannot be exported, found in its fitted parts before anything is computed."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from chiasm.artifact import parts_within
from chiasm.encoders.knowledge import Entities
from chiasm.encoders.molecule.cells import CellComponents
from chiasm.encoders.record.event_steps import EventSteps
from chiasm.encoders.record.events import EventEncoder
from chiasm.errors import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.linear.gaussian_kernel import GaussianMap
from chiasm.models.export.kinds import KINDS_IN_ONNX
from chiasm.models.extending import Extended
from chiasm.recipes.baselines.kron_rls import ItemKernel
from chiasm.recipes.baselines.transfer import TransferPredictor
from chiasm.recipes.fusion.gin import GinDesign
from chiasm.recipes.fusion.lego_blocks import LegoSizes
from chiasm.recipes.fusion.lego_merge import LegoMergePredictor

ROWS_INSIDE = (GaussianMap, ItemKernel)
"""Parts that keep training patients row by row."""
SIGNAL, MERGED = "signal", ("mean", "logits")


def require_exportable(model: FittedModel, with_training_rows: bool) -> None:
    """Refuse a model that no graph can stand for, before anything is computed.

    Raises:
        Unsupported: an encoder's network was changed, a part has no form in ONNX, or the kind of target is not known
            here; or training patients' values stand in the model row by row, and nobody said that they may be passed
            on.
    """
    if model.reads_inputs:
        raise Unsupported(
            "the model holds an encoder's network that was changed in training, and ONNX export begins at what an "
            "encoder gives: fit a recipe on the frozen encoder"
        )
    if model.response.kind not in KINDS_IN_ONNX:
        raise Unsupported(f"a model of a target of kind '{model.response.kind}' has no form in ONNX")
    for part in parts_within(model.predictor):
        if said := obstacle(part):
            raise Unsupported(said)
    rows = [part for part in parts_within(model.predictor) if isinstance(part, ROWS_INSIDE)]
    if rows and not with_training_rows:
        held = sorted({part.of_training() for part in rows})
        raise Unsupported(
            f"the file would hold {' and '.join(held)}, for whoever it is passed on to: fit a recipe without a kernel "
            "(--recipe late-fusion:models=linear), or export with --with-training-rows (with_training_rows=True)"
        )


@singledispatch
def obstacle(part: Any) -> str:
    """Say why a stored part has no form in ONNX, and what to do; empty where nothing is known against it."""
    return ""


@obstacle.register
def _(part: Extended) -> str:
    return (
        "a model extended by a modality cannot be exported: export the one of before (chiasm update --undo), or "
        "serve it"
    )


@obstacle.register
def _(part: Entities) -> str:
    return "the model reads triples of knowledge, which no row of numbers holds: fit a recipe that reads none"


@obstacle.register
def _(part: GinDesign) -> str:
    return "the model reads the bonds of a molecule, whose walk ONNX does not have: fit on fingerprints"


@obstacle.register(EventEncoder)
@obstacle.register(EventSteps)
def _(part: Any) -> str:
    return "the model reads records of events by an encoder fitted with it, which has no form in ONNX: leave them out"


@obstacle.register
def _(part: CellComponents) -> str:
    return "the model reads files of single cells by an encoder fitted with it: leave them out, or give a table of them"


@obstacle.register
def _(part: TransferPredictor) -> str:
    asks = "the model asks a whole source model for a score, of columns of its own: fit without that source"
    return asks if part.scores else ""


@obstacle.register
def _(part: LegoSizes) -> str:
    complex_ = (
        f"the latents of domain={part.domain} are complex numbers, which ONNX does not have: fit with domain=signal"
    )
    return complex_ if part.domain != SIGNAL else ""


@obstacle.register
def _(part: LegoMergePredictor) -> str:
    if part.method in MERGED or part.sizes.domain != SIGNAL:
        return ""
    return f"blocks merged by method={part.method} are complex numbers on the way: fit with method=mean or logits"
