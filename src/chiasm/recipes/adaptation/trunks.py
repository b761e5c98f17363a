"""The networks of a cohort's encoders that are adapted: which modalities have one, and each as a fresh trunk."""

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


def adapted_modalities(cohort: Cohort) -> dict[str, InputsAsTheyAre]:
    """Those whose encoder's inputs are kept, each with what makes its network."""
    found = {}
    for name in cohort.modalities:
        inputs, encoding = cohort.inputs(name), cohort.encodings.get(name)
        if inputs is not None and encoding is not None and len(inputs):
            width = int(cohort.raw(name).width)
            found[name] = InputsAsTheyAre(encoding.encoder, encoding.kind, encoding.identity, int(inputs.width), width)
    return found


def with_others(cohort: Cohort, own: Mapping[str, Encoder]) -> dict[str, Encoder]:
    """These encoders, and for the other modalities those that every recipe fits."""
    others = cohort.with_modalities([name for name in cohort.modalities if name not in own])
    return {**fit_encoders(others), **own}


def open_trunks(data: Prepared) -> dict[str, Trunk]:
    """The network of each modality that is adapted, fresh; each knows which of its modules are not read."""
    return {
        name: opened(own, data.tokens[name], data.cohort.rows_of(name))
        for name, own in data.encoders.items()
        if isinstance(own, InputsAsTheyAre)
    }


def opened(own: InputsAsTheyAre, inputs: Packed, rows: NDArray[np.int_]) -> Trunk:
    """A fresh network, which knows which of its modules are not read: it runs on the first of the patients `rows`."""
    trunk = own.trunk()
    if len(rows):
        trunk.unread = unread_modules(trunk, inputs.take(rows[:1]))
    return trunk
