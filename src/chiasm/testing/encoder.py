"""Conformance check of encoders: reproducible, independent of other patients and of column order, storable."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from chiasm import artifact
from chiasm.cohort import Bags, Values
from chiasm.encoders.adaptable import is_adaptable
from chiasm.store.stored_tokens import StoredTokens
from chiasm.testing.laws import ROUNDING, TOLERANCE, apart, differing, folder_bytes, globals_unchanged, require
from chiasm.tokens import Tokens


def check_encoder(encoder: Any, raw: Any) -> None:
    """Check an encoder on the raw values of one modality.

    It is fitted on the first half of the patients and encodes all of them.

    Args:
        encoder: an unfitted encoder, as its factory creates it.
        raw: a frame with a row per patient, `chiasm.cohort.Bags`, or a sequence with an item per patient; six or more.

    Raises:
        AssertionError: a law does not hold; the message names it and the observation.
    """
    first = np.arange(len(raw) // 2)
    patients = [f"p{row}" for row in range(len(raw))]
    before = _held(raw)
    with globals_unchanged("fit"):
        fitted = encoder.fit(_rows(raw, first), patients[: len(first)])
    _attributes(fitted)
    state = _state(fitted)
    with globals_unchanged("encode"):
        tokens = fitted.encode(raw)
    _tokens(fitted, tokens, len(raw))
    odd = differing(state, _state(fitted))
    require(not odd, "encode changes no state", f"{', '.join(odd)} of the stored encoder differ after it")
    require(_held(raw) == before, "an encoder leaves its raw values as they were", "they have changed")
    again = encoder.fit(_rows(raw, first), patients[: len(first)])
    odd = differing(state, _state(again))
    require(not odd, "the same rows give the same encoder", f"{', '.join(odd)} of the stored encoder differ")
    _one_by_one(fitted, raw, tokens)
    _stored(fitted, raw, tokens)
    if is_adaptable(fitted):
        _adapted(fitted, raw, tokens)
    if isinstance(raw, pd.DataFrame):
        _columns(encoder, fitted, raw, first, tokens)
        _strange_rows(fitted, raw, first, tokens)


def _attributes(fitted: Any) -> None:
    for name, kind in (("width", int), ("slots", int), ("fitted_on_cohort", bool)):
        value = getattr(fitted, name, None)
        require(isinstance(value, kind), f"a fitted encoder's {name} is of type {kind.__name__}", f"it is {value!r}")
    require(fitted.width > 0 and fitted.slots >= 0, "width > 0 and slots >= 0", f"{fitted.width} and {fitted.slots}")


def _tokens(fitted: Any, tokens: Any, n: int) -> None:
    law = "an encoder gives Tokens (n, T, width), T = slots unless it is a bag"
    require(isinstance(tokens, Tokens), law, f"it gives {type(tokens).__name__}")
    shape = tuple(tokens.values.shape)
    fits = shape[0] == n and shape[2] == fitted.width and (fitted.slots in (0, shape[1]))
    require(fits, law, f"{shape} for {n} patients, width {fitted.width} and {fitted.slots} slots")
    require(
        tokens.mask.dtype == torch.bool and tokens.values.dtype == torch.float32, "values float32, mask bool", "not so"
    )
    require(bool(torch.isfinite(tokens.values[tokens.mask]).all()), "every real token is finite", "one is not")
    require(bool(tokens.mask.any(1).all()), "a patient who has the modality has a token", "one has none")


def _one_by_one(fitted: Any, raw: Any, tokens: Tokens) -> None:
    for row in range(len(raw)):
        own = fitted.encode(_rows(raw, np.array([row])))
        gap = apart(_real(tokens, row), _real(own, 0))
        law = "a patient's tokens do not depend on who else is encoded"
        require(gap <= TOLERANCE, law, f"those of row {row} alone differ by {gap:.1e}")


def _stored(fitted: Any, raw: Any, tokens: Tokens) -> None:
    with TemporaryDirectory() as place:
        artifact.save(Path(place) / "encoder", fitted)
        loaded = artifact.load(Path(place) / "encoder")
    gap = _gap(tokens, loaded.encode(raw))
    require(gap == 0.0, "an encoder that is saved and loaded gives the same tokens", f"they differ by {gap:.1e}")


def _adapted(fitted: Any, raw: Any, tokens: Tokens) -> None:
    """Check that `encode` equals `trunk` on `inputs`, and that a trunk is an independent, frozen, trainable copy."""
    inputs = fitted.inputs(raw)
    trunk, law = fitted.trunk(), "encode gives what the trunk makes of the inputs"
    require(not any(p.requires_grad for p in trunk.parameters()), "a trunk is frozen", "a parameter is not")
    # fill masked inputs with another number, which would change the tokens if they were read
    spoiled = Tokens(torch.where(inputs.mask[..., None], inputs.values, 7.0), inputs.mask)
    with torch.no_grad():
        found = trunk(spoiled)
    for row in range(len(raw)):
        own, real = _real(tokens, row), _real(found, row)
        gap = apart(own, real) if own.shape == real.shape else float("inf")
        require(gap <= ROUNDING, law, f"those of row {row} differ by {gap:.1e}")
    trunk.requires_grad_(True)
    made = trunk(spoiled)
    made.values[made.mask].square().sum().backward()
    reached = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in trunk.parameters())
    require(reached, "a trunk's parameters get a gradient", "none does")
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.zero_()
    gap = _gap(tokens, fitted.encode(raw))
    require(gap == 0.0, "changing a trunk changes no other network", f"tokens differ by {gap:.1e} afterwards")


def _columns(encoder: Any, fitted: Any, raw: pd.DataFrame, first: np.ndarray, tokens: Tokens) -> None:
    turned = raw[list(raw.columns)[::-1]].assign(**{"column that nobody asked for": 1e9})
    gap = _gap(tokens, fitted.encode(turned))
    require(gap <= TOLERANCE, "the order of columns and unrelated ones change nothing", f"tokens differ by {gap:.1e}")
    other = encoder.fit(raw[list(raw.columns)[::-1]].iloc[first], [])
    gap = _gap(tokens, other.encode(raw))
    require(gap <= TOLERANCE, "the order of columns at fit changes nothing", f"tokens differ by {gap:.1e}")
    lost, law = str(raw.columns[0]), "a column that is missing is named by a ValueError"
    try:
        fitted.encode(raw.drop(columns=raw.columns[0]))
    except ValueError as error:
        require(lost in str(error), law, f"without '{lost}' it says: {error}")
    else:
        raise AssertionError(f"{law}: without '{lost}' nothing is raised")


def _strange_rows(fitted: Any, raw: pd.DataFrame, first: np.ndarray, tokens: Tokens) -> None:
    """Check values that training never saw: 1e9, a new category, and missing values."""
    spoiled = raw.copy()
    later = np.arange(len(first), len(raw))
    for column in range(raw.shape[1]):
        number = pd.api.types.is_numeric_dtype(raw.dtypes.iloc[column])
        spoiled.isetitem(column, raw.iloc[:, column].to_numpy(np.float64 if number else object))
        spoiled.iloc[later, column] = 1e9 if number else "a category never seen"
        spoiled.iloc[later[::2], column] = np.nan
    found = fitted.encode(spoiled)
    finite = bool(torch.isfinite(found.values[found.mask]).all())
    require(finite, "1e9, a category never seen and a missing value give finite tokens", "one is not finite")
    gap = max(apart(_real(tokens, row), _real(found, row)) for row in first)
    require(
        gap == 0.0, "a patient's tokens do not depend on who else is encoded", f"beside 1e9 they differ by {gap:.1e}"
    )


def _state(fitted: Any) -> dict[str, bytes]:
    law = "an encoder is stored with the model: a dataclass registered by chiasm.artifact.storable"
    try:
        return folder_bytes(lambda path: artifact.save(path, fitted))
    except TypeError as error:
        raise AssertionError(f"{law}: {error}") from error


def _rows(raw: Any, rows: np.ndarray) -> Any:
    if isinstance(raw, pd.DataFrame):
        return raw.iloc[rows]
    return raw.take(rows) if isinstance(raw, Bags | Values | StoredTokens) else [raw[int(row)] for row in rows]


def _held(raw: Any) -> Any:
    return _content(raw if isinstance(raw, pd.DataFrame) else [raw[row] for row in range(len(raw))])


def _content(value: Any) -> Any:
    """Snapshot the content of arrays, frames, dataclasses and sequences for a later comparison, byte by byte.

    Objects of other types are not compared.
    """
    if isinstance(value, np.ndarray):
        plain = value.dtype != object
        return (value.dtype.str, value.shape, value.tobytes() if plain else _content(value.tolist()))
    if isinstance(value, pd.DataFrame):
        return tuple((str(name), _content(column.to_numpy())) for name, column in value.items())
    if is_dataclass(value):
        return tuple(_content(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, list | tuple):
        return tuple(_content(item) for item in value)
    return repr(value) if isinstance(value, str | bytes | int | float | None) else None


def _real(tokens: Tokens, row: int) -> np.ndarray:
    return np.asarray(tokens.values[row][tokens.mask[row]].numpy())


def _gap(one: Tokens, other: Tokens) -> float:
    if one.values.shape != other.values.shape or not torch.equal(one.mask, other.mask):
        return float("inf")
    return apart(one.values.numpy(), other.values.numpy())
