"""Encoder networks to adapt: the modalities of a cohort that have one, and fresh trunks of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk, unread_modules
from chiasm.encoders.registry import fit_encoders
from chiasm.fitting.neural import Prepared
from chiasm.protocols import Encoder
from chiasm.tokens import Packed


def with_network(cohort: Cohort) -> list[str]:
    """Return the modalities whose encoder inputs are kept, whether or not a patient here has them."""
    return [name for name in cohort.modalities if cohort.inputs(name) is not None and name in cohort.encodings]


def adapted_modalities(cohort: Cohort) -> dict[str, InputsAsTheyAre]:
    """Return the modalities whose encoder inputs are kept, each with the encoder that rebuilds its network."""
    found = {}
    for name in cohort.modalities:
        inputs, encoding = cohort.inputs(name), cohort.encodings.get(name)
        if inputs is not None and encoding is not None and len(inputs):
            width = int(cohort.raw(name).width)
            found[name] = InputsAsTheyAre(encoding.encoder, encoding.kind, encoding.identity, int(inputs.width), width)
    return found


def with_others(cohort: Cohort, own: Mapping[str, Encoder]) -> dict[str, Encoder]:
    """Add the usual fitted encoders for all modalities without one in `own`."""
    others = cohort.with_modalities([name for name in cohort.modalities if name not in own])
    return {**fit_encoders(others), **own}


def open_trunks(data: Prepared) -> dict[str, Trunk]:
    """Load a fresh network for each adapted modality, with its unread modules listed in `unread`."""
    return {
        name: opened(own, data.tokens[name], data.cohort.rows_of(name))
        for name, own in data.encoders.items()
        if isinstance(own, InputsAsTheyAre)
    }


def opened(own: InputsAsTheyAre, inputs: Packed, rows: NDArray[np.int_]) -> Trunk:
    """Load a fresh network and run it on the first patient of `rows` to list its unread modules in `unread`."""
    trunk = own.trunk()
    if len(rows):
        trunk.unread = unread_modules(trunk, inputs.take(rows[:1]))
    return trunk
