"""Greedy soup: add models to the mean one by one, best first, if it scores no worse (arXiv 2203.05482).

The uniform soup is `merge_models(states)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from chiasm.merging.layouts import layout_of, require_one_layout
from chiasm.merging.methods import merge_models

State = Mapping[str, Tensor]
Score = Callable[[State], float]


@dataclass(frozen=True)
class Soup:
    """The mean of the models that a greedy soup selected.

    Args:
        state: the mean.
        chosen: positions of the selected models, best first.
        score: score of the mean.
        alone: score of each model alone, in the order given.
    """

    state: dict[str, Tensor]
    chosen: tuple[int, ...]
    score: float
    alone: tuple[float, ...]


def greedy_soup(states: Sequence[State], score: Score) -> Soup:
    """Build a greedy soup, which is never worse, by `score`, than the best of the models.

    Algorithm 1 of Wortsman et al., ICML 2022: in descending order of their own scores, ties in the given order, each
    model is kept if the mean with it scores no less than the mean without.

    Args:
        score: scores a state dict on inner data, higher is better; NaN (not estimable) is never chosen.

    Raises:
        ValueError: the states do not fit each other, or no model has a score.
    """
    if not states:
        raise ValueError("there is no model to merge: give one or more")
    require_one_layout([layout_of(state) for state in states], [f"model {k}" for k in range(1, len(states) + 1)])
    alone = tuple(float(score(state)) for state in states)
    order = sorted((k for k in range(len(states)) if not math.isnan(alone[k])), key=lambda k: -alone[k])
    if not order:
        raise ValueError("no model has a score: the inner data do not allow an estimate")
    chosen, best = [order[0]], alone[order[0]]
    soup = merge_models([states[order[0]]])
    for k in order[1:]:
        tried = merge_models([states[j] for j in [*chosen, k]])
        value = float(score(tried))
        if value >= best:
            chosen, best, soup = [*chosen, k], value, tried
    return Soup(soup, tuple(chosen), best, alone)
