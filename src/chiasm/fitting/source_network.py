"""A network's start from the weights of a fitted network of other patients, parameter by parameter.

    f(x) of the cohort at the start  =  f of the source, on columns that each cohort has scaled by its own patients

What belongs to a modality is copied where source and cohort share the modality. A table's entrance weighs the numbers
of its columns: each weight goes to the column, level or missing flag of its name, and what the source does not know
starts as without a source. A column of few values is scaled by its own cohort's spread, and its weight is changed by
the ratio of the two, so that it means as much for the same difference of values; one that is ranked in one cohort and
not in the other is not copied. An omics block is read through the source's own components, on the columns that both
have, half of the source's at least, which keeps what the entrance weighs; the columns of the cohort alone are then not
read. Any other modality is read as at the source's fit, its scale too. What all modalities share is copied, and what is
shaped by their number where they are the same. The head is copied, classes by their names, unless only one of the two
learned what a linear model leaves.

It is assumed that a patient who stands at some rank among the cohort's patients is like one who stands at that rank
among the source's: a unit or a platform that moves a column monotonically cancels, and a difference between the two
populations' levels is not seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.cohort import Cohort
from chiasm.cohort.lending import Shared
from chiasm.encoders import pack
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.table import TableEncoder
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Design, NetworkPredictor, Prepared
from chiasm.fitting.one_modality import OneModality
from chiasm.fitting.parameter_places import Place, places_of
from chiasm.fitting.residual import ResidualPredictor
from chiasm.fitting.source_model import SourceModel, order_of
from chiasm.fusion.attention import TokenEntrance
from chiasm.protocols import Encoder
from chiasm.tokens import Packed
from chiasm.training import Network
from chiasm.training.batches import presence

Names = Sequence[Sequence[str]]

ENTRANCE = ("weight", "bias")
LEAST_SHARE = 0.5  # of the columns of an omics block: components of fewer say something else


@dataclass(frozen=True)
class Start:
    """A fitted network among the sources of a cohort.

    Args:
        source: the source model.
        network: its network.
        shared: modality to the columns that both have.
        upon: True if the network learned what a linear model leaves.
    """

    source: SourceModel
    network: NetworkPredictor
    shared: Shared
    upon: bool

    @property
    def stage(self) -> str:
        """Part of the name of its checkpoints, by which they are of this source and no other."""
        return f"-from-{self.source.identity[:16]}"

    def prepared(self, data: Prepared) -> Prepared:
        """Return the training patients as the source reads them: omics through its components, files as at its fit."""
        encoders: dict[str, Encoder] = {}
        for name in sorted(set(self.shared) & set(data.encoders)):
            theirs, ours = self.network.encoders.get(name), data.encoders[name]
            if isinstance(theirs, OmicsEncoder) and isinstance(ours, OmicsEncoder):
                encoders[name] = theirs.on_columns(self.shared[name], ours)
            elif theirs is not None and type(theirs) is type(ours) and ours.fitted_on_cohort and not _by_column(ours):
                encoders[name] = theirs
        if not encoders:
            return data
        tokens: dict[str, Packed] = {**data.tokens, **pack(data.cohort, encoders)}
        here = presence(tokens, data.cohort.modalities)
        return replace(data, encoders={**data.encoders, **encoders}, tokens=tokens, present=here)

    def copied_into(self, network: Network, training: Training, data: Prepared, design: Design) -> int:
        """Copy what the source knows into a network, in place; return how many of its numbers that are.

        Args:
            network: of the cohort, as it would begin without a source.
            data: from `prepared`.
            design: of the network.
        """
        state, copied = network.state_dict(), 0
        with torch.no_grad():
            for key, value in self._fusion(data, design, network).items():
                copied += _put(state[f"fusion.{key}"], value)
            if self.upon == (training.offset is not None):
                order = order_of(self.source.model, training.target.names)
                for key in (own for own in state if own.startswith("head.") and own in self.network.state):
                    value = _tensor(self.network.state[key])
                    copied += _put(state[key], value[order] if key.startswith("head.linear.") else value)
        return copied

    def _fusion(self, data: Prepared, design: Design, network: Network) -> dict[str, Tensor]:
        """Return what each parameter of the fusion starts with, NaN where it starts fresh; others are left out."""
        theirs = places_of(self.network.design, self.network.shapes)
        known = {(own.part, own.modality): key for key, own in theirs.items()}
        same = sorted(self.network.shapes) == sorted(data.shapes) == sorted(self.shared)
        alike = {name: self._reads_alike(name, data.encoders[name]) for name in self.shared if name in data.encoders}
        found = {}
        for key, place in places_of(design, data.shapes).items():
            other = known.get((place.part, place.modality))
            if other is None or theirs[other].by_count != place.by_count or (place.by_count and not same):
                continue
            if place.modality and place.modality not in alike:
                continue
            value = _tensor(self.network.state[f"fusion.{other}"])
            if (column := self._by_column(place, key, other, data.encoders, network)) is not None:
                found[key] = column
            elif not place.by_layout or (alike[place.modality] if place.modality else same and all(alike.values())):
                found[key] = value
        return found

    def _by_column(
        self, place: Place, key: str, other: str, encoders: Mapping[str, Encoder], network: Network
    ) -> Tensor | None:
        """Return the weights of a table's entrance by column; None for what is no entrance of a table."""
        ours, theirs = encoders.get(place.modality), self.network.encoders.get(place.modality)
        owner, _, leaf = key.rpartition(".")
        entrance = network.fusion.get_submodule(owner)
        if not isinstance(entrance, TokenEntrance) or leaf not in ENTRANCE:
            return None
        if not isinstance(ours, TableEncoder) or not isinstance(theirs, TableEncoder):
            return None
        value, size = _tensor(self.network.state[f"fusion.{other}"]), dict(entrance.named_parameters())[leaf].shape
        assert ours.scaler is not None and theirs.scaler is not None  # both are fitted
        steps = ours.scaler.steps(theirs.scaler)
        return by_column(value, tuple(size), theirs.token_names, ours.token_names, steps)

    def _reads_alike(self, name: str, ours: Encoder) -> bool:
        """True if the tokens of a modality have one layout and one meaning in both."""
        theirs = self.network.encoders.get(name)
        if theirs is None or self.network.shapes[name] != (ours.width, ours.slots):
            return False
        if isinstance(theirs, TableEncoder) and isinstance(ours, TableEncoder):
            return theirs.token_names == ours.token_names
        return type(theirs) is type(ours)


def network_of(predictor: Any) -> tuple[NetworkPredictor, bool] | None:
    """Return the one network of a predictor, and whether it learned what a linear model leaves; None without one."""
    upon = False
    while isinstance(predictor, OneModality | ResidualPredictor):
        if isinstance(predictor, OneModality):
            predictor = predictor.predictor
        else:
            predictor, upon = predictor.added.network, True
    return (predictor, upon) if isinstance(predictor, NetworkPredictor) else None


def networks_of(cohort: Cohort) -> list[Start]:
    """Return the sources of a cohort that are fitted networks."""
    found = []
    for source in cohort.lent_models:
        own = network_of(source.model.predictor) if isinstance(source, SourceModel) else None
        if own is not None and isinstance(source, SourceModel):
            network, upon = own
            shared = {
                name: columns
                for name, columns in source.shared(cohort).items()
                if name in network.shapes and _enough(network.encoders.get(name), columns)
            }
            found.append(Start(source, network, shared, upon))
    return found


def by_column(
    value: Tensor, size: tuple[int, ...], theirs: Names, ours: Names, steps: Mapping[str, float] | None = None
) -> Tensor:
    """Return an entrance's weight `(T, F, D)` or bias `(T, D)` for other tokens, NaN where the source has none.

    A weight goes to the feature of its name, times `steps`. The bias of a token is that of the source's token that has
    most of its features; up to 32 columns a token is one column.

    Args:
        value: the source's weight `(T', F', D)` or bias `(T', D)`.
        size: the shape wanted.
        theirs, ours: names of the features of each token.
        steps: feature to how many of the source's steps one of its own is (`Scaler.steps`), else 1; NaN: it is scaled
            in another way, and the source has none of it.
    """
    steps = steps or {}
    places = {name: (token, place) for token, names in enumerate(theirs) for place, name in enumerate(names)}
    known = {name: place for name, place in places.items() if not math.isnan(steps.get(name, 1.0))}
    found = value.clone() if theirs == ours and value.shape == size else torch.full(size, torch.nan)
    for token, names in enumerate(ours):
        if len(size) == 3:
            for place, name in enumerate(names):
                found[token, place] = value[known[name]] * steps.get(name, 1.0) if name in known else torch.nan
        elif votes := Counter(known[name][0] for name in names if name in known):
            found[token] = value[max(votes, key=lambda own: (votes[own], -own))]
        else:
            found[token] = torch.nan
    return found


def _enough(encoder: Encoder | None, columns: Sequence[str]) -> bool:
    """True unless an omics block has fewer than `LEAST_SHARE` of the columns that its components were found on."""
    if not isinstance(encoder, OmicsEncoder) or encoder.scaler is None:
        return True
    return len(columns) >= LEAST_SHARE * len(encoder.scaler.columns)


def _by_column(encoder: Encoder) -> bool:
    return isinstance(encoder, TableEncoder | OmicsEncoder)


def _tensor(value: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(value))


def _put(own: Tensor, value: Tensor) -> int:
    """Copy what is known into a tensor of the same shape, in place; return how many numbers that is."""
    if own.shape != value.shape:
        return 0
    known = ~torch.isnan(value) if value.is_floating_point() else torch.ones_like(value, dtype=torch.bool)
    own[known] = value[known].to(own.dtype)
    return int(known.sum())
