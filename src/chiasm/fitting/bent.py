"""Nonlinear models of one modality: a Gaussian kernel and boosted trees, compared on the linear model's inner folds.

A gain of a kernel or trees over a ridge is a gain from nonlinearity; it would pass for a gain from combining
modalities if only the combined side were allowed to be nonlinear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Outcome
from chiasm.encoders.table.scaling import Columns, HasUnscaled, Projection, numeric, select
from chiasm.encoders.table.table import TableEncoder, as_text, written
from chiasm.fitting.inner_choice import PENALTIES, ROUNDS, choose_penalty, choose_trees
from chiasm.fitting.refitted import Chosen
from chiasm.linear.boosted_trees import BoostedTrees
from chiasm.linear.gaussian_kernel import WIDTHS, GaussianMap, gaussian_maps, left_out_errors, residuals
from chiasm.linear.linear import Linear
from chiasm.linear.losses import LOSSES
from chiasm.linear.shared_rows import Rows, mapped

Array = NDArray[np.float64]
KERNEL_COMPONENTS = 64
WIDE = 128  # up to this many columns trees read the columns themselves, beyond it principal components
WIDE_RECORDS = 1024  # the same for summaries of records, of which each code has thirteen
TREE_COMPONENTS = 64
SETTINGS = len(WIDTHS) * len(PENALTIES) + len(ROUNDS)


@storable("kernel-machine")
@dataclass(frozen=True)
class KernelMachine:
    """A linear model on the features of a Gaussian kernel.

    Args:
        projection: principal components of the scaled columns, which keep the distances between training patients.
        gaussian: kernel features of these components.
        linear: linear model on the kernel features.
    """

    projection: Projection
    gaussian: GaussianMap
    linear: Linear

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def raw_link(self, features: Any, raw: Any) -> Array:
        """Return the link `(n, K)` of the patients who have the modality, from its fitted scaling and raw values."""
        return self.linear.linear_predictor(self.gaussian(self.projection(features.features(raw))))


@storable("tree-machine")
@dataclass(frozen=True)
class TreeMachine:
    """Boosted trees on a modality's columns, or on components if there are too many or they have no meaning alone.

    Args:
        projection: components of the scaled columns; None if the columns are read unscaled, with missing cells.
        trees: trees on the components or the columns.
    """

    projection: Projection | None
    trees: BoostedTrees

    @property
    def trained_parameters(self) -> int:
        return self.trees.trained_parameters

    def raw_link(self, features: Any, raw: Any) -> Array:
        """Return the link `(n, K)` of the patients who have the modality, from its fitted scaling and raw values."""
        return self.trees.linear_predictor(TreeInputs(features, self.projection)(raw))


@storable("tree-inputs")
@dataclass(frozen=True)
class TreeInputs:
    """What trees read of a modality: its columns, or components if there are too many or they have no meaning alone.

    Args:
        features: the fitted scaling.
        projection: components of the scaled columns; None if the columns are read unscaled, with missing cells.
    """

    features: Any
    projection: Projection | None

    def __call__(self, raw: Any) -> Array:
        """Return the values `(n, F)` of the patients who have the modality; NaN if missing."""
        if self.projection is None:
            return unscaled(self.features, raw)
        return self.projection(self.features.features(raw))

    @property
    def width(self) -> int:
        """Number of values for each patient, F."""
        if self.projection is not None:
            return int(self.projection.components.shape[1])
        levels = self.features.categories or {} if isinstance(self.features, TableEncoder) else {}
        return len(self.features.scaler.columns) + sum(map(len, levels.values()))


def unscaled(features: Any, raw: Any) -> Array:
    """Return unscaled columns `(n, F)`: numbers, and a 0/1 column for each category kept at fit; NaN if missing."""
    if isinstance(features, HasUnscaled):
        return features.unscaled(raw)
    if isinstance(features, Columns):
        assert features.scaler is not None  # it is fitted
        return numeric(select(raw, features.scaler.columns))
    assert isinstance(features, TableEncoder) and features.scaler is not None
    blocks = [numeric(select(raw, features.scaler.columns))]
    for column, known in sorted((features.categories or {}).items()):
        text, missing = as_text(raw[column]), raw[column].isna().to_numpy()
        for value in known:
            blocks.append(np.where(missing, np.nan, text == written(value))[:, None].astype(np.float64))
    return np.concatenate(blocks, axis=1)


@dataclass(frozen=True)
class Part:
    """Training data of one modality: its patients' outcomes, their inner folds and the features that models read.

    Args:
        features: the fitted scaling.
        projection: projection of the scaled columns to principal components.
        components: the projected features, `(n, k)`.
        width: number of scaled columns, F.
        columns: True if single columns have a meaning (tables, omics), False for tokens.
    """

    kind: str
    outcome: Outcome
    folds: NDArray[np.int_]
    classes: int | None
    features: Any
    projection: Projection
    components: Rows
    width: int
    columns: bool
    seed: int


def bent_rivals(part: Part, raw: Any, linear: Chosen) -> list[tuple[Any, Chosen]]:
    """Fit the kernel and the trees that may beat the linear model, each with its out-of-fold links."""
    found: list[tuple[Any, Chosen]] = []
    kernel = kernel_rival(part)
    if kernel is not None:
        found.append(kernel)
    if not LOSSES[part.kind].has_trees:
        return found
    best = min([linear, *(own for _, own in found)], key=lambda own: own.loss)
    inputs = tree_inputs(part)
    if inputs.projection is None:
        seen = inputs(raw)
    else:
        seen = np.asarray(mapped(lambda own: own[:, :TREE_COMPONENTS], part.components))
    trees = choose_trees(part.kind, seen, part.outcome, part.folds, part.classes, best.raw, part.seed)
    if trees is not None:
        found.append((TreeMachine(inputs.projection, trees.model), trees))
    return found


def tree_inputs(part: Part) -> TreeInputs:
    """Choose what trees read of a modality, without a look at its outcomes."""
    if isinstance(part.features, HasUnscaled) and 0 < part.width <= WIDE_RECORDS:
        return TreeInputs(part.features, None)
    if part.columns and isinstance(part.features, Columns | TableEncoder) and part.width <= WIDE:
        return TreeInputs(part.features, None)
    return TreeInputs(part.features, first_components(part.projection, TREE_COMPONENTS))


def kernel_rival(part: Part) -> tuple[KernelMachine, Chosen] | None:
    """Fit the kernel of the width with the smallest leave-one-out squared error; None if a linear ridge does as well.

    The error is that of a ridge on the residuals of the null model, in closed form for the linear features and for
    every width. Also None where no width beats the null model. Only the best width is then fitted by the likelihood on
    the inner folds, at its best penalty and the neighbours of that in the grid.
    """
    rest = residuals(part.kind, part.outcome, part.classes)
    straight = _errors(part.components, rest)
    maps = gaussian_maps(part.components, part.seed, components=KERNEL_COMPONENTS)
    values = [mapped(own, part.components) for own in maps]
    errors = np.stack([_errors(own, rest) for own in values])  # (W, P)
    width, strength = np.unravel_index(int(errors.argmin()), errors.shape)
    if errors.min() >= min(float(straight.min()), float((rest**2).sum())):
        return None
    penalties = PENALTIES[max(0, int(strength) - 1) : int(strength) + 2]
    chosen = choose_penalty(part.kind, values[width], part.outcome, part.folds, part.classes, penalties=penalties)
    return KernelMachine(part.projection, maps[width], chosen.model), chosen


def _errors(x: Rows, rest: Array) -> Array:
    return left_out_errors(x, rest, PENALTIES)


def first_components(projection: Projection, count: int) -> Projection:
    """Return the projection to the first `count` components."""
    return Projection(projection.mean, np.ascontiguousarray(projection.components[:, :count]), projection.scale)
