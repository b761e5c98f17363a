"""K-mer encoder: proteins and DNA as frequencies of short words, in the whole sequence and in windows along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.frozen import identity_of
from chiasm.readers.reading import ReadError
from chiasm.tokens import Tokens

# kind -> the alphabet, the longest word, and the letters that are read as another one
ALPHABETS = {"protein": ("ACDEFGHIKLMNPQRSTVWY", 2, {}), "dna": ("ACGT", 4, {"U": "T"})}
EXTRA = 2
MAX_WINDOWS = 64
FOREIGN = 255


@storable("encoder-kmers")
@dataclass(frozen=True)
class KmerCounts:
    """Square-root frequencies of all k-mers up to a maximum length, for the whole sequence and for equal windows of it.

    The feature of word w of length k is `sqrt(count(w) / n_k)`, where n_k counts the words of that length without a
    foreign letter: the root makes frequent and rare words comparable in spread (Hellinger). Proteins: k = 1, 2,
    `20 + 400` words. DNA: k = 1 .. 4, a word and its reverse complement counted as one, `2 + 10 + 32 + 136` words. The
    last two features are `ln(1 + length)` and the share of foreign letters (X, B, Z, N ...), whose words are left out.
    Letters may be lower case; in DNA, U is read as T.

    Token 0 is the whole sequence, tokens 1 .. windows are `[floor(i n / W), ceil((i + 1) n / W))`, first to last.
    Reverse-complemented DNA has the very same token 0 and the same windows in reverse order.

    Args:
        kind: `protein` or `dna`.
        windows: W, 0 to 64; 0 gives the whole sequence only.

    Raises:
        ValueError: an option is out of range.
        ReadError: at `encode`, a sequence without a letter.
    """

    kind: str = "protein"
    windows: int = 4

    id: ClassVar[str] = "kmers"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64

    def __post_init__(self) -> None:
        if self.kind not in ALPHABETS:
            raise ValueError("option 'kind' of encoder 'kmers' is protein or dna")
        if not 0 <= self.windows <= MAX_WINDOWS:
            raise ValueError(f"option 'windows' of encoder 'kmers' lies between 0 and {MAX_WINDOWS}")

    @property
    def width(self) -> int:
        return sum(int(table.max()) + 1 for table in _tables(self.kind)) + EXTRA

    @property
    def slots(self) -> int:
        return 1 + self.windows

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode sequences to tokens `(B, 1 + windows, width)`, float32."""
        values = np.zeros((len(raw), self.slots, self.width), np.float32)
        for row, text in enumerate(raw):
            values[row] = self._sequence(text)
        return Tokens(torch.from_numpy(values), torch.ones(values.shape[:2], dtype=torch.bool))

    def _sequence(self, text: str) -> NDArray[np.float64]:
        letters = _codes(self.kind)[np.frombuffer(text.encode("ascii", "replace"), np.uint8)]
        n = len(letters)
        if not n:
            raise ReadError("the sequence has no letter", "leave the cell empty if the patient has none")
        edges = [(k * n // self.windows, -(-(k + 1) * n // self.windows)) for k in range(self.windows)]
        parts = [letters, *(letters[start:end] for start, end in edges)]
        return np.stack([self._words(part) for part in parts])

    def _words(self, letters: NDArray[np.uint8]) -> NDArray[np.float64]:
        size = len(ALPHABETS[self.kind][0])
        known = letters != FOREIGN
        codes = np.where(known, letters, 0).astype(np.int64)
        words, whole, blocks = codes, known, []
        for k, table in enumerate(_tables(self.kind), start=1):
            if k > 1:
                words = words[:-1] * size + codes[k - 1 :]
                whole = whole[:-1] & known[k - 1 :]
            counts = np.bincount(table[words[whole]], minlength=int(table.max()) + 1)
            blocks.append(np.sqrt(counts / max(1, int(whole.sum()))))
        return np.concatenate([*blocks, [np.log1p(len(letters)), 1.0 - known.mean()]])


@lru_cache
def _codes(kind: str) -> NDArray[np.uint8]:
    """Map each byte to its position in the alphabet, FOREIGN for all others: `(256,)`."""
    alphabet, _, same = ALPHABETS[kind]
    codes = np.full(256, FOREIGN, np.uint8)
    for letter in [*alphabet, *same]:
        codes[[ord(letter), ord(letter.lower())]] = alphabet.index(same.get(letter, letter))
    return codes


@lru_cache
def _tables(kind: str) -> tuple[NDArray[np.int64], ...]:
    """Map word numbers to columns, a table `(size^k,)` per k; a DNA word and its reverse complement share a column."""
    alphabet, longest, _ = ALPHABETS[kind]
    size = len(alphabet)
    tables = []
    for k in range(1, longest + 1):
        words = np.arange(size**k)
        if kind == "dna":  # A, C, G, T are 0 to 3, so that 3 - letter is its complement
            digits = words[:, None] // size ** np.arange(k) % size  # last letter first
            words = np.minimum(words, (size - 1 - digits) @ size ** np.arange(k)[::-1])
        tables.append(np.unique(words, return_inverse=True)[1].reshape(-1))
    return tuple(tables)
