"""A network over sequences of letters: recurrent, in one direction or both, equivariant to the other strand or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.encoders.sequence.alphabets import PAD, Alphabet, alphabet
from chiasm.encoders.sequence.stacks import CELLS, PIECE, make_stack

STRANDS = ("none", "ps", "ph")
LARGEST = 4096


@storable("sequence-config")
@dataclass(frozen=True)
class SequenceConfig:
    """The shape of a `SequenceNetwork`.

    Args:
        cell: the recurrent layer, see `stacks.CELLS`.
        alphabet: dna, rna, protein, smiles, or `letters:` and its letters.
        width: D, numbers for each position.
        depth: layers.
        bidirectional: add what the same weights read from right to left.
        rc: how both strands are read alike: `none`; `ps`, parameters shared between the strands, half of the width
            for each; `ph`, post-hoc conjoining, the mean of both readings.
        heads: of the cells that have some.

    Raises:
        ValueError: an option is out of range, or the alphabet has no complement.
    """

    cell: str = "gru"
    alphabet: str = "dna"
    width: int = 64
    depth: int = 2
    bidirectional: bool = False
    rc: str = "none"
    heads: int = 4

    def __post_init__(self) -> None:
        if self.cell not in CELLS or self.rc not in STRANDS:
            raise ValueError(f"cell is one of {', '.join(CELLS)}, and rc one of {', '.join(STRANDS)}")
        if not (1 <= self.width <= LARGEST and 1 <= self.depth <= 64 and 1 <= self.heads <= 64):
            raise ValueError(f"width lies between 1 and {LARGEST}, depth and heads between 1 and 64")
        if self.strand_width % self.heads or (self.rc == "ps" and self.width % 2):
            raise ValueError("heads divide the width, and with rc=ps half of it, which is each strand's share")
        letters = alphabet(self.alphabet)
        if self.rc != "none" and not letters.complement:
            raise ValueError("rc=ps and rc=ph read both strands of DNA or RNA: this alphabet has no complement")

    @property
    def strand_width(self) -> int:
        """Return the numbers for each position that the stack itself works with."""
        return self.width // 2 if self.rc == "ps" else self.width


class SequenceNetwork(nn.Module):
    """Letters to states: an embedding of each token, then a recurrent stack, read in pieces.

    Position t of `causal` depends on tokens 0 .. t alone. With `bidirectional`, `h(x) + R h(R x)`, R the sequence
    reversed and h with the same weights. With `rc`, C the complement and `g` the reading above:
    `ph`: `f(x) = (g(x) + R g(RC x)) / 2`, so that `f(RC x) = R f(x)`; `ps`: `f(x) = [g(x), F R g(RC x)]`, F the
    channels reversed, so that `f(RC x) = F R f(x)`. Both hold bit for bit, since each strand is read by itself.
    Nothing behind a false entry of the mask is read.

    Source: Schmidinger et al., Bio-xLSTM (2024, arXiv:2411.04165); Schiff et al., Caduceus (ICML 2024,
    arXiv:2403.03234); Zhou et al., reverse-complement equivariance (MLCB 2022). Deviation: `ps` shares the parameters
    of the whole network between the strands; in these papers each block does, which comes to the same.

    Args:
        config: the shape; initial weights come from torch's generator (see `untrained`).
    """

    complements: Tensor

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        size, width = self.alphabet.size, config.strand_width
        self.embedding = nn.Embedding(size, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.stack = make_stack(config.cell, width, config.depth, config.heads)
        self.head = nn.ParameterDict({"bias": torch.zeros(size)})  # what only predicting letters needs
        there = self.alphabet.complements if config.rc != "none" else np.zeros(0, np.int64)
        self.register_buffer("complements", torch.from_numpy(there), persistent=False)

    @property
    def alphabet(self) -> Alphabet:
        """Return the alphabet, whose `ids` and `text` are the tokens' numbers and back."""
        return alphabet(self.config.alphabet)

    def tokenize(self, text: str, unknown: bool = False) -> Tensor:
        """Return the numbers of a text's tokens `(T,)` int64; raises as `Alphabet.ids` does."""
        return torch.from_numpy(self.alphabet.ids(text, unknown))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the states `(B, T, width)` of tokens `(B, T)` int64, zero where `mask` `(B, T)` bool is false.

        Raises:
            ValueError: a false entry of the mask stands before a true one.
        """
        require_right_padded(mask)
        own = self._strand(ids, mask)
        if self.config.rc == "none":
            return own
        other = reversed_within(self._strand(self.reverse_complement(ids, mask), mask), mask)
        if self.config.rc == "ph":
            return (own + other) / 2
        return torch.cat([own, other.flip(-1)], dim=-1)

    def causal(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the states `(B, T, strand_width)` of the given strand, read from left to right alone."""
        require_right_padded(mask)
        return self._read(ids, mask)

    def predictive(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the states from which the tokens themselves may be predicted, as where some are masked.

        They are those of `forward`, but for `ph` those of the given strand, `(B, T, strand_width)`: the mean over both
        strands no longer tells a letter from its complement. Such a network is trained on either strand at random.
        """
        require_right_padded(mask)
        return self._strand(ids, mask) if self.config.rc == "ph" else self(ids, mask)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits `(B, T, V)` of tokens from states of `predictive` or `causal`, by the embedding's weights.

        With `ps` the half of the other strand answers for the complements, so that the logits are equivariant too.
        """
        weight, width = self.embedding.weight, self.config.strand_width
        bias: Tensor = self.head["bias"]
        own: Tensor = hidden[..., :width] @ weight.T
        if hidden.shape[-1] > width:
            other = hidden[..., width:].flip(-1) @ weight.T
            own = own + other[..., self.complements]
            bias = (bias + bias[self.complements]) / 2
        return own + bias

    def stream(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read the next tokens `(B, t)` of running sequences: states `(B, t, width)`, and the state to go on from.

        Raises:
            ValueError: the network reads in both directions or both strands, so that it needs the whole sequence.
        """
        if self.config.bidirectional or self.config.rc != "none":
            raise ValueError("a network that reads both directions or both strands needs the whole sequence at once")
        found = []
        for piece in torch.split(ids, PIECE, dim=1):
            hidden, state = self.stack.scan(self.embedding(piece), state)
            found.append(hidden)
        return torch.cat(found, dim=1), state

    def reverse_complement(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the other strand `(B, T)` of tokens, padded on the right as they are."""
        return reversed_within(self.complements[ids], mask)

    def _strand(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self._read(ids, mask)
        if not self.config.bidirectional:
            return hidden
        return hidden + reversed_within(self._read(reversed_within(ids, mask), mask), mask)

    def _read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Read from left to right in pieces, so that memory grows linearly: `(B, T, strand_width)`."""
        state, found = None, []
        ids = torch.where(mask, ids, PAD)
        for piece in torch.split(ids, PIECE, dim=1):
            hidden, state = self.stack.scan(self.embedding(piece), state)
            found.append(hidden)
        return torch.where(mask[..., None], torch.cat(found, dim=1), 0.0)


def untrained(config: SequenceConfig, seed: int = 0) -> SequenceNetwork:
    """Return a network with initial weights drawn from a seed; torch's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return SequenceNetwork(config)


def padded(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return tokens `(T_i,)` as one batch `(B, T)`, padded on the right, and its mask."""
    lengths = torch.tensor([len(part) for part in parts])
    ids = nn.utils.rnn.pad_sequence(list(parts), batch_first=True, padding_value=PAD)
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def reversed_within(x: Tensor, mask: Tensor) -> Tensor:
    """Reverse the real positions of each row of `(B, T)` or `(B, T, D)`, and leave those behind them where they are."""
    steps = torch.arange(mask.shape[1], device=mask.device)
    places = torch.where(mask, mask.sum(1, keepdim=True) - 1 - steps, steps)
    return x.gather(1, places if x.ndim == 2 else places[..., None].expand_as(x))


def require_right_padded(mask: Tensor) -> None:
    """Refuse a mask in which a real position stands behind one that is none."""
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()) or not bool(mask[:, 0].all()):
        raise ValueError("a batch of sequences is padded on the right: every row begins with its first token")
