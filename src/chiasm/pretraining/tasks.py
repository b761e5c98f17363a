"""The methods of pretraining sequences: what each asks a network to tell of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.encoders.sequence.alphabets import BEGIN, MASK, MIDDLE, PREFIX, SUFFIX
from chiasm.encoders.sequence.network import SequenceNetwork, padded, reversed_within
from chiasm.objectives.causal import Asked, begun, next_letters
from chiasm.objectives.fim import Marks, draw_middle, fim_transform
from chiasm.objectives.masked import corrupt

Ints = NDArray[np.int64]
MARKS = Marks(PREFIX, SUFFIX, MIDDLE)


@dataclass(frozen=True)
class Draw:
    """What a method draws by.

    Args:
        letters: the numbers of the letters of the alphabet.
        others: `(K,)` int64, those of the letters that occur in training.
        share: share of the letters that is hidden by `masked`, of the sequences whose middle is moved by `fim`.
        generator: of the draws; None: torch's global one, which the training seeds and its checkpoint holds.
    """

    letters: range
    others: Tensor
    share: float
    generator: torch.Generator | None


@dataclass(frozen=True)
class Method:
    """A method of pretraining.

    Args:
        ask: sequences `(B, T)`, their mask and what is drawn by, to what the network reads and is asked for.
        looks_back: letters are told from those read before, and not from both sides.
        share: the default of `Draw.share`; 0 where nothing is drawn.
        packs: sequences of one group are joined.
        sentence: what is told, for people.
    """

    ask: Callable[[Tensor, Tensor, Draw], Asked]
    looks_back: bool
    share: float
    packs: bool
    sentence: str


def _causal(ids: Tensor, mask: Tensor, draw: Draw) -> Asked:
    return next_letters(*begun(ids, mask, BEGIN), draw.letters)


def _masked(ids: Tensor, mask: Tensor, draw: Draw) -> Asked:
    return corrupt(ids, mask, draw.letters, draw.others, MASK, draw.generator, draw.share)


def _fim(ids: Tensor, mask: Tensor, draw: Draw) -> Asked:
    """Move the middle of a share of the sequences; the others are told from their beginning."""
    rows = []
    for own, real in zip(ids, mask, strict=True):
        sequence = own[real]
        if float(torch.rand((), generator=draw.generator)) < draw.share:
            rows.append(fim_transform(sequence, *draw_middle(len(sequence), draw.generator), MARKS))
        else:
            rows.append(torch.cat([sequence.new_tensor([BEGIN]), sequence]))
    moved, there = padded(rows)
    return next_letters(moved, there.to(ids.device), draw.letters)


METHODS: dict[str, Method] = {
    "causal": Method(_causal, True, 0.0, False, "each letter from those before it"),
    "masked": Method(_masked, False, 0.15, False, "hidden letters from those on both sides"),
    "fim": Method(_fim, True, 0.5, False, "a middle from both of its sides, which are read first"),
    "icl": Method(_causal, True, 0.0, True, "each letter from those before it and from sequences of the same group"),
}


def turned(
    network: SequenceNetwork, ids: Tensor, mask: Tensor, generator: torch.Generator | None, looks_back: bool
) -> Tensor:
    """Turn half of the sequences, drawn, as a network will read them: each direction and each strand that it reads.

    A network that reads both directions reads each with the same weights, and so do both strands: what looks back
    alone learns both by reading each sequence one way or the other. What looks to both sides learns from both
    directions at once, and from both strands but with `rc=ph` (`SequenceNetwork.predictive`).
    """
    directions, strands = _turns(network, looks_back)
    for wanted, turn in ((directions, reversed_within), (strands, network.reverse_complement)):
        if wanted:
            drawn = torch.rand(len(ids), generator=generator).to(ids.device) < 0.5
            ids = torch.where(drawn[:, None], turn(ids, mask), ids)
    return ids


def all_turns(network: SequenceNetwork, sequences: Sequence[Ints], looks_back: bool) -> list[Ints]:
    """Return sequences `(n_i,)` in every way in which `turned` lets them be read, each of them as often."""
    directions, strands = _turns(network, looks_back)
    found = list(sequences)
    if directions:
        found += [own[::-1] for own in found]
    if strands:
        complements = network.complements.cpu().numpy()
        found += [complements[own][::-1] for own in found]
    return found


def _turns(network: SequenceNetwork, looks_back: bool) -> tuple[bool, bool]:
    """Return whether sequences are turned in their direction, and to their other strand."""
    config = network.config
    return config.bidirectional and looks_back, config.rc != "none" if looks_back else config.rc == "ph"


def logits_of(network: SequenceNetwork, asked: Asked, looks_back: bool, letters: range) -> Tensor:
    """Logits `(B, T, A)` of the letters of the alphabet at each place of what is read."""
    read = network.causal if looks_back else network.predictive
    return network.logits(read(asked.read, asked.mask))[..., letters.start : letters.stop]


def letters_of(network: SequenceNetwork) -> range:
    """Return the numbers of the letters of a network's alphabet, which follow the special tokens."""
    size = network.alphabet.size
    return range(size - len(network.alphabet.letters), size)


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of the states of real places: `(B, D)`."""
    return torch.where(mask[..., None], states, 0.0).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)
