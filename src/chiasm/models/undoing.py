"""The way back: a model as it was before the last step of its history."""

from __future__ import annotations

from dataclasses import replace

from chiasm.errors import Unsupported
from chiasm.fitting.history import EXTEND, UPDATE
from chiasm.fitting.model import FittedModel
from chiasm.models.extending import Extended
from chiasm.models.updating import PatternLevels


def undone(model: FittedModel) -> FittedModel:
    """Return the model as it was before the last step of its history.

    Raises:
        Unsupported: it has no history.
    """
    if not model.history:
        raise Unsupported("the model is as it was fitted: there is no step to take back")
    *steps, last = model.history
    predictor = model.predictor
    bare = replace(model, response=last.before, history=tuple(steps))
    if last.what == UPDATE and not last.levelled:
        return bare
    if last.what == UPDATE and isinstance(predictor, PatternLevels):
        return replace(bare, predictor=predictor.predictor)
    if last.what == EXTEND and isinstance(predictor, Extended):
        return predictor.taken_from(bare)
    raise Unsupported(f"the last step of the model, '{last.what[:40]}', is not one that can be taken back")
