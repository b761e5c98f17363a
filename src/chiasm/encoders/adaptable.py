"""A frozen encoder whose network can be adapted: its inputs are kept as its tokens are, and its network runs on them.

`encode(raw)` is `trunk()(inputs(raw))`, split where learning begins: reading, cutting, filtering and tokenising
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
from chiasm.encoders.choice import choose
from chiasm.tokens import Tokens

READ_AT_ONCE = 32


@runtime_checkable
class Adaptable(Protocol):
    """What a frozen encoder made by a torch network offers beside the contract of all encoders."""

    def inputs(self, raw: Sequence[Any]) -> Tokens:
        """`(n, T, P)` float32: what the network reads, a row for each chunk, window, image or volume."""

    def trunk(self) -> Trunk:
        """A network of one's own, frozen and in evaluation mode; changing it changes no other."""


class Trunk(nn.Module):
    """A network from an encoder's inputs to its tokens, differentiable; `network` is what adapters are attached to.

    `pads` says whether shorter inputs are filled up with positions that the network masks and a path beside it does
    not. `unread` names the modules of the network whose parameters no token depends on (a pooler, a head): they are no
    sites, and what trains everything leaves them.

    Args:
        network: of torch.
    """

    pads: ClassVar[bool] = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.unread: frozenset[str] = frozenset()

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """`(N, P)` to `(N, t, D)`, and which of these are tokens, `(N, t)` bool; None: all."""
        raise NotImplementedError

    def _states(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """A few inputs at a time where nothing is learned, so that memory does not grow with the batch."""
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
        """What is done with all tokens of a patient together; nothing unless an encoder says so."""
        return tokens

    def forward(self, tokens: Tokens) -> Tokens:
        """`(B, T, P)` inputs to `(B, T t, D)` tokens; what stands behind the mask is never read.

        Raises:
            ValueError: no input is real.
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
    """The names of the modules of `trunk.network` with parameters of their own that its tokens do not depend on.

    Args:
        tokens: inputs, one at least; the network runs on the first patient who has one, and on the first of these.
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
    """Of a patient with more than `most` tokens the means of `most` runs of neighbours, as `in_runs` makes them."""
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
    """The inputs of an adaptable encoder, as a frozen encoder of its own, so that the store keeps them."""

    encoder: Any

    id: ClassVar[str] = "inputs"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    slots: ClassVar[int] = 0

    @property
    def width(self) -> int:
        """Not known before the first one is made."""
        return 0

    @property
    def batch(self) -> int:
        return int(self.encoder.batch)

    @property
    def identity(self) -> str:
        """Of the encoder, whose options and files decide what its inputs are."""
        return f"{self.id}/{self.version}[{self.encoder.identity}]"

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Any]) -> Tokens:
        """`(n, T, P)`."""
        inputs: Tokens = self.encoder.inputs(raw)
        return inputs


@storable("encoder-inputs")
@dataclass(frozen=True)
class InputsAsTheyAre:
    """Stands for a modality whose encoder is adapted: hands on the stored inputs, and makes the encoder's network.

    Args:
        spec, kind: of the encoder, as in the cohort's `encodings`.
        identity: of the encoder; another one, or other weights, are refused.
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
        """`StoredTokens` of the patients who have the modality, `(T, P)` each.

        Raises:
            Unsupported: the cohort was encoded without them.
        """
        kept = cohort.inputs(modality)
        if kept is None:
            raise Unsupported(f"what the network of modality '{modality}' reads was not kept: encode with inputs=True")
        return kept

    def encode(self, raw: Any) -> Tokens:
        """`(n, T, P)` of what `read` gave."""
        values, mask = raw.batch(range(len(raw)))
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask))

    def encoder(self) -> Any:
        """The encoder with the weights that it had.

        Raises:
            Unsupported: the encoder's weights are not those of the fit.
        """
        chosen = choose(self.kind, self.spec)
        if chosen.identity != self.identity:
            raise Unsupported(
                f"the weights of encoder '{self.spec}' are not those of the fit: bring the same, or fit again"
            )
        return chosen.encoder

    def trunk(self) -> Trunk:
        """Its network, of one's own; raises as `encoder` does."""
        trunk: Trunk = self.encoder().trunk()
        return trunk


@storable("encoder-tokens")
@dataclass(frozen=True)
class TokensAsTheyAre(InputsAsTheyAre):
    """Stands for a modality whose tokens are read as the encoder gave them, neither scaled nor projected."""

    reads_inputs: ClassVar[bool] = False

    def read(self, cohort: Cohort, modality: str) -> Any:
        """`StoredTokens` of the patients who have the modality, `(T, D)` each."""
        return cohort.raw(modality)


def is_adaptable(encoder: Any) -> bool:
    """Whether this encoder has a network that can be adapted; one around another encoder says so itself."""
    return bool(getattr(encoder, "adaptable", isinstance(encoder, Adaptable)))
