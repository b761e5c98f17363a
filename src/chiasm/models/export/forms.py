"""What a model reads of each modality, found in its fitted encoders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import singledispatch
from typing import Any

from chiasm.encoders.adaptable import TokensAsTheyAre
from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.stored import StoredTokensEncoder
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.scaling import Columns
from chiasm.encoders.table.table import TableEncoder
from chiasm.errors import Unsupported
from chiasm.fitting.expected import encoders_within
from chiasm.fitting.model import FittedModel
from chiasm.models.export.inputs import Form
from chiasm.protocols import Encoder


def forms_of(model: FittedModel) -> dict[str, Form]:
    """Find what a graph has to be given of each modality of a model, by name.

    Raises:
        Unsupported: an encoder has no form in ONNX.
    """
    found = {
        name: Form(model.kinds[name], model.encodings[name].encoder if name in model.encodings else "")
        for name in sorted(model.modalities)
    }
    for name, encoder in encoders_of(model):
        found[name] = widened(encoder, found[name], name)
    return found


def encoders_of(model: FittedModel) -> Iterator[tuple[str, Any]]:
    """Yield the fitted encoders of a model, each with its modality."""
    yield from encoders_within(model.predictor, set(model.modalities), kinds=(Encoder, Columns))


@singledispatch
def widened(encoder: Any, form: Form, modality: str) -> Form:
    """Return the form with what one more encoder reads of a modality."""
    raise Unsupported(
        f"modality '{modality}' is encoded inside of the model by {type(encoder).__name__}, which has no form in ONNX"
    )


@widened.register
def _(encoder: Columns, form: Form, modality: str) -> Form:
    assert encoder.scaler is not None  # it is fitted
    return replace(form, numbers=_joined(form.numbers, encoder.scaler.columns), single=True)


@widened.register
def _(encoder: OmicsEncoder, form: Form, modality: str) -> Form:
    assert encoder.scaler is not None  # it is fitted
    return replace(form, numbers=_joined(form.numbers, encoder.scaler.columns), single=True)


@widened.register
def _(encoder: TableEncoder, form: Form, modality: str) -> Form:
    assert encoder.scaler is not None  # it is fitted
    levels = dict(form.words)
    for column, own in (encoder.categories or {}).items():
        levels[column] = _joined(levels.get(column, ()), own)
    return replace(form, numbers=_joined(form.numbers, encoder.scaler.columns), words=dict(sorted(levels.items())))


@widened.register
def _(encoder: BagEncoder, form: Form, modality: str) -> Form:
    return _with_tokens(form, encoder.width, 0, modality)


@widened.register
def _(encoder: TokensAsTheyAre, form: Form, modality: str) -> Form:
    return _with_tokens(form, encoder.width, 0, modality)


@widened.register
def _(encoder: StoredTokensEncoder, form: Form, modality: str) -> Form:
    assert encoder.mean is not None  # it is fitted
    return _with_tokens(form, encoder.mean.shape[1], encoder.slots, modality)


def _with_tokens(form: Form, width: int, slots: int, modality: str) -> Form:
    if form.width and (form.width, form.slots) != (width, slots):
        raise Unsupported(f"the model reads tokens of two shapes of modality '{modality}'")
    return replace(form, width=width, slots=slots)


def _joined(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other}))
