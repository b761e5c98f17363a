"""Coefficients of a fitted predictor by the names of its columns, where it is linear on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chiasm.encoders.table.scaling import NamesFeatures, Projection

Array = NDArray[np.float64]
Coefficients = dict[str, tuple[tuple[str, ...], Array]]
"""Modality to the names of its scaled columns and their coefficients `(F_m, K)`."""


@runtime_checkable
class HasCoefficients(Protocol):
    """Protocol of a predictor that may be linear on scaled columns of its modalities."""

    def coefficients(self) -> Coefficients | None:
        """Return the coefficients of the link where every modality is present; None where it is not linear."""
        ...


def coefficients_of(predictor: object) -> Coefficients | None:
    """Return the coefficients of a predictor by modality and column; None of one that has none, as a network."""
    return predictor.coefficients() if isinstance(predictor, HasCoefficients) else None


def feature_names(features: object, width: int) -> tuple[str, ...]:
    """Return names of fitted features by which they are found in another cohort; of those without, their places."""
    if isinstance(features, NamesFeatures):
        return features.feature_names
    return tuple(f"{place} of {width}" for place in range(width))


def parted(features: Mapping[str, Any], widths: Sequence[int], coef: Array) -> Coefficients:
    """Part coefficients `(F, K)` of columns side by side; rows beyond those of the modalities are left out.

    Args:
        features: modality to its fitted scaling, in the order of the columns.
        widths: number of columns of each modality.
    """
    ends = np.cumsum(widths)
    return {
        name: (feature_names(own, width), np.asarray(coef[end - width : end], float))
        for (name, own), width, end in zip(features.items(), widths, ends, strict=True)
    }


def placed(coefficients: Coefficients, modality: str, names: Sequence[str]) -> Array:
    """Return the coefficients `(len(names), K)` of these features of a modality, zero for those that have none."""
    known, own = coefficients.get(modality, ((), np.zeros((0, 0))))
    place = {name: position for position, name in enumerate(known)}
    outputs = next(iter(coefficients.values()))[1].shape[1]
    found = np.zeros((len(names), outputs))
    for position, name in enumerate(names):
        if name in place:
            found[position] = own[place[name]]
    return found


def through(projection: Projection | None, coef: Array) -> Array:
    """Return the coefficients `(F, K)` of columns from those of their components, `(k, K)`."""
    return coef if projection is None else np.asarray(projection.components @ coef / projection.scale)


def scaled(coefficients: Coefficients | None, factors: Mapping[str, float] | float) -> Coefficients | None:
    """Multiply the coefficients of each modality, all by one number or each by its own."""
    if coefficients is None:
        return None
    return {
        name: (names, own * (factors[name] if isinstance(factors, Mapping) else factors))
        for name, (names, own) in coefficients.items()
    }


def joined(parts: Sequence[Coefficients | None], factors: Mapping[str, float]) -> Coefficients | None:
    """Put the coefficients of models of one modality each together; None where one of them has none."""
    found: Coefficients = {}
    for part in parts:
        if part is None:
            return None
        found |= part
    return scaled(found, factors)
