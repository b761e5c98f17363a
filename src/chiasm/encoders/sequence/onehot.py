"""One-hot encoder: the letter at each place of sequences that all have the same length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.sequence.alphabets import OF_KIND, SPECIAL, alphabet
from chiasm.readers.reading import ReadError
from chiasm.tokens import Tokens

LONGEST = 100_000
RANGES = re.compile(r"\d+(-\d+)?(\+\d+(-\d+)?)*")
# An uncertain letter is an equal share of those that it may be: IUPAC-IUB codes of bases and amino acids
UNCERTAIN = {
    "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
    "N": "ACGT",
}  # fmt: skip
UNCERTAIN_ACIDS = {"B": "DN", "Z": "EQ", "J": "IL", "X": "ACDEFGHIKLMNPQRSTVWY"}


@storable("encoder-onehot")
@dataclass(frozen=True)
class OneHot:
    """The letter at each place: a token a place, 1 in the column of its letter; sequences are of one length, unaligned.

    Columns are A, C, G, T for DNA, the 20 amino acids and U and O for proteins, the letters themselves for an alphabet
    that is given. An uncertain letter counts as an equal share of those that it may be: N is a quarter of each base.
    What ridges and trees read is all places side by side, each centred and brought to one spread on training rows.

    Args:
        kind: of the modality.
        length: number of letters of every sequence; needed.
        places: which of them are read, from 1, as `39-41+54`; empty for all.
        alphabet: as for `sequence`; empty for that of the kind.

    Raises:
        ValueError: an option is out of range, or there is no length.
        ReadError: at `encode`, a sequence of another length, or with a letter outside the alphabet.
    """

    kind: str = "protein"
    length: int = 0
    places: str = ""
    alphabet: str = ""

    id: ClassVar[str] = "onehot"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 256

    def __post_init__(self) -> None:
        if not 1 <= self.length <= LONGEST:
            raise ValueError(
                "encoder 'onehot' needs the number of letters that every sequence has, as onehot:length=81; for "
                "sequences of several lengths choose kmers or sequence"
            )
        if not self.alphabet and self.kind not in OF_KIND:
            raise ValueError(
                f"modalities of kind '{self.kind}' have no alphabet of their own: name one, as alphabet=letters:ABC"
            )
        alphabet(self._alphabet)
        _places(self.places, self.length)

    @property
    def width(self) -> int:
        return int(_columns(self._alphabet).shape[1])

    @property
    def slots(self) -> int:
        return len(_places(self.places, self.length))

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def require(self, value: str) -> None:
        """Raise ReadError of a sequence that `encode` would refuse."""
        self._ids(value)

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode sequences to tokens `(B, places, letters)`, float32."""
        if not raw:
            return Tokens(torch.zeros(0, self.slots, self.width), torch.zeros(0, self.slots, dtype=torch.bool))
        places = _places(self.places, self.length)
        ids = np.stack([self._ids(text)[places] for text in raw])
        values = torch.from_numpy(_columns(self._alphabet)[ids])
        return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))

    @property
    def _alphabet(self) -> str:
        return self.alphabet or OF_KIND[self.kind]

    def _ids(self, text: str) -> NDArray[np.int64]:
        ids = alphabet(self._alphabet).ids(text)
        if len(ids) != self.length:
            raise ReadError(
                f"the sequence has other than the {self.length:,} letters that length= names",
                "correct it, or choose an encoder of sequences of any length, kmers or sequence",
            )
        return ids


@lru_cache(maxsize=16)
def _columns(name: str) -> NDArray[np.float32]:
    """Map each token of an alphabet to its columns: `(V, letters)`."""
    letters = alphabet(name).letters
    shares = {"dna": UNCERTAIN, "protein": UNCERTAIN_ACIDS}.get(name, {})
    if name == "rna":
        shares = {letter: own.replace("T", "U") for letter, own in UNCERTAIN.items()}
    own = [letter for letter in letters if letter not in shares]
    table = np.zeros((len(SPECIAL) + len(letters), len(own)), np.float32)
    for number, letter in enumerate(letters, start=len(SPECIAL)):
        may_be = [*shares.get(letter, [letter])]
        for one in may_be:
            table[number, own.index(one)] = 1.0 / len(may_be)
    return table


@lru_cache(maxsize=64)
def _places(text: str, length: int) -> NDArray[np.int64]:
    """Return the places that a text such as `39-41+54` names, from 0."""
    if not text:
        return np.arange(length)
    if RANGES.fullmatch(text) is None:
        raise ValueError("option 'places' of encoder 'onehot' is written as 39-41+54")
    found = list[int]()
    for part in text.split("+"):
        first, _, last = part.partition("-")
        within = len(last or first) <= len(str(length)) and 1 <= int(first) <= int(last or first) <= length
        found += range(int(first), int(last or first) + 1) if within else [0]
    if 0 in found or len(set(found)) < len(found):
        raise ValueError(f"option 'places' of encoder 'onehot' names places 1 to {length:,}, each once")
    return np.array(found) - 1
