"""The link of every fitted predictor as a graph: the linear models, kernels and trees, and those made of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from itertools import product
from typing import Any

import numpy as np

from chiasm.errors import Unsupported
from chiasm.fitting.bent import KernelMachine, TreeInputs, TreeMachine
from chiasm.fitting.one_modality import OneModality
from chiasm.fitting.or_prior import OrPrior
from chiasm.fitting.residual import Added, ResidualPredictor
from chiasm.fitting.unimodal import Prior, Unimodal
from chiasm.heads.response import Response
from chiasm.linear.gaussian_kernel import GaussianMap
from chiasm.linear.linear import Linear
from chiasm.linear.losses import LOSSES
from chiasm.models.export.columns import projected
from chiasm.models.export.encoders import features
from chiasm.models.export.graph import Value
from chiasm.models.export.inputs import Reading
from chiasm.models.export.kinds import KINDS_IN_ONNX
from chiasm.models.export.trees import boosted, leaf_sums
from chiasm.recipes.baselines.block_forest import BlockForestPredictor
from chiasm.recipes.baselines.boosted import BoostedPredictor
from chiasm.recipes.baselines.early import EarlyElasticNetPredictor, EarlyFusionPredictor
from chiasm.recipes.baselines.ensemble import EnsemblePredictor, Member
from chiasm.recipes.baselines.kron_rls import KronRLSPredictor
from chiasm.recipes.baselines.late import LateFusionPredictor, prior_of, slopes_for
from chiasm.recipes.baselines.multi_ridge import MultiRidgePredictor
from chiasm.recipes.baselines.presence import PresencePredictor
from chiasm.recipes.baselines.priority_lasso import PriorityLassoPredictor
from chiasm.recipes.baselines.stacked import StackedFusionPredictor, weights_for
from chiasm.recipes.baselines.transfer import TransferPredictor

MOST_PATTERNS = 10
"""Modalities of a model that weighs every pattern of them in a way of its own: a thousand rows of a table."""


@singledispatch
def link_of(predictor: Any, reading: Reading) -> Value:
    """Return the link `(B, K)` float64 of a fitted predictor, as its own `link` gives it.

    Raises:
        Unsupported: nothing here knows a predictor of this type.
    """
    raise Unsupported(f"a model of {type(predictor).__name__} has no form in ONNX")


@link_of.register
def _(predictor: Prior, reading: Reading) -> Value:
    return reading.everyone(predictor.value)


@link_of.register
def _(predictor: Unimodal, reading: Reading) -> Value:
    own, name = features(reading, predictor.modality, predictor.features), predictor.modality
    if isinstance(predictor.bent, KernelMachine):
        kernel = predictor.bent
        link = linear(gaussian(projected(own, kernel.projection), kernel.gaussian), kernel.linear)
    elif isinstance(predictor.bent, TreeMachine):
        inputs = TreeInputs(predictor.features, predictor.bent.projection)
        link = boosted(features(reading, name, inputs), predictor.bent.trees)
    else:
        link = linear(components(reading, predictor), predictor.linear)
    link = stretched(link, predictor.slope, predictor.centre)
    if predictor.level is not None:
        link = link - predictor.level[None] + predictor.prior[None]
    return reading.present(name).column().where(link, reading.everyone(predictor.prior))


def components(reading: Reading, model: Unimodal) -> Value:
    """Return the inputs `(B, F)` of a linear model of one modality."""
    own = features(reading, model.modality, model.features)
    return own if model.projection is None else projected(own, model.projection)


def linear(x: Value, model: Linear) -> Value:
    """Return `x @ coef + intercept`, `(B, K)`."""
    return x @ model.coef + model.intercept[None]


def stretched(link: Value, slope: float, centre: Any) -> Value:
    """Return `centre + slope (link - centre)`."""
    found: Value = (link - centre) * float(slope) + centre
    return found


def calibrated(link: Value, response: Response) -> Value:
    """Return the calibrated link, as `Response.calibrated`."""
    own = (link - float(response.centre)) * float(response.slope)
    if len(response.intercept):
        own = own + response.intercept[None]
    return own if response.is_relative else own + float(response.centre)


def squared_distances(x: Value, rows: np.ndarray) -> Value:
    """Squared distances `(B, Z)` to rows `(Z, F)`."""
    own: Value = (x * x).sum(1, keep=True) + (rows**2).sum(1)[None] - (x @ np.ascontiguousarray(rows.T)) * 2.0
    return own.op("Max", 0.0)


def gaussian(x: Value, kernel: GaussianMap) -> Value:
    """Return the features `(B, k)` of a Gaussian kernel."""
    near = (squared_distances(x, kernel.landmarks) / -float(kernel.scale)).op("Exp")
    return (near - kernel.mean[None]) @ kernel.axes


@link_of.register
def _(predictor: LateFusionPredictor, reading: Reading) -> Value:
    names, prior = list(predictor.models), prior_of(predictor.models)
    patterns = every_pattern(names)
    slopes = slopes_for(predictor.slopes, predictor.further, names, patterns.T)
    counts = np.maximum(patterns.sum(1), 1)
    weights = patterns * (slopes / counts)[:, None]
    return weighted_beyond(reading, predictor.models, prior, weights)


@link_of.register
def _(predictor: StackedFusionPredictor, reading: Reading) -> Value:
    names = list(predictor.models)
    rows = [weights_for(predictor.weights, names, pattern) * pattern for pattern in every_pattern(names)]
    return weighted_beyond(reading, predictor.models, prior_of(predictor.models), np.stack(rows))


def weighted_beyond(reading: Reading, models: Mapping[str, Any], prior: np.ndarray, weights: np.ndarray) -> Value:
    """Return `prior + sum_m w_m (link_m - prior)` with the weights of each patient's pattern, `(2^M, M)`."""
    own = row_of_pattern(reading, list(models), weights)  # (B, M)
    total = reading.everyone(prior)
    for m, model in enumerate(models.values()):
        total = total + (link_of(model, reading) - prior[None]) * own.take([m])
    return total


def every_pattern(names: Sequence[str]) -> np.ndarray:
    """All patterns of present modalities, `(2^M, M)` bool, in the order of `row_of_pattern`.

    Raises:
        Unsupported: too many modalities.
    """
    if len(names) > MOST_PATTERNS:
        raise Unsupported(
            f"the model weighs each pattern of its {len(names)} modalities in a way of its own: a graph holds those of "
            f"{MOST_PATTERNS} at most"
        )
    return np.array(list(product((False, True), repeat=len(names))), bool).reshape(-1, len(names))


def row_of_pattern(reading: Reading, names: Sequence[str], table: np.ndarray) -> Value:
    """Return the row of a table `(2^M, ...)` that belongs to each patient's pattern, `(B, ...)`."""
    code = reading.rows.squeezed(1)
    for m, name in enumerate(names):
        code = code + reading.present(name).cast(np.float64) * float(1 << (len(names) - 1 - m))
    return reading.graph.op("Gather", reading.graph.constant(table, table.dtype), code.cast(np.int64), axis=0)


def centred(reading: Reading, encoders: Mapping[str, Any], means: Mapping[str, np.ndarray]) -> list[Value]:
    """Return each modality's centred scaled columns, `(B, F_m)`; zeros where absent."""
    return [
        reading.present(name).column().where(features(reading, name, encoders[name]) - mean[None], 0.0)
        for name, mean in means.items()
    ]


def told_presence(reading: Reading, shares: Mapping[str, float]) -> list[Value]:
    """Return a column for each of these modalities, who has it less the share of those who did in training."""
    return [reading.present(name).cast(np.float64).column() - float(share) for name, share in shares.items()]


@link_of.register
def _(predictor: EarlyElasticNetPredictor, reading: Reading) -> Value:
    blocks = centred(reading, predictor.features, predictor.means) + told_presence(reading, predictor.presence)
    return stretched(linear(reading.graph.concat(blocks), predictor.linear), predictor.slope, predictor.centre)


@link_of.register
def _(predictor: EarlyFusionPredictor, reading: Reading) -> Value:
    blocks = []
    for name in sorted(predictor.models):
        own = components(reading, predictor.models[name]) * float(predictor.shares[name])
        blocks.append(reading.present(name).column().where(own, 0.0))
    seen = reading.graph.concat(blocks + told_presence(reading, predictor.presence))
    link = linear(projected(seen, predictor.projection), predictor.linear)
    return stretched(link, predictor.slope, predictor.centre)


@link_of.register
def _(predictor: MultiRidgePredictor, reading: Reading) -> Value:
    seen = reading.graph.concat(centred(reading, predictor.features, predictor.means))
    return stretched(linear(seen, predictor.linear), predictor.slope, predictor.centre)


@link_of.register
def _(predictor: PriorityLassoPredictor, reading: Reading) -> Value:
    means = {name: predictor.means[name] for name in predictor.order}
    raw = reading.everyone(predictor.prior)
    for name, own in zip(means, centred(reading, predictor.features, means), strict=True):
        raw = raw + own @ predictor.coef[name]
    return stretched(raw, predictor.slope, predictor.centre)


@link_of.register
def _(predictor: TransferPredictor, reading: Reading) -> Value:
    return link_of(predictor.ridge, reading)  # one that asks a source model for a score is refused before


@link_of.register
def _(predictor: BoostedPredictor, reading: Reading) -> Value:
    blocks = []
    for name, own in predictor.inputs.items():
        here = reading.present(name).column()
        blocks.append(here.where(features(reading, name, own), np.nan))
    return stretched(boosted(reading.graph.concat(blocks), predictor.trees), predictor.slope, predictor.centre)


@link_of.register
def _(predictor: BlockForestPredictor, reading: Reading) -> Value:
    x = reading.graph.concat([features(reading, name, own) for name, own in predictor.features.items()])
    forest, names = predictor.forest, list(predictor.widths)
    cast = forest.value.shape[1]
    sums, numbers = reading.everyone(predictor.prior), reading.everyone(np.ones(forest.votes))
    for pattern in np.unique(predictor.reads, axis=0):
        own = np.flatnonzero((predictor.reads == pattern).all(1))
        count = np.zeros(forest.votes)
        for vote in range(cast):
            np.add.at(count, forest.output[own] + vote, 1.0)
        serves = reading.rows.op("Equal", 0.0)
        for name in (name for name, read in zip(names, pattern, strict=True) if read):
            serves = serves & reading.present(name).column()
        sums = sums + serves.where(leaf_sums(x, forest, own, forest.votes), 0.0)
        numbers = numbers + serves.where(reading.everyone(count), 0.0)
    link, kind = KINDS_IN_ONNX[predictor.kind].link_of, predictor.kind
    level = level_of(kind, predictor.prior)
    votes = sums / numbers
    if forest.votes == 1 and len(level) == 2:  # two classes have one vote
        votes = reading.graph.concat([-votes + 1.0, votes])
    return (link(votes) - level[None]) * float(predictor.slope) + level[None]


def level_of(kind: str, prior: np.ndarray) -> np.ndarray:
    """Link `(K,)` of a forest's prior."""
    return np.asarray(LOSSES[kind].link_of(prior[None]), np.float64).reshape(-1)


@link_of.register
def _(predictor: PresencePredictor, reading: Reading) -> Value:
    own = [reading.present(name).cast(np.float64).column() for name in predictor.modalities]
    alike = []
    for pattern in predictor.patterns.astype(np.float64):
        gap = (reading.graph.concat(own) - pattern[None]).op("Abs").sum(1, keep=True)
        alike.append(gap.op("Equal", 0.0).cast(np.float64))
    link = linear(reading.graph.concat(own + alike), predictor.linear)
    return stretched(link, predictor.slope, predictor.centre)


@link_of.register
def _(predictor: Member, reading: Reading) -> Value:
    return calibrated(link_of(predictor.predictor, reading), predictor.response)


@link_of.register
def _(predictor: EnsemblePredictor, reading: Reading) -> Value:
    links = {name: link_of(predictor.members[name], reading) for name in predictor.weights}
    width = len(next(iter(predictor.members.values())).response.classes) or 1
    origin = np.zeros(width) if predictor.prior is None else predictor.prior
    total = reading.everyone(origin)
    for name, weight in predictor.weights.items():
        total = total + (links[name] - origin[None]) * float(weight)
    return total


@link_of.register
def _(predictor: KronRLSPredictor, reading: Reading) -> Value:
    kernel = None
    for m, name in enumerate(predictor.modalities):
        own, index = predictor.items[name], predictor.index[:, m]
        x = features(reading, name, own.features)
        near = (squared_distances(x, own.values) * -float(own.scale)).op("Exp")
        near = reading.present(name).column().where(near, 0.0)
        nobody = reading.rows  # the column of who lacks the modality
        block = reading.graph.concat([near, nobody]) + float(predictor.offset)
        block = block.take(np.where(index < 0, len(own.values), index))  # (B, n)
        kernel = block if kernel is None else kernel * block
    assert kernel is not None  # a kernel reads one modality or more
    return stretched(kernel @ predictor.coef + predictor.centre[None], predictor.slope, float(predictor.level))


@link_of.register
def _(predictor: OneModality, reading: Reading) -> Value:
    link = link_of(predictor.predictor, reading) - predictor.level[None]
    here = reading.present(predictor.modality).column()
    return here.where(link * float(predictor.slope) + predictor.prior[None], reading.everyone(predictor.prior))


def any_of(reading: Reading, names: Sequence[str]) -> Value:
    """Return who has one of these modalities or more, `(B, 1)` bool."""
    some = reading.rows.op("Greater", 0.0)
    for name in names:
        some = some | reading.present(name).column()
    return some


@link_of.register
def _(predictor: OrPrior, reading: Reading) -> Value:
    known = any_of(reading, predictor.modalities)
    return known.where(link_of(predictor.predictor, reading), reading.everyone(predictor.prior))


@link_of.register
def _(predictor: Added, reading: Reading) -> Value:
    known = any_of(reading, predictor.modalities)
    link = link_of(predictor.network, reading) - predictor.level[None]
    return known.where(link, reading.everyone(np.zeros(len(predictor.level))))


@link_of.register
def _(predictor: ResidualPredictor, reading: Reading) -> Value:
    start = calibrated(link_of(predictor.start, reading), predictor.calibration)
    return start + link_of(predictor.added, reading) * float(predictor.gate)
