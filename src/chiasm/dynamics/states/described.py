"""What fitted states say of recordings, as tables: of each bin, of each state, and of each connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.dynamics.states.fitted import Fitted
from chiasm.dynamics.states.networks import EXCITES, INHIBITS, NONE
from chiasm.dynamics.states.recordings import Recordings

Floats = NDArray[np.float64]
WORDS = {-1: "inhibits", 0: "none", 1: "excites"}


def of_bins(fitted: Fitted, recordings: Recordings, ids: Sequence[str]) -> pd.DataFrame:
    """Return a row a bin: `recording`, `bin` from 1, `state` of the most likely path from 1, and `p_1`, `p_2`, ...

    The probabilities are those given the whole recording.
    """
    posterior, path = fitted.posterior(recordings), fitted.path_of(recordings)
    bins = recordings.bins
    found: dict[str, Any] = {
        "recording": np.repeat(np.asarray(ids, dtype=object), bins),
        "bin": np.concatenate([np.arange(1, own + 1) for own in bins]) if len(bins) else np.zeros(0, int),
        "state": recordings.flat(path) + 1,
    }
    each = recordings.flat(posterior.states)
    found |= {f"p_{k + 1}": each[:, k] for k in range(each.shape[1])}
    return pd.DataFrame(found)


def of_states(fitted: Fitted, recordings: Recordings) -> pd.DataFrame:
    """Return a row a state: its share of the bins, visits and their mean length in bins, `stays`, and spikes a bin.

    `stays` is the fitted probability of keeping the state; visits are those of the most likely paths, and `length` is
    NaN for a state that is never visited.
    """
    posterior, path = fitted.posterior(recordings), fitted.path_of(recordings)
    weight, counts = recordings.flat(posterior.states), recordings.rows
    begins = recordings.there & (path != np.concatenate([np.full_like(path[:, :1], -1), path[:, :-1]], axis=1))
    rows = []
    for k in range(weight.shape[1]):
        visits, bins = int((begins & (path == k)).sum()), int((path == k).sum())
        held = float(weight[:, k].sum())
        rate = float((weight[:, k] @ counts).mean() / held) if held > 0 else np.nan
        rows.append(
            {
                "state": k + 1, "share": held / len(weight), "visits": visits,
                "length": bins / visits if visits else np.nan, "stays": float(fitted.chain.moves[k, k]),
                "spikes_a_bin": rate,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def of_connections(fitted: Fitted) -> pd.DataFrame:
    """Return a row for each state, neuron `onto` and neuron `source`, from 1: its weight and what it does.

    `does` is "excites", "inhibits" or "none" by the sign of the weight; `p_inhibits`, `p_none` and `p_excites` are the
    probabilities of one-hot networks, NaN of others and of a neuron's own past, which has a free weight.
    """
    weight = fitted.emission.weight
    state, onto, source = np.indices(weight.shape)
    found = {"state": state.ravel() + 1, "onto": onto.ravel() + 1, "source": source.ravel() + 1}
    chance = np.full((*weight.shape, 3), np.nan)
    if fitted.signs.size:
        chance = np.where((onto == source)[..., None], np.nan, fitted.signs)
    places = {"p_inhibits": INHIBITS, "p_none": NONE, "p_excites": EXCITES}
    does = [WORDS[int(own)] for own in np.sign(weight).ravel()]
    rest = {name: chance[..., place].ravel() for name, place in places.items()}
    return pd.DataFrame({**found, "weight": weight.ravel(), "does": does, **rest})


def foreseen(fitted: Fitted, recordings: Recordings) -> Floats:
    """`(B, 2)` gain of log likelihood over the training rates, in nats, one bin ahead, and spikes, of each recording.

    Each bin is foreseen from the bins before it: `sum y log(p / q) - (p - q)` over bins and neurons, p what was
    expected and q the mean rate of training. The sum of the first by that of the second, in bits, is bits a spike.
    """
    least = 0.5 / max(1.0, float(fitted.bins))
    said, mean = fitted.ahead(recordings), np.maximum(fitted.rates, least)
    said = np.maximum(said, least)
    each = np.where(recordings.there[..., None], recordings.counts * np.log(said / mean) - (said - mean), 0.0)
    return np.stack([each.sum(axis=(1, 2)), recordings.counts.sum(axis=(1, 2))], axis=1)
