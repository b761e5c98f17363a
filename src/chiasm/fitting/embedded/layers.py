"""One vector of each patient after every block of a frozen encoder's network: what its layers know."""

from __future__ import annotations

import numpy as np

from chiasm.adapters.hidden_tokens import HiddenStates
from chiasm.adapters.sites import blocks
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.embedded.pooling import POOLS, batches, require_pool
from chiasm.fitting.embedded.vectors import Vectors

MOST_TOKENS = 64


def layer_vectors(cohort: Cohort, modality: str, pool: str = "mean") -> list[Vectors]:
    """Return the vectors of a modality as if its encoder's network ended after each block, first to last.

    The state after a block passes through whatever follows the last one (`adapters.hidden_tokens.layer_tokens`), so
    that vectors of all layers correspond and those of the last are the encoder's own. States are kept in the store.

    Args:
        cohort: encoded with the inputs of its networks.
        pool: as in `pooling.POOLS`, over at most 64 tokens a patient; more are averaged in runs of neighbours.

    Raises:
        Unsupported: the encoder has no network, or none that repeats a block.
    """
    encoding, inputs = cohort.encodings.get(modality), cohort.inputs(modality)
    if encoding is None or inputs is None:
        raise Unsupported(
            f"the encoder of modality '{modality}' has no network, and so no layers: name one with, such as hf:folder"
        )
    width = int(cohort.raw(modality).width)
    plain = HiddenStates(encoding.encoder, encoding.kind, encoding.identity, int(inputs.width), width)
    try:
        names = blocks(plain.trunk().network)
    except ValueError as error:
        raise Unsupported(f"the network of modality '{modality}' has no hidden states: {error}") from error
    whole = len(names) * width
    states = HiddenStates(
        encoding.encoder, encoding.kind, encoding.identity, whole, width, names, MOST_TOKENS
    ).read(cohort, modality)  # fmt: skip
    way, rows = POOLS[require_pool(pool)], cohort.rows_of(modality)
    pooled = np.concatenate([way(values, mask) for values, mask in batches(states)])
    if pooled.shape[1] != whole:
        raise Unsupported("layers are compared by tokens that are pooled by mean, max or attention")
    found = []
    for place in range(len(names)):
        values = np.full((len(cohort), width), np.nan, np.float32)
        values[rows] = pooled[:, place * width : (place + 1) * width]
        found.append(Vectors(f"block {place + 1}", values))
    return found
