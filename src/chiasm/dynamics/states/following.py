"""Recordings of a cohort and the counts that follow them: a bag of counts, and a response of H bins by N neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.dynamics.states.recordings import Recordings, not_counts, recordings_of
from chiasm.errors import count

Floats = NDArray[np.float64]
KIND = "bag"


def modality_of(cohort: Cohort, named: str) -> str:
    """Return the modality of the recordings: the one that is named, or the only one.

    Raises:
        Unsupported: none is named and there are several, or it is no bag.
    """
    if not named and len(cohort.modalities) != 1:
        raise Unsupported(
            f"the cohort has {len(cohort.modalities)} modalities: name the one of the recordings, as in "
            "hmm-glm:modality=spikes"
        )
    own = named or cohort.modalities[0]
    if own not in cohort.modalities:
        raise Unsupported(f"the cohort has no modality '{own}': it has {', '.join(cohort.modalities)}")
    if cohort.kinds[own] != KIND:
        raise Unsupported(
            f"modality '{own}' is of kind '{cohort.kinds[own]}', and recordings are bags of counts, bins by neurons: "
            f'write kind = "{KIND}"'
        )
    return own


def recorded(cohort: Cohort, modality: str, neurons: int | None = None) -> Recordings:
    """Lay the recordings of those who have them side by side, in the cohort's order.

    Raises:
        Unsupported: a recording holds what is no count, or other neurons.
    """
    bags = cohort.raw(modality)
    rows = cohort.file_rows[cohort.rows_of(modality)].tolist()
    return recordings_of([np.asarray(own, dtype=np.float64) for own in bags], neurons, rows)


def bins_ahead(values: Floats, neurons: int) -> int:
    """Return how many bins H a response `(B, V)` of `V = H N` channels holds, N neurons a bin.

    Raises:
        Unsupported: it is no whole number of bins, or the response holds what is no count.
    """
    channels = values.shape[1]
    if channels % neurons:
        raise Unsupported(
            f"the response has {count(channels, 'channel')} and a recording {count(neurons, 'neuron')}: give as the "
            "response the counts of the bins that follow, neuron by neuron within a bin"
        )
    problem = not_counts(values)
    if problem:
        raise Unsupported(f"the response holds {problem}: give the spikes of each neuron in each bin that follows")
    return int(channels // neurons)


def with_what_followed(cohort: Cohort, modality: str, values: Floats) -> tuple[Recordings, int]:
    """Return the recordings of all B patients with the bins that followed, `values` `(B, H N)`, at their end; and H.

    Raises:
        Unsupported: as `recorded` and `bins_ahead`.
    """
    own = recorded(cohort, modality)
    ahead = bins_ahead(values, own.neurons)
    followed = values.reshape(len(values), ahead, own.neurons)
    bins = own.bins
    both = [np.concatenate([own.counts[k, : bins[k]], followed[k]]) for k in range(len(bins))]
    return recordings_of(both), ahead


def forecast(cohort: Cohort, modality: str, neurons: int, bins: int, model: Any) -> Floats:
    """`(B, H N)` counts expected by a model's `beyond` after each recording."""
    own = recorded(cohort, modality, neurons)
    return np.asarray(model.beyond(own, bins).reshape(len(own.counts), bins * neurons))
