"""A split of sequences by identity: no two of different parts are alike, and the parts are near the sizes asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.identity import Identical, identity_groups
from chiasm.errors import count

PARTS = {"train": 0.8, "valid": 0.1, "test": 0.1}


@dataclass(frozen=True)
class IdentitySplit:
    """A split of sequences in which no pair of different parts reaches a threshold of identity.

    Args:
        parts: `(n,)` name of the part of each sequence, as a Series in their order and with their index.
        identical: the groups that were kept together, and how many pairs were aligned to find them.
        table: one row a part: `asked` and `share` of all sequences, number of `sequences`, of `groups`, and size of its
            `largest` group.
    """

    parts: pd.Series[str]
    identical: Identical
    table: pd.DataFrame

    def __repr__(self) -> str:
        rows = ", ".join(f"{part} {row.share:.1%} (asked {row.asked:.1%})" for part, row in self.table.iterrows())
        return f"{self.identical!r}: {rows}"


def identity_split(
    sequences: Sequence[str] | pd.Series[str],
    threshold: float,
    *,
    parts: Mapping[str, float] | None = None,
    over: str = "shorter",
    both_strands: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> IdentitySplit:
    """Split sequences into parts between which no two have an identity of `threshold` or more.

    Groups (`identity_groups`) are dealt whole: the largest first, those of one size in an order drawn by `seed`, each
    to the part that lacks most of what was asked. The table says how near the sizes came. Large families stand in the
    largest part: what the test says holds for smaller ones.

    Args:
        sequences: as in `identity_groups`; a Series keeps its index.
        threshold, over, both_strands, progress: as in `identity_groups`.
        parts: name to share, which are made to sum to 1; 80 % train, 10 % valid, 10 % test if not given.

    Raises:
        ValueError: as `identity_groups`; fewer than two parts, a share that is not above zero, or fewer groups than
            parts, in which case no such split exists at this threshold.
    """
    asked = dict(PARTS if parts is None else parts)
    if len(asked) < 2 or not all(np.isfinite(share) and share > 0 for share in asked.values()):
        raise ValueError("a split has two parts, each with a share above zero: parts={'train': 0.8, 'test': 0.2}")
    index = sequences.index if isinstance(sequences, pd.Series) else pd.RangeIndex(len(sequences))
    identical = identity_groups(list(sequences), threshold, over=over, both_strands=both_strands, progress=progress)
    groups = identical.groups
    sizes = np.bincount(groups)
    if len(sizes) < len(asked):
        raise ValueError(
            f"at an identity of {threshold:g} the {len(groups):,} sequences are {count(len(sizes), 'group')}, which "
            f"cannot be dealt to {len(asked)} parts: raise the threshold, or ask for fewer parts"
        )
    names, shares = list(asked), np.array(list(asked.values())) / sum(asked.values())
    dealt = _dealt(sizes, shares, np.random.default_rng(seed))
    own = dealt[groups]
    rows = [
        {
            "part": name,
            "asked": float(shares[k]),
            "share": float((own == k).mean()),
            "sequences": int((own == k).sum()),
            "groups": int((dealt == k).sum()),
            "largest": int(sizes[dealt == k].max()),
        }
        for k, name in enumerate(names)
    ]
    drawn = pd.Series([names[k] for k in own.tolist()], index=index, name="part", dtype=object)
    return IdentitySplit(drawn, identical, pd.DataFrame(rows).set_index("part"))


def _dealt(sizes: NDArray[np.int_], shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int_]:
    """(G,) part of each group; each part gets one group or more."""
    order = np.lexsort((rng.permutation(len(sizes)), -sizes))
    lacking = shares * sizes.sum()
    dealt = np.zeros(len(sizes), dtype=int)
    got = np.zeros(len(shares), dtype=int)
    for done, group in enumerate(order.tolist()):
        empty = got == 0
        must = len(order) - done <= int(empty.sum())  # only as many groups are left as parts have none
        part = int(np.argmax(np.where(empty, lacking, -np.inf) if must else lacking))
        dealt[group] = part
        got[part] += 1
        lacking[part] -= sizes[group]
    return dealt
