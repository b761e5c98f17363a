"""Pictures of hidden states: which state each bin was in, and the network of each state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chiasm.errors import count
from chiasm.report.drawing import QUIET, SERIES, NewSheet, Picture, own_sheet, quiet_rows, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 12  # recordings in the picture
PANELS = 4  # networks in a row
NAMED = 12  # neurons whose numbers fit beside a network
COLOURS = "RdBu_r"  # red excites, blue inhibits; told apart by the colour-blind


def draw_states(bins: pd.DataFrame, *, new: NewSheet = own_sheet) -> Picture:
    """Draw a line for each of the first recordings, each bin in the colours of its states by their probability.

    Args:
        bins: of `dynamics.states.described.of_bins`; recordings are numbered in its order, and not named.
    """
    chances = [str(name) for name in bins.columns if str(name).startswith("p_")]
    names = list(dict.fromkeys(bins["recording"]))[:SHOWN]
    colours = np.array([_rgb(SERIES[k % len(SERIES)], k // len(SERIES)) for k in range(len(chances))])
    own = [bins.loc[bins["recording"] == name, chances].to_numpy(np.float64) for name in names]
    longest = max(map(len, own), default=1)
    with style():
        figure = new(0.9 + 0.24 * len(names), 8.4)
        axes = figure.add_subplot()
        for row, chance in enumerate(own):
            mixed = np.concatenate([chance @ colours, np.ones((len(chance), 1))], axis=1)[None]
            axes.imshow(mixed, extent=(0.5, len(chance) + 0.5, row + 0.42, row - 0.42), aspect="auto")
        axes.set_xlim(0.5, longest + 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), [f"recording {k + 1}" for k in range(len(names))])
        quiet_rows(axes)
        axes.set_xlabel("bin")
        _legend(axes, colours)
        total = bins["recording"].nunique()
        text = f"States over time of {len(names)} of {count(total, 'recording')}, {count(len(chances), 'state')}."
        return Picture(figure, (axes,), text)


def draw_networks(connections: pd.DataFrame, *, new: NewSheet = own_sheet) -> Picture:
    """Draw the weights of each state, the neuron that acts across and the one that is acted on down, on one scale."""
    states = sorted(connections["state"].unique())
    neurons = int(connections["onto"].max())
    flat = connections.sort_values(["state", "onto", "source"])["weight"].to_numpy(np.float64)
    weight = flat.reshape(len(states), neurons, neurons)
    most = max(float(np.abs(weight).max()), 1e-12)
    rows = -(-len(states) // PANELS)
    with style():
        figure = new(0.6 + 2.4 * rows, 8.4)
        every: list[Axes] = []
        across = max(3, min(PANELS, len(states)))
        for k, state in enumerate(states):
            axes = figure.add_subplot(rows, across, k // PANELS * across + k % PANELS + 1)
            every.append(axes)
            drawn = axes.imshow(weight[k], cmap=COLOURS, vmin=-most, vmax=most, interpolation="nearest")
            axes.set_title(f"state {state}")
            ticks = range(neurons) if neurons <= NAMED else range(0, neurons, -(-neurons // 6))
            axes.set_xticks(ticks, [str(tick + 1) for tick in ticks])
            axes.set_yticks(ticks, [str(tick + 1) for tick in ticks])
            axes.set_xlabel("from neuron")
            axes.set_ylabel("onto neuron" if k % PANELS == 0 else "")
            axes.tick_params(length=0, colors=QUIET)
        figure.colorbar(drawn, ax=every, label="weight", shrink=0.8)
        return Picture(figure, tuple(every), _told(connections))


def _rgb(colour: str, lap: int) -> tuple[float, float, float]:
    """A colour of the series, lighter in each further lap."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - (1 - own) / (1 + lap) for own in to_rgb(colour))
    return red, green, blue


def _legend(axes: Axes, colours: np.ndarray) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(color=tuple(own), label=f"state {k + 1}") for k, own in enumerate(colours)]
    axes.figure.legend(handles=marks, loc="outside lower left", ncols=6, fontsize=8)


def _told(connections: pd.DataFrame) -> str:
    """The picture of networks in words."""
    others = connections[connections["onto"] != connections["source"]]
    parts = []
    for state, own in others.groupby("state"):
        number = own["does"].value_counts()
        parts.append(f"state {state}: {number.get('excites', 0)} excite, {number.get('inhibits', 0)} inhibit")
    return f"Weights between neurons. Of connections to others, {'; '.join(parts)}." if parts else "One neuron."
