"""What each token of a patient brings to a network's link: integrated gradients.

    share_t = sum over d of (x_td - b_td) * mean over a of  d f(b + a (x - b)) / d x_td,     a from 0 to 1

x are a patient's tokens, b the baseline: the mean token of the patients who are explained (at each position, or of
exchangeable ones over all), or zero. All modalities go along the path together; what a patient lacks stays absent. f is
the calibrated link: the log hazard, the log odds of the second of two classes, of a class among several its logit
less the mean of all, or the number itself. The shares of a patient sum to `f(x) - f(b)` but for the error of the
integral, which is reported. Source: Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017,
arXiv 1703.01365; by Captum (Gauss-Legendre). A share is of a token given the others, and of the network alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import pack
from chiasm.fitting.attacked import network_within
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor
from chiasm.protocols import Model
from chiasm.readers.registry import missing
from chiasm.targets import kind_of
from chiasm.tokens import Packed, Tokens
from chiasm.training import Network
from chiasm.training.batches import presence, reading_batches, take, total_lengths

BASELINES = ("mean", "zero")
PATIENTS_AT_ONCE = 16
ROWS_AT_ONCE = 256  # points on the paths of patients that are computed together
MOST_SHARES = 20_000_000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TokenShares:
    """Shares of tokens.

    Args:
        outputs: names of the C outputs.
        shares: modality to the shares `(sum of T_i, C)` of all real tokens, patient by patient in the order of ids.
        lengths: modality to the number of tokens of each patient, `(B,)`.
        times: modality to the hours of the tokens, `(sum of T_i,)`, where they have any.
        change: `(B, C)` the link less that of the baseline.
    """

    outputs: tuple[str, ...]
    shares: dict[str, Array]
    lengths: dict[str, NDArray[np.int_]]
    times: dict[str, Array]
    change: Array

    @property
    def gap(self) -> Array:
        """`(B, C)` by how much the shares of a patient miss the change of the link."""
        summed = np.zeros_like(self.change)
        for name, own in self.shares.items():
            np.add.at(summed, np.repeat(np.arange(len(summed)), self.lengths[name]), own)
        return np.abs(summed - self.change)


def network_of(model: Model) -> tuple[NetworkPredictor, float]:
    """Return the network of a model and the slope of its link.

    Raises:
        Unsupported: the model is not one network.
    """
    found = network_within(model)
    if found is None:
        name = f"'{model.recipe}'" if isinstance(model, FittedModel) else "the model"
        raise Unsupported(
            f"tokens are told of one network by its gradients, and {name} is none: ask what columns are worth to it, "
            "or fit a network such as healnet or lego-fuse"
        )
    assert isinstance(model, FittedModel)
    return found[0], model.response.slope * (1.0 if found[1] is None else found[1].slope)


def token_shares(
    model: Model,
    cohort: Cohort,
    *,
    baseline: str = "mean",
    steps: int = 32,
    network: Network | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TokenShares:
    """Split the link of each patient among their tokens.

    Args:
        cohort: encoded patients.
        baseline: "mean" or "zero".
        steps: points on the path from the baseline to a patient.
        network: another network of the same design in place of the fitted one; it is frozen.
        progress: called with (finished, all) patients.

    Raises:
        Unsupported: the model is not one network, captum is missing, or there are too many tokens.
        ValueError: there is no such baseline, or fewer than two steps.
    """
    if baseline not in BASELINES or steps < 2:
        raise ValueError(f"the baseline is {' or '.join(BASELINES)}, and steps are 2 or more: {baseline}, {steps}")
    try:
        from captum.attr import IntegratedGradients  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise missing("captum", "explain", "the gradients of tokens") from None
    predictor, slope = network_of(model)
    own = (predictor.network() if network is None else network).eval().requires_grad_(False)
    names = sorted(predictor.encoders)
    tokens = pack(cohort, predictor.encoders)
    present = presence(tokens, names)
    outputs, contrasts = contrasts_of(model, predictor.outputs)
    lengths = {name: tokens[name].lengths for name in names}
    if (number := sum(int(each.sum()) for each in lengths.values()) * len(outputs)) > MOST_SHARES:
        raise Unsupported(
            f"{number:,} shares of tokens are more than {MOST_SHARES:,}: explain fewer patients at a time"
        )
    bases = {name: _baseline(tokens[name], baseline) for name in names}
    starts = {name: np.concatenate([[0], np.cumsum(lengths[name])]) for name in names}
    shares = {name: np.zeros((int(lengths[name].sum()), len(outputs))) for name in names}
    times: dict[str, Array] = {}
    change = np.zeros((len(cohort), len(outputs)))
    forward = _Link(own, names, torch.from_numpy(contrasts).float())
    gradients = IntegratedGradients(forward, multiply_by_inputs=False)
    done = 0
    for batch in reading_batches(total_lengths(tokens), PATIENTS_AT_ONCE):
        padded = take(tokens, batch)
        here = torch.from_numpy(present[batch])
        values = tuple(torch.where(padded[n].mask[..., None], padded[n].values, 0.0).float() for n in names)
        begin = tuple(
            torch.where(padded[n].mask[..., None], bases[n].expand_as(own_values), 0.0)
            for n, own_values in zip(names, values, strict=True)
        )
        beside = (here, *(padded[n].mask for n in names), *(padded[n].times for n in names))
        with torch.no_grad():
            change[batch] = (forward(*values, *beside) - forward(*begin, *beside)).double().numpy()
        for place in range(len(outputs)):
            found = gradients.attribute(
                values, begin, target=place, additional_forward_args=beside, n_steps=steps,
                internal_batch_size=max(ROWS_AT_ONCE, len(batch)),
            )  # fmt: skip
            for name, slopes, x, b in zip(names, found, values, begin, strict=True):
                each = ((x - b).double() * slopes.double()).sum(2).numpy()
                for row, patient in enumerate(batch.tolist()):
                    span = slice(starts[name][patient], starts[name][patient + 1])
                    shares[name][span, place] = each[row][padded[name].mask[row].numpy()]
        _note_times(times, padded, batch, starts)
        done += len(batch)
        if progress is not None:
            progress(done, len(cohort))
    factor = slope * predictor.scale
    return TokenShares(outputs, {name: own * factor for name, own in shares.items()}, lengths, times, change * factor)


def contrasts_of(model: Model, outputs: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the names of what is explained of a link of K outputs, and `(K, C)` how each is made of it."""
    assert isinstance(model, FittedModel)  # `network_of` refuses others
    kind = kind_of(model.response.kind)
    names = tuple(kind.answers(model.response.classes))
    if not kind.has_classes:
        return names, np.eye(outputs, dtype=np.float32)
    if outputs == 2:
        return names[1:], np.array([[-1], [1]], np.float32)
    return names, np.eye(outputs, dtype=np.float32) - np.float32(1 / outputs)


class _Link(nn.Module):
    """From the token values of each modality, then presence, masks and times, to the outputs that are explained."""

    def __init__(self, network: Network, names: list[str], contrasts: Tensor) -> None:
        super().__init__()
        self.network, self.names, self.contrasts = network, names, contrasts

    def forward(self, *given: Any) -> Tensor:
        m = len(self.names)
        values, present, masks, times = given[:m], given[m], given[m + 1 : 2 * m + 1], given[2 * m + 1 :]
        tokens = {name: Tokens(*own) for name, *own in zip(self.names, values, masks, times, strict=True)}
        link, _ = self.network(tokens, present)
        unread = sum(0.0 * own.sum() for own in values)  # nobody of a batch may have a modality: its gradient is zero
        found: Tensor = link.float() @ self.contrasts + unread
        return found


def _baseline(packed: Packed, baseline: str) -> Tensor:
    """Return the mean token at each position `(T, D)`, or of exchangeable ones `(1, D)`; or zeros."""
    places = packed.slots or 1
    total, number = np.zeros((places, packed.width)), np.zeros((places, 1))
    if baseline == "mean":
        for batch in reading_batches(packed.lengths, PATIENTS_AT_ONCE):
            tokens = packed.take(batch)
            real = tokens.mask.numpy()[..., None]
            values = np.where(real, tokens.values.double().numpy(), 0.0)
            axes = (0,) if packed.slots else (0, 1)
            total += values.sum(axis=axes, keepdims=not packed.slots).reshape(places, -1)
            number += real.sum(axis=axes, keepdims=not packed.slots).reshape(places, 1)
    return torch.from_numpy((total / np.maximum(number, 1)).astype(np.float32))


def _note_times(
    times: dict[str, Array], padded: Mapping[str, Tokens], batch: NDArray[np.int_], starts: Mapping[str, Any]
) -> None:
    for name, tokens in padded.items():
        if tokens.times is None:
            continue
        known = times.setdefault(name, np.full(int(starts[name][-1]), np.nan))
        for row, patient in enumerate(batch.tolist()):
            span = slice(starts[name][patient], starts[name][patient + 1])
            known[span] = tokens.times[row][tokens.mask[row]].double().numpy()
