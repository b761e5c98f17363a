"""Packing in context: sequences of one group one after another, so that the later are told from the earlier too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


def icl_packs(groups: Sequence[str], size: int, rng: np.random.Generator, rounds: int = 1) -> list[Ints]:
    """Deal items to packs of one group each: positions of items in their order, `size` at most a pack.

    In a round each group is shuffled and cut, so that each item stands in one pack of it. Packs of two items or more
    are returned; an item that stays alone, as one of a group of one, is in none.

    Args:
        groups: of each item; those of no group have "", and are in no pack.
        size: items a pack, 2 or more.
        rng: of the shuffles.
        rounds: how often everything is dealt.

    Raises:
        ValueError: a size below 2 or rounds below 1.

    Source: homologs as context, ProtMamba, doi:10.1101/2024.05.24.595730; molecules of one property as context,
    Bio-xLSTM, arXiv:2411.04165.
    """
    if size < 2 or rounds < 1:
        raise ValueError(f"packs of {size} items in {rounds} rounds: two items and one round are needed at least")
    names = np.asarray(groups, dtype=str)
    packs = []
    for _ in range(rounds):
        for name in np.unique(names[names != ""]):
            members = rng.permutation(np.flatnonzero(names == name))
            packs += [members[start : start + size] for start in range(0, len(members), size)]
    return [pack for pack in packs if len(pack) > 1]


def joined(items: Sequence[Tensor], separator: int) -> Tensor:
    """Join sequences to one, a separator behind each: `(sum of n_i + 1,)` int64."""
    mark = torch.tensor([separator], dtype=torch.int64)
    return torch.cat([part for own in items for part in (own, mark)])


def item_numbers(ids: Tensor, separator: int) -> Tensor:
    """Number of the item, from 0, that each place of joined sequences belongs to; a separator to the one before it."""
    ended = (ids == separator).long()
    return ended.cumsum(-1) - ended
