"""Encoder of sequences by a recurrent network, with weights from a folder that pretraining wrote, or untrained."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.batches import Floats, in_order
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.sequence.alphabets import OF_KIND, Alphabet
from chiasm.encoders.sequence.network import SequenceConfig, SequenceNetwork, untrained
from chiasm.encoders.sequence.stacks import PIECE
from chiasm.encoders.sequence.stored_network import stored_network
from chiasm.encoders.weights import Stamp, frozen, stamp_of
from chiasm.tokens import Tokens

LEVELS = ("pooled", "token")
MOST_WINDOWS = 64
AT_ONCE = 16_384  # tokens of a batch, padding included
DEFAULT_CELL = "mamba2"
_KINDS = frozenset(OF_KIND.values())  # alphabets whose letters mean something else in another one


@storable("encoder-sequence")
@dataclass(frozen=True)
class SequenceEncoder:
    """Encoder with the states of a `SequenceNetwork`, as means over the whole sequence and over windows of it.

    `level=pooled`: token 0 is the mean of all states, tokens 1 .. W are the means over the windows
    `[floor(i n / W), ceil((i + 1) n / W))`, first to last. `level=token`: one token a letter; above `most`, the means
    over `most` windows. With `rc`, the readings of both strands are averaged position by position, so that the other
    strand has the same token 0 and the same windows in reverse order, to rounding.

    Without `weights` the network is untrained, drawn from `seed`: random features, a baseline that pretraining has to
    clear. With them, the folder says what the network is, and an option that says otherwise is refused. Sequences of
    similar length are read together, which changes a token by rounding alone. Memory grows linearly with the length.

    Args:
        kind: of the modality, whose alphabet is read: DNA, proteins, SMILES of molecules.
        weights: a folder that `chiasm pretrain` wrote: its whole path, or that from where the command runs, or, in a
            manifest, from where that lies.
        cell: mamba2 unless named, or mamba, xlstm, mlstm, gru.
        alphabet: dna, rna, protein, smiles, or `letters:` and the letters; needed for the kind `text`.
        dim, depth, heads: of the network; 0: 64, 2 and 4.
        directions: 1: from left to right; 2: both ways; 0: both ways, or as the folder says.
        rc: none, ps or ph, see `SequenceNetwork`.
        level, windows, most: which states become tokens.
        unknown: read what is outside the alphabet as unknown; otherwise such a sequence is refused.
        seed: of the untrained network.

    Raises:
        ValueError: an option is out of range, or says other than the folder does, whose network reads another kind.
        ReadError: at `encode`, a sequence without a letter, or with one outside the alphabet.
        Unsupported: at first use: no such folder, or the package of the cell is missing.
    """

    kind: str = "dna"
    weights: str = ""
    cell: str = ""
    alphabet: str = ""
    dim: int = 0
    depth: int = 0
    heads: int = 0
    directions: int = 0
    rc: str = ""
    level: str = "pooled"
    windows: int = 4
    most: int = 256
    unknown: bool = False
    seed: int = 0

    id: ClassVar[str] = "sequence"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 256

    def __post_init__(self) -> None:
        if self.level not in LEVELS or not 0 <= self.windows <= MOST_WINDOWS or self.most < 2:
            raise ValueError(f"level is pooled or token, windows 0 to {MOST_WINDOWS}, and most 2 or more")
        if self.directions not in (0, 1, 2):
            raise ValueError("directions is 1 (left to right) or 2 (both ways)")
        if self.weights and self.seed:
            raise ValueError("seed draws an untrained network, and weights= names one that is trained: leave out seed")
        if not self.weights:
            if not self.alphabet and self.kind not in OF_KIND:
                raise ValueError(
                    f"modalities of kind '{self.kind}' have no alphabet of their own: name one, such as "
                    "alphabet=protein or alphabet=letters:ABC"
                )
            self._asked()

    @property
    def width(self) -> int:
        return self._network[0].config.strand_width

    @property
    def slots(self) -> int:
        return 1 + self.windows if self.level == "pooled" else 0

    @property
    def identity(self) -> str:
        """Return the encoder's identity, in which the hash of the parameters stands for the folder's path."""
        network, stamp = self._network
        return f"{identity_of(self, stamp).replace(f'weights={self.weights},', 'weights=,', 1)}/{network.config}"

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def require(self, value: str) -> None:
        """Raise ReadError of a sequence that `encode` would refuse."""
        self._letters.ids(value, self.unknown)

    def notes(self, value: str) -> tuple[str, ...]:
        """Tell how many letters of a sequence are read as unknown."""
        foreign = self._letters.foreign(value) if self.unknown else 0
        return (
            (f"{foreign:,} letter{'s' * (foreign > 1)} read as unknown: they are outside the alphabet",)
            if foreign
            else ()
        )

    def remembered(self) -> SeenItems | None:
        """Return marks of the sequences that the network was pretrained on; None where the folder keeps none."""
        seen = stored_network(self.weights).facts.get("seen") if self.weights else None
        return seen if isinstance(seen, SeenItems) else None

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode sequences to tokens `(B, 1 + windows, width)`, or `(B, T, width)` for `level=token`, float32."""
        trunk, parts = self._trunk_of(self._network[0]), self._parts(raw)
        found: list[Floats] = [np.zeros((0, self.width), np.float32)] * len(raw)
        order = sorted(range(len(parts)), key=lambda row: len(parts[row]))
        while order:
            longest = len(parts[order[-1]]) * PIECE
            chosen = order[-max(1, AT_ONCE // longest) :]
            del order[-len(chosen) :]
            with torch.no_grad():
                tokens = trunk(in_order([parts[row] for row in chosen], PIECE, 0))
            for row, values, real in zip(chosen, tokens.values.numpy(), tokens.mask.numpy(), strict=True):
                found[row] = values[real]
        return in_order(found, self.width, self.slots)

    def inputs(self, raw: Sequence[str]) -> Tokens:
        """Return the numbers of the letters `(B, pieces, 64)`, float32, filled up by -1."""
        return in_order(self._parts(raw), PIECE, 0)

    def trunk(self) -> Trunk:
        """Return a trunk with an independent copy of the network."""
        return self._trunk_of(copy.deepcopy(self._network[0]))

    @property
    def network(self) -> SequenceNetwork:
        """Return an independent copy of the network."""
        return copy.deepcopy(self._network[0])

    @property
    def _letters(self) -> Alphabet:
        return self._network[0].alphabet

    @property
    def _network(self) -> tuple[SequenceNetwork, str]:
        if not self.weights:
            return _untrained(self._asked(), self.seed)
        network, stamp = _stored(self.weights, stamp_of(self.weights))
        own, asked = network.config, self._asked(network.config)
        if own != asked:
            raise ValueError(
                "the folder's network is another than the encoder's options say: name the folder alone, as in "
                "sequence:weights=FOLDER"
            )
        if not self.alphabet and own.alphabet != OF_KIND.get(self.kind, own.alphabet) and own.alphabet in _KINDS:
            raise ValueError(
                f"the folder's network reads '{own.alphabet}', and the modality is of kind '{self.kind}': name another "
                f"folder, or alphabet={own.alphabet} if the modality is written so"
            )
        return network, stamp

    def _asked(self, base: SequenceConfig | None = None) -> SequenceConfig:
        """Return the shape that the options name, the rest of it from `base` or the defaults."""
        base = base or SequenceConfig(
            cell=DEFAULT_CELL, alphabet=self.alphabet or OF_KIND[self.kind], bidirectional=True
        )
        return replace(
            base,
            cell=self.cell or base.cell,
            alphabet=self.alphabet or base.alphabet,
            width=self.dim or base.width,
            depth=self.depth or base.depth,
            heads=self.heads or base.heads,
            bidirectional=self.directions == 2 if self.directions else base.bidirectional,
            rc=self.rc or base.rc,
        )

    def _parts(self, raw: Sequence[str]) -> list[Floats]:
        """Return the numbers of each sequence's letters, cut into pieces `(pieces, 64)` and filled up by -1."""
        letters, found = self._letters, []
        for text in raw:
            ids = letters.ids(text, self.unknown)
            own = np.full(-(-len(ids) // PIECE) * PIECE, -1, np.float32)
            own[: len(ids)] = ids
            found.append(own.reshape(-1, PIECE))
        return found

    def _trunk_of(self, network: SequenceNetwork) -> Trunk:
        return SequenceTrunk(network, self.level == "pooled", self.windows, self.most)


class SequenceTrunk(Trunk):
    """Trunk that maps the letters of sequences, in pieces, to means of states over windows.

    Args:
        pooled: return the whole and `windows` windows of it; otherwise each letter, or `most` windows.
    """

    pads: ClassVar[bool] = True

    def __init__(self, network: SequenceNetwork, pooled: bool, windows: int, most: int) -> None:
        super().__init__(network)
        self.pooled, self.windows, self.most = pooled, windows, most

    def forward(self, tokens: Tokens) -> Tokens:
        """Map letters `(B, pieces, 64)` to tokens; a sequence of which no piece is real has none."""
        letters = torch.where(tokens.mask[..., None], tokens.values, -1.0).flatten(1).long()  # (B, T)
        there = letters[:, 0] >= 0
        if not bool(there.any()):
            raise ValueError("a trunk was given no input: run it on the patients who have the modality")
        letters = letters[there]
        real = letters >= 0
        longest = int(real.sum(1).max())
        letters, real = letters[:, :longest], real[:, :longest]
        states = conjoined(self.network(letters.clamp(min=0), real), self.network.config)  # type: ignore[arg-type]
        parts = [self._tokens(own[:length]) for own, length in zip(states, real.sum(1).tolist(), strict=True)]
        count = max(len(part) for part in parts)
        values = states.new_zeros((len(there), count, states.shape[-1]))
        mask = torch.zeros((len(there), count), dtype=torch.bool, device=values.device)
        rows = torch.nonzero(there)[:, 0]
        values[rows] = torch.stack([functional.pad(part, (0, 0, 0, count - len(part))) for part in parts])
        for row, part in zip(rows.tolist(), parts, strict=True):
            mask[row, : len(part)] = True
        return Tokens(values, mask)

    def _tokens(self, states: Tensor) -> Tensor:
        """Return the tokens `(t, D)` of one sequence's states `(n, D)`."""
        if self.pooled:
            return torch.cat([states.mean(0, keepdim=True), window_means(states, self.windows)])
        return states if len(states) <= self.most else window_means(states, self.most)


def conjoined(states: Tensor, config: SequenceConfig) -> Tensor:
    """Return the mean of both strands' readings `(B, T, strand_width)`, as `ph` gives it, of the states of `ps` too."""
    if config.rc != "ps":
        return states
    own, other = states[..., : config.strand_width], states[..., config.strand_width :]
    return (own + other.flip(-1)) / 2


def window_means(states: Tensor, windows: int) -> Tensor:
    """Return the means of `(n, D)` over windows `[floor(i n / W), ceil((i + 1) n / W))`: `(W, D)`."""
    n = len(states)
    parts = [states[k * n // windows : -(-(k + 1) * n // windows)].mean(0) for k in range(windows)]
    return torch.stack(parts) if parts else states.new_zeros((0, states.shape[1]))


@lru_cache(maxsize=4)
def _stored(folder: str, stamp: Stamp) -> tuple[SequenceNetwork, str]:
    network = frozen(stored_network(folder).network())
    return network, hash_state(network.state_dict())


@lru_cache(maxsize=8)
def _untrained(config: SequenceConfig, seed: int) -> tuple[SequenceNetwork, str]:
    network = frozen(untrained(config, seed))
    return network, hash_state(network.state_dict())
