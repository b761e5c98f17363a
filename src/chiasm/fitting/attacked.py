"""What a fitted network predicts of patients whose tokens an attack has moved.

The attacker knows the network and the outcomes, and moves the tokens between encoders and fusion (2011.09526), each
value by so many standard deviations of the training patients' tokens: of ordered tokens at each place, of exchangeable
ones over all. A value that is the same for all training patients is not moved. A loss that compares patients, as Cox's,
is that of the patients who are read together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chiasm.cohort import Cohort, Outcome
from chiasm.encoders import pack
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor
from chiasm.fitting.one_modality import OneModality
from chiasm.fusion.attack import fgsm, noise, pgd
from chiasm.heads.head import target_tensors
from chiasm.protocols import Model
from chiasm.tokens import Packed, Tokens
from chiasm.training.batches import presence, reading_batches, take, total_lengths
from chiasm.training.network import READING_BATCH

NOISE, FGSM, PGD = "noise", "fgsm", "pgd"
Move = Callable[[dict[str, Tokens], Callable[[dict[str, Tokens]], Tensor]], dict[str, Tokens]]


def network_within(model: Model) -> tuple[NetworkPredictor, OneModality | None] | None:
    """Return the one network of a model, and what extends it to patients who lack its modality; None without one."""
    if not isinstance(model, FittedModel):
        return None
    if isinstance(model.predictor, NetworkPredictor):
        return model.predictor, None
    if isinstance(model.predictor, OneModality) and isinstance(model.predictor.predictor, NetworkPredictor):
        return model.predictor.predictor, model.predictor
    return None


def can_be_attacked(model: Model) -> bool:
    """True if a model's prediction has a gradient in the tokens: one network, which does not read inputs itself."""
    found = network_within(model)
    return found is not None and not found[0].reads_inputs


def spread_of(model: Model, train: Cohort) -> dict[str, Tensor]:
    """Standard deviations of the training tokens that a network reads, `(T, D)`, of exchangeable ones `(1, D)`."""
    found = network_within(model)
    assert found is not None
    return {name: _deviation(own) for name, own in pack(train, found[0].encoders).items()}


def attacked(
    model: Model,
    test: Cohort,
    outcome: Outcome,
    how: str,
    aimed: Collection[str],
    strength: float,
    spread: Mapping[str, Tensor],
    seed: int,
) -> tuple[pd.DataFrame, int]:
    """Predict patients whose tokens were moved, a row each in the order of `test.ids`, and count who was struck.

    Args:
        model: one that can be attacked.
        test, outcome: encoded patients, and their known outcomes.
        how: "fgsm" (one step), "pgd" (ten) or "noise" (random signs of the same size).
        aimed: modalities whose tokens are moved; those that the network does not read stay out of it.
        strength: in standard deviations.
        spread: of `spread_of`.
        seed: of the noise.
    """
    found = network_within(model)
    assert isinstance(model, FittedModel) and found is not None
    predictor, one = found
    names = sorted(set(aimed) & set(predictor.encoders))
    generator = torch.Generator().manual_seed(seed)

    def moved(tokens: dict[str, Tokens], loss: Callable[[dict[str, Tokens]], Tensor]) -> dict[str, Tokens]:
        if how == NOISE:
            return noise(tokens, names, strength, generator, spread=spread)
        return (fgsm if how == FGSM else pgd)(tokens, names, strength, loss, spread=spread)

    if one is None:
        link, struck = _link(predictor, test, outcome, moved, names)
    else:
        link, struck = np.tile(one.prior, (len(test), 1)), 0
        rows = test.rows_of(one.modality) if one.modality in test.modalities else np.zeros(0, int)
        if len(rows):
            part = test.with_modalities([one.modality]).subset(rows)
            own, struck = _link(predictor, part, outcome.take(rows), moved, names)
            link[rows] = one.prior + one.slope * (own - one.level)
    frame = model.response.frame(link)
    frame.insert(0, "pattern", test.with_modalities([n for n in test.modalities if n in model.modalities]).pattern())
    frame.index = pd.Index(test.ids, name="patient", dtype=object)
    return frame, struck


def _link(
    predictor: NetworkPredictor, cohort: Cohort, outcome: Outcome, move: Move, names: Collection[str]
) -> tuple[np.ndarray, int]:
    network = predictor.network().eval().requires_grad_(False)
    ordered = sorted(predictor.encoders)
    tokens = pack(cohort, predictor.encoders)
    present = presence(tokens, ordered)
    value, event = target_tensors(outcome, predictor.centre, predictor.scale)
    link = np.zeros((len(cohort), predictor.outputs))
    for batch in reading_batches(total_lengths(tokens), READING_BATCH):
        here, rows = torch.from_numpy(present[batch]), torch.from_numpy(batch)

        def loss(given: dict[str, Tokens], here: Tensor = here, rows: Tensor = rows) -> Tensor:
            return network.head.loss(network(given, here)[0], value[rows], event[rows])

        found = move(take(tokens, batch), loss)
        with torch.no_grad():
            link[batch] = network(found, here)[0].double().numpy()
    struck = present[:, [ordered.index(name) for name in names]].any(axis=1) if names else np.zeros(0)
    return link * predictor.scale + predictor.centre, int(struck.sum())


def _deviation(packed: Packed) -> Tensor:
    """Population standard deviation of the tokens that are there, in float64 by their sums."""
    places, number = packed.slots or 1, 0
    total, square = torch.zeros(places, packed.width).double(), torch.zeros(places, packed.width).double()
    have = np.flatnonzero(packed.lengths > 0)
    first: Tensor | None = None
    for start in range(0, len(have), READING_BATCH):
        tokens = packed.take(have[start : start + READING_BATCH])
        values = tokens.values.double() if packed.slots else tokens.values.double()[tokens.mask][:, None]  # (n, P, D)
        first = values[:1].clone() if first is None else first
        total, square = total + (values - first).sum(0), square + ((values - first) ** 2).sum(0)
        number += len(values)
    variance = square / max(number, 1) - (total / max(number, 1)) ** 2
    return variance.clamp_min(0).sqrt().float()
