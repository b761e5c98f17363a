"""What an encoder was pretrained on, kept as marks by which a cohort's own items are found, and no item itself."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from chiasm.artifact import storable
from chiasm.readers.reading import Decoded, Events

BY_CHANCE = 0.01  # of items never seen, so many are taken for seen at most
BEYOND_CHANCE = 1e-3
MOST_BITS = 63


@storable("seen-items")
@dataclass(frozen=True)
class SeenItems:
    """Marks of the items that a network was pretrained on: short keyed hashes, sorted, each once.

    A mark has `bits = ceil(log2(n / 0.01))` bits of BLAKE2b of the item under `key`, which is new for each folder. An
    item never seen has one of the marks with a chance between 0.5 and 1 %. So a mark is no proof of any one item, and
    those of two folders cannot be compared; that many items of a cohort were seen is told beyond doubt. Who holds the
    folder and guesses one item beforehand learns how likely it was seen; a folder may be written without marks.

    Args:
        key: 32 hexadecimal digits.
        bits: length of a mark.
        marks: `(m,)` int64, ascending.
    """

    key: str
    bits: int
    marks: np.ndarray

    def __post_init__(self) -> None:
        marks = np.asarray(self.marks)
        if not 1 <= self.bits <= MOST_BITS or marks.ndim != 1 or marks.dtype != np.int64:
            raise ValueError("marks of seen items are whole numbers of 1 to 63 bits")
        if len(marks) >= 1 << self.bits:
            raise ValueError("marks of seen items are fewer than there can be: these would find anything")
        if len(marks) and (marks.min() < 0 or marks.max() >= 1 << self.bits or (np.diff(marks) <= 0).any()):
            raise ValueError("marks of seen items ascend, and none is longer than it says")
        if len(self.key) != 32 or set(self.key) - set("0123456789abcdef"):
            raise ValueError("the key of seen items has 32 hexadecimal digits")

    @classmethod
    def of(cls, items: Iterable[str], key: str) -> Self:
        """Mark these items; `key` should be one that no other folder has, as the beginning of its weights' hash."""
        different = sorted(set(items))
        bits = min(MOST_BITS, max(1, math.ceil(math.log2(max(1, len(different)) / BY_CHANCE))))
        return cls(key, bits, np.unique(_marks(different, key, bits)))

    def of_training(self) -> str:
        """Say what a folder holds of training patients by this part."""
        return f"{len(self.marks):,} short keyed marks of what it was pretrained on"

    def overlap(self, items: Iterable[str]) -> Overlap:
        """Tell how many of these items, each counted once, were pretrained on."""
        different = sorted(set(items))
        found = int(np.isin(_marks(different, self.key, self.bits), self.marks).sum())
        return Overlap(len(different), found, len(self.marks) / (1 << self.bits))


@dataclass(frozen=True)
class Overlap:
    """How many items of a cohort have a mark.

    Args:
        items: different items; found: those with a mark.
        chance: with which an item that was never seen has one.
    """

    items: int
    found: int
    chance: float

    @property
    def seen(self) -> float:
        """Estimated number of items that were seen: `(found - chance items) / (1 - chance)`, between 0 and `items`."""
        return min(float(self.items), max(0.0, (self.found - self.chance * self.items) / (1 - self.chance)))

    @property
    def is_beyond_chance(self) -> bool:
        """True if so many marks among items never seen have a probability under 0.001."""
        from scipy.stats import binom  # type: ignore[import-untyped]

        return bool(self.found) and float(binom.sf(self.found - 1, self.items, self.chance)) < BEYOND_CHANCE


@runtime_checkable
class RemembersItems(Protocol):
    """Protocol of an encoder that knows by marks what it was pretrained on; None: nothing was kept, or learned."""

    def remembered(self) -> SeenItems | None: ...


@runtime_checkable
class MarksContents(Protocol):
    """Protocol of an encoder whose marks are those of the contents of files, and not of what is read from them."""

    marks_contents: bool


def item_of(value: Any) -> str:
    """Return a decoded value as the text that is marked: a sequence as it is, else a hash of all that it holds.

    Two records are one item if hours, codes and values are equal; two arrays, if their shapes and values are.

    Raises:
        TypeError: it is neither text, nor events, nor an array.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Events):
        hours, values = np.asarray(value.hours, "<f8"), np.asarray(value.values, "<f4")
        whole = [hours.tobytes(), values.tobytes(), "\0".join(value.codes.tolist()).encode()]
    elif isinstance(value, Decoded):
        array = np.ascontiguousarray(value.values, "<f4")
        whole = [str(array.shape).encode(), array.tobytes()]
    else:
        raise TypeError(f"a {type(value).__name__} cannot be marked")
    return hashlib.sha256(b"".join(len(own).to_bytes(8, "little") + own for own in whole)).hexdigest()


def _marks(items: list[str], key: str, bits: int) -> np.ndarray:
    own = bytes.fromhex(key)
    digests = (
        hashlib.blake2b(item.encode("utf-8", "surrogatepass"), key=own, digest_size=8).digest() for item in items
    )
    return np.array([int.from_bytes(digest, "little") >> (64 - bits) for digest in digests], np.int64)
