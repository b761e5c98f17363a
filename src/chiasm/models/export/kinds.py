"""What a calibrated link becomes of each kind of target, and the link of a forest's votes: a table of graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chiasm.heads.response import Response
from chiasm.models.export.graph import Value

MOST_LOG_HAZARD = 500.0


@dataclass(frozen=True)
class KindInOnnx:
    """A kind of target as a graph.

    Args:
        answers: the columns of a prediction `(B, C)`, of a calibrated link `(B, K)`.
        link_of: the link `(B, K)` of a forest's mean votes `(B, V)`.
    """

    answers: Callable[[Value, Response], Value]
    link_of: Callable[[Value], Value]


def _softmax(link: Value, response: Response) -> Value:
    return link.op("Softmax", axis=1)


def _expit(link: Value, response: Response) -> Value:
    return link.op("Sigmoid")


def _number(link: Value, response: Response) -> Value:
    return link.take([0])


def _channels(link: Value, response: Response) -> Value:
    return link


def _survival(link: Value, response: Response) -> Value:
    """Risk, and at each horizon `exp(-H(t) exp(risk))`; of the baseline only the hazard at the horizons is kept."""
    risk = link.take([0])
    if not response.times:
        return risk
    level = np.concatenate([[0.0], response.hazard])
    reached = np.searchsorted(response.event_times, np.asarray(response.times, np.float64), side="right")
    return link.graph.concat([risk, (-(_growth(risk) * level[reached][None])).op("Exp")])


def _incidence(link: Value, response: Response) -> Value:
    """Risk of each cause, and its incidence at each horizon, as `incidence_at` adds it up over the event times.

    The product over times of `1 - hazard` is taken in logarithms, since ONNX has a running sum and no running product.
    """
    if not response.times:
        return link
    reached = np.searchsorted(response.event_times, np.asarray(response.times, np.float64), side="right")
    jumps = np.diff(response.hazard, axis=0, prepend=0.0)[: int(reached.max(initial=0))]  # (E, K)
    causes = len(response.classes)
    if response.subdistribution:
        return _subdistributions(link, np.concatenate([np.zeros((1, causes)), response.hazard])[reached])
    if not len(jumps):
        zeros = link.take([0]) * 0.0
        return link.graph.concat([link, *[zeros] * (len(reached) * causes)])
    growth, graph = _growth(link), link.graph
    whole = growth @ np.ascontiguousarray(jumps.T)  # (B, E)
    steps = (-whole.op("Min", 1.0) + 1.0).op("Log")
    axis = graph.constant(1, np.int64)
    before = graph.op("CumSum", steps, axis, exclusive=1).op("Exp") / whole.op("Max", 1.0)
    incidence = []
    for k in range(causes):
        own = graph.op("CumSum", before * jumps[:, k][None], axis) * growth.take([k])
        incidence.append(graph.concat([own.take([0]) * 0.0, own]).take(reached))  # (B, T)
    ordered = [incidence[k].take([t]) for t in range(len(reached)) for k in range(causes)]
    return graph.concat([link, *ordered])


def _subdistributions(link: Value, level: np.ndarray) -> Value:
    """Risk of each cause, and its incidence `1 - exp(-H_k(t) exp(link_k))`, as `subdistribution_incidence` bounds it.

    Args:
        level: `(T, K)` cumulative hazards at the horizons.
    """
    growth, graph = _growth(link), link.graph
    first, *rest = (-(-(growth.take([k]) * level[:, k][None])).op("Exp") + 1.0 for k in range(level.shape[1]))  # (B, T)
    found = [first]
    if rest:
        others, left = rest[0], -first + 1.0
        for own in rest[1:]:
            others = others + own
        share = left / others.op("Greater", 0.0).where(others, 1.0)
        share = others.op("Greater", left).where(share, 1.0)
        found += [_falling_back(own * share, len(level)) for own in rest]
    ordered = [own.take([t]) for t in range(len(level)) for own in found]
    return graph.concat([link, *ordered])


def _falling_back(values: Value, times: int) -> Value:
    """Let no value `(B, T)` be above one at a later time."""
    kept = [values.take([times - 1])]
    for t in range(times - 2, -1, -1):
        kept.insert(0, values.take([t]).op("Min", kept[0]))
    return values.graph.concat(kept)


def _growth(link: Value) -> Value:
    return link.clip(-MOST_LOG_HAZARD, MOST_LOG_HAZARD).op("Exp")


def _log(votes: Value) -> Value:
    return votes.op("Log")


def _logit(votes: Value) -> Value:
    return (votes / (-votes + 1.0)).op("Log")


def _same(votes: Value) -> Value:
    return votes


KINDS_IN_ONNX: dict[str, KindInOnnx] = {
    "classification": KindInOnnx(_softmax, _log),
    "competing": KindInOnnx(_incidence, _log),
    "multilabel": KindInOnnx(_expit, _logit),
    "regression": KindInOnnx(_number, _same),
    "response": KindInOnnx(_channels, _same),
    "survival": KindInOnnx(_survival, _log),
}
