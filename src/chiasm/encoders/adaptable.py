"""Frozen encoders whose network can be adapted: the network's inputs are stored, and the network runs on them.

`encode(raw)` equals `trunk()(inputs(raw))`, split where learning begins: reading, cutting, filtering and tokenising
happen once, and only the network runs again in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.choice import choose, same_identity
from chiasm.tokens import Tokens

READ_AT_ONCE = 32


@runtime_checkable
class Adaptable(Protocol):
    """Protocol of a frozen encoder built on a torch network, in addition to the protocol of all encoders."""

    def inputs(self, raw: Sequence[Any]) -> Tokens:
        """Return the network's inputs `(n, T, P)` float32, one row per chunk, window, image or volume."""

    def trunk(self) -> Trunk:
        """Return an independent copy of the network, frozen and in evaluation mode."""


@runtime_checkable
class PerhapsAdaptable(Protocol):
    """Protocol of an encoder that wraps another, and is adaptable if that one is."""

    @property
    def adaptable(self) -> bool: ...


class Trunk(nn.Module):
    """A differentiable module that maps an encoder's inputs to its tokens; adapters are attached to its `network`.

    `pads` says whether shorter inputs are padded with positions that the network masks but a parallel path would not.
    `unread` names the modules of the network whose parameters no token depends on (a pooler, a head): adapters are not
    attached there, and full fine-tuning skips them.

    Args:
        network: the torch module.
    """

    pads: ClassVar[bool] = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.unread: frozenset[str] = frozenset()

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map inputs `(N, P)` to states `(N, t, D)` and the mask of real ones, `(N, t)` bool, None if all are real."""
        raise NotImplementedError

    def _states(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the network, without gradients only a few inputs at a time to bound the memory."""
        if torch.is_grad_enabled() or len(inputs) <= READ_AT_ONCE:
            return self.run(inputs)
        parts = [self.run(inputs[start : start + READ_AT_ONCE]) for start in range(0, len(inputs), READ_AT_ONCE)]
        longest = max(states.shape[1] for states, _ in parts)
        states = torch.cat([functional.pad(own, (0, 0, 0, longest - own.shape[1])) for own, _ in parts])
        if all(real is None for _, real in parts):
            return states, None
        masks = [own.new_ones(own.shape[:2], dtype=torch.bool) if real is None else real for own, real in parts]
        return states, torch.cat([functional.pad(own, (0, longest - own.shape[1])) for own in masks])

    def whole(self, tokens: Tokens) -> Tokens:
        """Post-process all tokens of a patient together; by default unchanged."""
        return tokens

    def forward(self, tokens: Tokens) -> Tokens:
        """Map inputs `(B, T, P)` to tokens `(B, T t, D)`; masked inputs are never read.

        Raises:
            ValueError: all inputs are masked.
        """
        if not bool(tokens.mask.any()):
            raise ValueError("a trunk was given no input: run it on the patients who have the modality")
        states, real = self._states(tokens.values[tokens.mask])
        batch, count = tokens.mask.shape
        values = states.new_zeros((batch, count, *states.shape[1:]))  # (B, T, t, D)
        values[tokens.mask] = states
        mask = tokens.mask[..., None].expand(-1, -1, states.shape[1]).clone()
        if real is not None:
            mask[tokens.mask] = real
        return self.whole(Tokens(values.flatten(1, 2), mask.flatten(1, 2)))


def unread_modules(trunk: Trunk, tokens: Tokens) -> frozenset[str]:
    """Find the modules of `trunk.network` whose own parameters do not affect its tokens; return their names.

    Args:
        tokens: at least one input; the network runs on the first input of the first patient who has one.
    """
    row = int(tokens.mask.any(1).nonzero()[0, 0])
    first = Tokens(tokens.values[row : row + 1, :1], tokens.mask[row : row + 1, :1])
    flags = [(parameter, parameter.requires_grad) for parameter in trunk.parameters()]
    owners = {name: list(own._parameters.values()) for name, own in trunk.network.named_modules() if own._parameters}
    trunk.requires_grad_(True)
    with torch.enable_grad():
        reached = torch.autograd.grad(
            trunk(first).values.sum(), [parameter for parameter, _ in flags], allow_unused=True
        )
    for parameter, flag in flags:
        parameter.requires_grad_(flag)
    known = {id(parameter) for (parameter, _), found in zip(flags, reached, strict=True) if found is not None}
    return frozenset(
        name
        for name, own in owners.items()
        if any(parameter is not None for parameter in own) and not any(id(parameter) in known for parameter in own)
    )


def runs(tokens: Tokens, most: int) -> Tokens:
    """Average a patient's tokens, if more than `most`, over `most` runs of neighbours, as `in_runs` does."""
    lengths = tokens.mask.sum(1)
    if int(lengths.max()) <= most:
        return tokens
    rows = []
    for values, mask in zip(tokens.values, tokens.mask, strict=True):
        own = values[mask]
        if len(own) > most:
            edges = torch.linspace(0, len(own), most + 1, dtype=torch.float64).round().long().tolist()
            own = torch.stack([own[a:b].mean(0) for a, b in pairwise(edges)])
        rows.append(functional.pad(own, (0, 0, 0, most - len(own))))
    steps = torch.arange(most, device=lengths.device)
    return Tokens(torch.stack(rows), steps < lengths[:, None])


@dataclass(frozen=True)
class Inputs:
    """A frozen encoder whose tokens are the inputs of an adaptable encoder, so that they can be stored."""

    encoder: Any

    id: ClassVar[str] = "inputs"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    slots: ClassVar[int] = 0

    @property
    def width(self) -> int:
        """Return 0: the width is not known before the first encoding."""
        return 0

    @property
    def batch(self) -> int:
        return int(self.encoder.batch)

    @property
    def identity(self) -> str:
        """Return an identity derived from the wrapped encoder's, whose options and files determine the inputs."""
        return f"{self.id}/{self.version}[{self.encoder.identity}]"

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Any]) -> Tokens:
        """Return the wrapped encoder's network inputs `(n, T, P)`."""
        inputs: Tokens = self.encoder.inputs(raw)
        return inputs


@storable("encoder-inputs")
@dataclass(frozen=True)
class InputsAsTheyAre:
    """Pass-through encoder of a modality whose network is adapted: returns stored inputs and creates the network.

    Args:
        spec, kind: specification of the encoder and kind of the modality, as in the cohort's `encodings`.
        identity: identity of the encoder; another encoder or other weights are refused.
        width: P of the inputs.
        token_width: D of the encoder's tokens.
    """

    spec: str
    kind: str
    identity: str
    width: int
    token_width: int

    fitted_on_cohort: ClassVar[bool] = True
    slots: ClassVar[int] = 0
    reads_inputs: ClassVar[bool] = True

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def read(self, cohort: Cohort, modality: str) -> Any:
        """Return the stored inputs, `(T, P)` each, of the patients who have the modality, as `StoredTokens`.

        Raises:
            Unsupported: the cohort was encoded without inputs.
        """
        kept = cohort.inputs(modality)
        if kept is None:
            raise Unsupported(f"what the network of modality '{modality}' reads was not kept: encode with inputs=True")
        return kept

    def encode(self, raw: Any) -> Tokens:
        """Pad and mask what `read` returned: `(n, T, P)`."""
        values, mask = raw.batch(range(len(raw)))
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask))

    def encoder(self) -> Any:
        """Return the encoder, with the same weights as at the fit.

        Raises:
            Unsupported: the encoder's weights are not those of the fit.
        """
        chosen = choose(self.kind, self.spec)
        if not same_identity(self.kind, chosen.identity, self.identity):
            raise Unsupported(
                f"the weights of encoder '{self.spec}' are not those of the fit: bring the same, or fit again"
            )
        return chosen.encoder

    def trunk(self) -> Trunk:
        """Return an independent copy of the encoder's network; raises as `encoder` does."""
        trunk: Trunk = self.encoder().trunk()
        return trunk


@storable("encoder-tokens")
@dataclass(frozen=True)
class TokensAsTheyAre(InputsAsTheyAre):
    """Pass-through encoder of a modality whose stored tokens are used unchanged, neither scaled nor projected."""

    reads_inputs: ClassVar[bool] = False

    def read(self, cohort: Cohort, modality: str) -> Any:
        """Return the stored tokens, `(T, D)` each, of the patients who have the modality, as `StoredTokens`."""
        return cohort.raw(modality)


def is_adaptable(encoder: Any) -> bool:
    """Return whether this encoder has a network that can be adapted; a wrapper answers by its own `adaptable`."""
    if isinstance(encoder, PerhapsAdaptable):
        return bool(encoder.adaptable)
    return isinstance(encoder, Adaptable)
