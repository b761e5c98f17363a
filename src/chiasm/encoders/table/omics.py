"""Omics encoder: thousands of features to a few tokens, each a gene set or a block of principal components."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from chiasm.artifact import storable
from chiasm.encoders.table.scaling import Projection, Scaler
from chiasm.tokens import Tokens

MIN_GROUP = 3


@storable("omics-encoder")
@dataclass(frozen=True)
class OmicsEncoder:
    """Omics encoder that scales columns and projects them on principal components, fitted on training rows.

    With feature groups, each group of at least three known columns becomes one token of its first `per_token` principal
    components; at least three columns without a group become one more. Without groups, the first `components` principal
    components are cut into tokens of `per_token`.

    Args:
        groups: columns of each gene set, by name.
        components, per_token: number of components in all (without groups), and per token.
        scaler, projections, members: the fitted state; `members[t]` holds the column positions of token t.
    """

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    components: int = 64
    per_token: int = 8
    scaler: Scaler | None = None
    projections: tuple[Projection, ...] = ()
    members: tuple[np.ndarray, ...] = ()

    fitted_on_cohort = True

    @classmethod
    def with_groups(cls, groups: Mapping[str, Sequence[str]] | None) -> Self:
        """Create an encoder for the feature groups that a manifest names, or for none."""
        return cls({name: tuple(columns) for name, columns in (groups or {}).items()})

    def fit(self, raw: pd.DataFrame, patients: Sequence[str] = ()) -> Self:
        """Fit on the training rows, `(n, F)` numeric; the order of the columns does not matter."""
        raw = raw[sorted(raw.columns)]
        scaler = Scaler.fit(raw)
        values = scaler(raw)
        position = {column: index for index, column in enumerate(scaler.columns)}
        known = [sorted({position[c] for c in self.groups[name] if c in position}) for name in sorted(self.groups)]
        members = [np.array(part, np.int64) for part in known if len(part) >= MIN_GROUP]
        if not members:
            everything = np.arange(values.shape[1], dtype=np.int64)
            return self._fitted(scaler, (Projection.fit(values, self.components),), (everything,))
        rest = np.setdiff1d(np.arange(values.shape[1]), np.concatenate(members))
        if len(rest) >= MIN_GROUP:
            members.append(rest.astype(np.int64))
        projections = tuple(Projection.fit(values[:, part], self.per_token) for part in members)
        return self._fitted(scaler, projections, tuple(members))

    def on_columns(self, columns: Collection[str], scaled: OmicsEncoder) -> Self:
        """Return this encoder's components on some of its columns, scaled as another fitted encoder scales them.

        Token t is `(x - mean) C_t / scale` as it was, x the other one's scaled columns, in steps of its own
        (`Scaler.steps`); what is left out adds nothing, nor does a column that one ranks and the other does not.

        Args:
            columns: the columns that both have.
        """
        own, other = self.scaler, scaled.scaler
        if own is None or other is None:
            raise ValueError("the omics encoder is not fitted: call fit on training rows first")
        steps, shared = other.steps(own), set(columns)
        kept = [column for column in own.columns if column in shared and np.isfinite(steps.get(column, np.nan))]
        position = {column: number for number, column in enumerate(kept)}
        members, projections = [], []
        for part, projection in zip(self.members, self.projections, strict=True):
            named = [own.columns[number] for number in part.tolist()]
            rows = [row for row, column in enumerate(named) if column in position]
            members.append(np.array([position[named[row]] for row in rows], np.int64))
            ratio = np.array([steps[named[row]] for row in rows])
            mean, components = projection.mean[rows] / ratio, projection.components[rows] * ratio[:, None]
            projections.append(Projection(mean, components, projection.scale))
        return self._fitted(other.part(kept), tuple(projections), tuple(members))

    def _fitted(self, scaler: Scaler, projections: tuple[Projection, ...], members: tuple[np.ndarray, ...]) -> Self:
        return type(self)(self.groups, self.components, self.per_token, scaler, projections, members)

    @property
    def slots(self) -> int:
        if len(self.projections) == 1:
            return -(-int(self.projections[0].components.shape[1]) // self.width)
        return len(self.projections)

    @property
    def width(self) -> int:
        return min(self.per_token, max(int(projection.components.shape[1]) for projection in self.projections))

    def encode(self, raw: Any) -> Tokens:
        """Encode rows to tokens `(n, slots, width)`, shorter ones padded with zeros."""
        values = np.zeros((len(raw), self.slots, self.width), np.float32)
        if self.scaler is None:
            raise ValueError("the omics encoder is not fitted: call fit on training rows first")
        scaled = self.scaler(raw)
        for slot, (projection, own) in enumerate(zip(self.projections, self.members, strict=True)):
            scores = projection(scaled[:, own])
            if len(self.projections) == 1:
                values.reshape(len(raw), -1)[:, : scores.shape[1]] = scores
            else:
                values[:, slot, : scores.shape[1]] = scores
        return Tokens(torch.from_numpy(values), torch.ones(values.shape[:2], dtype=torch.bool))
