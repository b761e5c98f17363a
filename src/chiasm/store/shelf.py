"""Fragments of one encoder in the token store: which hold what, which are damaged, and how they are merged.

Readers and writers agree without a lock: fragments are ordered by name and the first to hold a source wins; a merged
fragment takes the place of the oldest one it came from before those are removed. It holds all their sources, even one
that an older fragment holds, because that fragment may be about to be removed, merged into yet another. So for each
removed fragment a newer one holds all its sources, and nothing is lost whoever merges what. A second copy of a source
does no harm.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.store.files import claimed, remove
from chiasm.store.fragment import (
    KEY,
    Damaged,
    Fragment,
    batches,
    check_sum,
    listing,
    number_of,
    open_fragment,
    write_fragment,
)

LARGE_BYTES = 2 << 30  # larger fragments are left as they are: a terabyte is a few hundred memory maps
MERGE_AT = 32  # fragments of similar size


class Shelf:
    """Fragments in one folder, each opened once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Fragment | Damaged] = {}
        self._told: set[str] = set()

    def fragments(self) -> list[Fragment]:
        """Return the readable fragments, oldest first; warn once about each of the others."""
        known = self._refresh()
        for name, fragment in known.items():
            if isinstance(fragment, Damaged) and name not in self._told:
                self._told.add(name)
                message = f"fragment '{name}' of the token store {fragment}: its sources are encoded again"
                warnings.warn(message, stacklevel=3)
        return [fragment for fragment in known.values() if isinstance(fragment, Fragment)]

    def damaged(self) -> dict[str, Damaged]:
        """Return the fault of each damaged fragment, by its name; reads every byte."""
        found = {}
        for name, fragment in self._refresh().items():
            try:
                if isinstance(fragment, Damaged):
                    raise fragment
                check_sum(fragment.path)
            except FileNotFoundError:
                continue  # merged or pruned meanwhile
            except Damaged as fault:
                found[name] = fault
        return found

    def merge_alike(self) -> None:
        """Merge fragments of similar size (within a factor of 32) once there are many, to keep files few.

        Each token is thus rewritten once for each factor of 32 by which its encoder's fragments grow.
        """
        if not self._crowded():
            return
        with claimed(self.folder) as ours:
            for alike in self._crowded() if ours else []:  # checked again: another process may just have merged them
                whole = [fragment for fragment in alike if _intact(fragment)]  # a copy would sign the damage anew
                _merge(self.folder, whole, [np.ones(len(fragment.keys), dtype=bool) for fragment in whole])

    def tidy(self, fragments: Sequence[Fragment], wanted: Sequence[NDArray[np.bool_]]) -> int:
        """Keep only the wanted sources, merging small fragments on the way; return the bytes freed."""
        freed = 0
        group: list[int] = []
        for k, (fragment, mask) in enumerate(zip(fragments, wanted, strict=True)):
            if not mask.all() or fragment.size < LARGE_BYTES:
                group.append(k)
            last = k == len(fragments) - 1
            if last or sum(fragments[j].size for j in group) >= LARGE_BYTES:
                if len(group) > 1 or not all(wanted[j].all() for j in group):
                    freed += _merge(self.folder, [fragments[j] for j in group], [wanted[j] for j in group])
                group = []
        self._refresh()  # releases the memory maps of what was removed
        return freed

    def _crowded(self) -> list[list[Fragment]]:
        """List the groups to merge: fragments of similar size, if there are many."""
        tiers: dict[int, list[Fragment]] = {}
        for fragment in self.fragments():
            if fragment.size < LARGE_BYTES:
                tiers.setdefault(fragment.size.bit_length() // 5, []).append(fragment)
        crowded = (alike for alike in tiers.values() if len(alike) >= MERGE_AT)
        return [_up_to_large(alike) for alike in crowded]

    def _refresh(self) -> dict[str, Fragment | Damaged]:
        while True:
            names = listing(self.folder)
            try:
                opened = {name: self._known.get(name) or _opened(self.folder / name) for name in names}
                break
            except FileNotFoundError:
                continue  # merged or pruned meanwhile: what took its place is listed now
        whole = [fragment for fragment in opened.values() if isinstance(fragment, Fragment)]
        for fragment in whole:
            if (fragment.width, fragment.slots) != (whole[0].width, whole[0].slots):
                opened[fragment.path.name] = Damaged("holds tokens of another width or other slots than the first one")
        self._known = opened
        return opened


def match(left: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Match two arrays of ascending, distinct keys: positions of equal keys in the one, and in the other."""
    if len(left) > len(right):
        there, here = match(right, left)
        return here, there
    if not len(left):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    at = np.minimum(np.searchsorted(right, left), len(right) - 1)
    here = np.flatnonzero(right[at] == left)
    return here, at[here]


def locate(fragments: Sequence[Fragment], keys: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the first fragment that holds each of the ascending, distinct keys, -1 for none, and the row in it."""
    holder = np.full(len(keys), -1, dtype=np.int64)
    row = np.zeros(len(keys), dtype=np.int64)
    for number, fragment in enumerate(fragments):
        here, there = match(keys, fragment.keys)
        free = holder[here] < 0
        holder[here[free]], row[here[free]] = number, there[free]
    return holder, row


def first_holders(fragments: Sequence[Fragment]) -> list[NDArray[np.bool_]]:
    """Mark, for each fragment, the sources that no earlier fragment holds."""
    if not fragments:
        return []
    sizes = [len(fragment.keys) for fragment in fragments]
    _, first = np.unique(np.concatenate([fragment.keys for fragment in fragments]), return_index=True)
    mask = np.zeros(sum(sizes), dtype=bool)
    mask[first] = True
    return np.split(mask, np.cumsum(sizes)[:-1])


def _up_to_large(fragments: Sequence[Fragment]) -> list[Fragment]:
    """Select the oldest fragments, as many as one large fragment takes."""
    before = np.cumsum([0, *(fragment.size for fragment in fragments)])[:-1]
    return [fragment for fragment, size in zip(fragments, before, strict=True) if size < LARGE_BYTES]


def _merge(folder: Path, fragments: Sequence[Fragment], keep: Sequence[NDArray[np.bool_]]) -> int:
    """Replace fragments by one with the sources to keep; return the bytes freed."""
    freed = 0
    live = [mask & first for mask, first in zip(keep, first_holders(fragments), strict=True)]
    # in the order in which they were written, so that reading is sequential
    chosen = [
        (fragment, row)
        for fragment, mask in zip(fragments, live, strict=True)
        for row in np.lexsort((fragment.start, fragment.piece))
        if mask[row]
    ]
    if chosen:
        width, slots = fragments[0].width, fragments[0].slots
        keys = np.array([fragment.keys[row] for fragment, row in chosen], dtype=KEY)
        written = np.array([fragment.written[row] for fragment, row in chosen], dtype=np.int64)
        tokens = (fragment.tokens(row) for fragment, row in chosen)
        times = (fragment.times(row) for fragment, row in chosen)
        place = min(number_of(fragment.path.name) for fragment in fragments)
        merged = write_fragment(folder, width, slots, batches(width, keys, written, tokens, times), place)
        with contextlib.suppress(FileNotFoundError):  # merged further meanwhile
            freed -= merged.stat().st_size
    return freed + sum(remove(fragment.path) for fragment in fragments)


def _opened(path: Path) -> Fragment | Damaged:
    try:
        return open_fragment(path)
    except Damaged as fault:
        return fault


def _intact(fragment: Fragment) -> bool:
    try:
        check_sum(fragment.path)
    except (Damaged, FileNotFoundError):
        return False
    return True
