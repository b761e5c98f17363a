"""Public function that reads recordings by the hidden states of a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.api.encoding import prepare
from chiasm.api.models import load_model
from chiasm.artifact import parts_within
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.opened import Given
from chiasm.cohort.units import components
from chiasm.dynamics.states.described import foreseen, of_bins, of_connections, of_states
from chiasm.dynamics.states.following import recorded
from chiasm.encoding.preparing import PreparedCohort
from chiasm.errors import count
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.fitting.model import FittedModel
from chiasm.metrics.spikes import bits_per_spike
from chiasm.protocols import Model
from chiasm.recipes.dynamics.hidden_states import HiddenStatesPredictor
from chiasm.report.written import write_page, write_picture

DRAWS = 1_000
FEWEST = 10  # recordings, or groups of them, from which an interval is drawn
LEVELS = (0.025, 0.975)


@dataclass(frozen=True, repr=False)
class States:
    """What the hidden states of a model say of recordings.

    Attributes:
        bins: one row a bin: `recording`, `bin`, `state`, and the probability of each state, `p_1`, `p_2`, ...
        states: one row a state: `share` of the bins, `visits`, mean `length` in bins, `stays`, `spikes_a_bin`.
        connections: one row a state, neuron `onto` and neuron `source`: `weight`, `does`, and the probabilities.
        recordings, neurons: how many were read; spikes: how many they held.
        bits, low, high: bits a spike, each bin foreseen from those before it, against the rates of training, with a
            95 % interval over recordings, or groups of them; NaN where it is not estimable.
        sentence: how well bits a spike say that bins are foreseen. notes: what a reader must know.
        recipe, cohort: the model's recipe, and the cohort's name.
    """

    bins: pd.DataFrame
    states: pd.DataFrame
    connections: pd.DataFrame
    recordings: int
    neurons: int
    spikes: int
    bits: float
    low: float
    high: float
    sentence: str
    notes: tuple[str, ...]
    recipe: str
    cohort: str

    def __repr__(self) -> str:
        return f"States: {count(len(self.states), 'state')} of {count(self.recordings, 'recording')}"

    def plot(self, path: Path | str) -> Path:
        """Write the picture of states over time, of the first recordings, as .png, .svg or .pdf.

        Raises:
            ValueError: another ending.
        """
        from chiasm.report.states import draw_states

        return write_picture(path, lambda: draw_states(self.bins))

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file: states over time, what each is like, and its network.

        Raises:
            ValueError: another ending than .html.
        """
        from chiasm.report.states_page import render_states

        return write_page(path, lambda: render_states(
            self.bins, self.states, self.connections, recipe=self.recipe, cohort=self.cohort,
            recordings=self.recordings, neurons=self.neurons, spikes=self.spikes, sentence=self.sentence,
            notes=self.notes,
        ))  # fmt: skip


def states(model: Model | Path | str, cohort: Given | PreparedCohort, *, seed: int = 0) -> States:
    """Say which hidden state each recording was in, bin by bin, and what network each state has.

    States are numbered from 1, as they were fitted. A bin is foreseen from the bins before it alone; states are told
    from whole recordings. Nothing is fitted.

    Args:
        model: a model of `hmm-glm` or `poisson-glm`, or its folder.
        cohort: recordings of the same neurons, or the path of a manifest; no target is needed.
        seed: of the draws of recordings for the interval.

    Raises:
        CohortError: `check_cohort` finds errors.
        Unsupported: the model has no hidden states, or nobody has a recording of its neurons.
    """
    fitted = load_model(model) if isinstance(model, Path | str) else model
    parts = [own for own in parts_within(fitted) if isinstance(own, HiddenStatesPredictor)]
    if len(parts) != 1:
        raise Unsupported("the model has no hidden states of recordings: fit hmm-glm or poisson-glm")
    (part,) = parts
    ready = cohort if isinstance(cohort, PreparedCohort) else prepare(cohort, model=fitted)
    own = having(ready.cohort, part.modality)
    read = recorded(own, part.modality, part.neurons)
    gains = foreseen(part.states, read)
    groups = None if own.group is None else components([own.group], len(own))  # who has no group is one of their own
    notes = ["the figures are held out only if none of these recordings was trained on"]
    bits, low, high = _with_interval(gains, groups, seed)
    number = len(gains) if groups is None else len(np.unique(groups))
    if not np.isfinite(bits):
        notes.append("bits a spike are not estimable: the recordings hold no spike")
    elif not np.isfinite(low):
        noun = "recording" if groups is None else "group"
        notes.append(f"no interval is given: {count(number, noun)} of {FEWEST} that it takes")
    silent = int((gains[:, 1] == 0).sum())
    if silent and silent < len(gains):
        notes.append(f"{count(silent, 'recording')} without a spike, whose states are told from silence")
    return States(
        of_bins(part.states, read, own.ids.tolist()),
        of_states(part.states, read),
        of_connections(part.states),
        len(gains),
        part.neurons,
        int(gains[:, 1].sum()),
        bits,
        low,
        high,
        _sentence(bits, low, high),
        tuple(notes),
        fitted.recipe if isinstance(fitted, FittedModel) else "",
        own.name,
    )


def having(cohort: Cohort, modality: str) -> Cohort:
    """Return those who have a recording.

    Raises:
        Unsupported: nobody has one.
    """
    if modality not in cohort.modalities or not len(cohort.rows_of(modality)):
        raise Unsupported(f"nobody has a recording: the model reads those of modality '{modality}'")
    return cohort.with_modalities([modality]).subset(cohort.rows_of(modality))


def _sentence(bits: float, low: float, high: float) -> str:
    """Say how much better a bin is foreseen from those before it than by the rates of training."""
    if not np.isfinite(bits):
        return "How well a bin is foreseen from those before it is not estimable."
    told = f"{bits:.3f} ({low:.3f} to {high:.3f})" if np.isfinite(low) else f"{bits:.3f}"
    return f"From the bins before it, a bin is foreseen by {told} bits a spike over the rates of training."


def _with_interval(gains: np.ndarray, groups: np.ndarray | None, seed: int) -> tuple[float, float, float]:
    """Bits a spike of all recordings, and its 95 % interval by the bootstrap; NaN where there is no ground for one."""
    everyone = np.ones((1, len(gains)))
    (bits,) = bits_per_spike(gains, everyone)
    number = len(gains) if groups is None else len(np.unique(groups))
    if number < FEWEST or not np.isfinite(bits):
        return float(bits), np.nan, np.nan
    weights = bootstrap_weights(len(gains), DRAWS, np.random.default_rng(seed), groups)
    drawn = bits_per_spike(gains, weights.astype(np.float64))
    low, high = np.nanquantile(drawn, LEVELS)
    return float(bits), float(low), float(high)
