"""What someone wants and believes, from what he does and says: inverse planning with likelihoods that are given.

`P(m | x_1, ..., x_T) ∝ P(m) prod_t P(x_t | x_1, ..., x_(t-1), m)` over minds m, each a goal, a belief, and a belief of
what another one wants; x_t is an action or an utterance.

Source: LIMP, Shi et al., MuMA-ToM, AAAI 2025, arXiv 2408.12574, which takes the likelihoods from a language model. Here
any function gives them; the likelihood of every event counts, where the released code asks for that of the last ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from chiasm.language.speaking.local import LocalSpeaker


@dataclass(frozen=True)
class Mind:
    """A hypothesis: what someone wants, what he believes of the world, and what he believes another one to want.

    Each is whatever the likelihood understands: a word, a place, a sentence; None where it is of no matter.
    """

    goal: Any = None
    belief: Any = None
    belief_of_goal: Any = None


Likelihood = Callable[[Any, Sequence[Any], Mind], float]
"""`log P(event | events before, mind)`; -inf for what cannot be."""


def posterior(
    minds: Sequence[Mind],
    events: Sequence[Any],
    likelihood: Likelihood,
    prior: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    """Probability of each of M minds after T events, `(M,)`.

    Args:
        minds: those that are thought of, each once.
        events: actions and utterances in their order.
        likelihood: log-probability of an event, of those before it and of a mind.
        prior: `(M,)` weights of the minds, not negative, some above zero; None: all alike.

    Raises:
        ValueError: there is no mind, or one twice; a prior that is none; a likelihood that is NaN or above every
            probability's; or no mind by which the events can be.
    """
    if not minds or len(set(minds)) < len(minds):
        raise ValueError("minds are compared that differ: name one or more, each once")
    weights = np.ones(len(minds)) if prior is None else np.asarray(prior, dtype=np.float64)
    if weights.shape != (len(minds),) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(f"the prior of {len(minds)} minds is one weight each, none below zero and some above it")
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    for row, mind in enumerate(minds):
        for place, event in enumerate(events):
            if logs[row] == -np.inf:
                break
            own = float(likelihood(event, events[:place], mind))
            if np.isnan(own) or own == np.inf:
                raise ValueError(f"the likelihood of event {place + 1} is {own}: give its logarithm, or -inf for never")
            logs[row] += own
    top = logs.max()
    if top == -np.inf:
        raise ValueError("the events cannot be by any of the minds: name one by which they can")
    each = np.exp(logs - top)
    return np.asarray(each / each.sum(), dtype=np.float64)


def likeliest(found: NDArray[np.float64], *, least: bool = False) -> int | None:
    """Return the place of the likeliest mind, or of the least likely; None where two or more are equally so."""
    best = found.min() if least else found.max()
    places = np.flatnonzero(np.isclose(found, best, rtol=1e-9, atol=0))
    return int(places[0]) if len(places) == 1 else None


def by_language(speaker: LocalSpeaker, told: Callable[[Mind], str]) -> Likelihood:
    """Return the likelihood of sentences under a causal language model: log p of their tokens behind what went before.

    Args:
        speaker: the model.
        told: a mind in words, put before the event.
    """

    def likelihood(event: Any, before: Sequence[Any], mind: Mind) -> float:
        prompt = "\n".join([*map(str, before), told(mind)])
        return speaker.weighed(speaker.framed(prompt), [str(event)]).scores[0]

    return likelihood
