"""Alphabets of sequences: DNA, RNA, proteins, SMILES, or letters that the user gives; the numbers of their tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError

SPECIAL = ("<pad>", "<unknown>", "<mask>", "<begin>", "<end>", "<prefix>", "<middle>", "<suffix>")
PAD, UNKNOWN, MASK, BEGIN, END, PREFIX, MIDDLE, SUFFIX = range(len(SPECIAL))
GIVEN = "letters:"
MOST_LETTERS = 512
PLAIN = 0x250  # code points below are looked up in a table

# IUPAC codes of bases, each over its complement: NC-IUB, Nucleic Acids Research 13:3021 (1985)
BASES, COMPLEMENTS = "ACGTNRYSWKMBDHV", "TGCANYRSWMKVHDB"
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY" + "BZXJUO"
ELEMENTS = tuple(
    re.findall(
        r"\w+",
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y "
        "Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re "
        "Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds "
        "Rg Cn Nh Fl Mc Lv Ts Og ",
    )
)
AROMATIC = ("b", "c", "n", "o", "p", "s", "as", "se", "te")
SIGNS = tuple("[]().=#-+\\/:~@?>*$%0123456789")
# An atom in brackets is cut further, so that the tokens of all molecules are known before any was seen
OUTSIDE = re.compile(r"\[[^\]]*\]|Br|Cl|.", re.DOTALL)
WITHIN = re.compile("|".join([*sorted(ELEMENTS, key=len, reverse=True), "as|se|te", "@@", "."]), re.DOTALL)


@dataclass(frozen=True)
class Alphabet:
    """The tokens of one kind of sequence; a token's number is its place after the special ones.

    Args:
        name: as an encoder's option names it.
        letters: the tokens, in the order of their numbers.
        same: tokens that are read as another one.
        complement: of each token on the other strand; empty where there is no other strand.
        cut: cuts a text into tokens; None cuts it into characters.
    """

    name: str
    letters: tuple[str, ...]
    same: tuple[tuple[str, str], ...] = ()
    complement: tuple[str, ...] = ()
    cut: Callable[[str], list[str]] | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Return the number of tokens V, special ones included."""
        return len(SPECIAL) + len(self.letters)

    @cached_property
    def complements(self) -> NDArray[np.int64]:
        """Return the number of each token's complement `(V,)`, its own for a special one; empty without strands."""
        if not self.complement:
            return np.zeros(0, np.int64)
        there = [self._numbers[letter] for letter in self.complement]
        return np.array([*range(len(SPECIAL)), *there], np.int64)

    def ids(self, text: str, unknown: bool = False) -> NDArray[np.int64]:
        """Return the numbers of a text's tokens `(T,)`.

        Args:
            unknown: read what is outside the alphabet as the token UNKNOWN, instead of refusing it.

        Raises:
            ReadError: the text is empty, or has a token outside the alphabet (by its position).
        """
        found = self._looked_up(text)
        if not len(found):
            raise ReadError("the sequence has no letter", "leave the cell empty if the patient has none")
        if not unknown and (found == UNKNOWN).any():
            place = int(np.argmax(found == UNKNOWN))
            where = place if self.cut is None else sum(map(len, self.cut(text)[:place]))
            raise ReadError(
                f"what stands at position {where + 1:,} is not in the alphabet '{self.name[:40]}'",
                "correct it, choose another alphabet, or read it as unknown (unknown=true)",
            )
        return found

    def text(self, ids: NDArray[np.int64]) -> str:
        """Return the text of numbers `(T,)`; special tokens stand in angle brackets."""
        names = (*SPECIAL, *self.letters)
        return "".join(names[number] for number in ids.tolist())

    def foreign(self, text: str) -> int:
        """Count the tokens of a text that are outside the alphabet."""
        return int((self._looked_up(text) == UNKNOWN).sum())

    def _looked_up(self, text: str) -> NDArray[np.int64]:
        if self.cut is not None:
            return np.array([self._numbers.get(token, UNKNOWN) for token in self.cut(text)], np.int64)
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        if len(points) and int(points.max()) >= PLAIN:
            return np.array([self._numbers.get(letter, UNKNOWN) for letter in text], np.int64)
        return self._table[points]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        own = {letter: len(SPECIAL) + place for place, letter in enumerate(self.letters)}
        return own | {letter: own[other] for letter, other in self.same}

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        table = np.full(PLAIN, UNKNOWN, np.int64)
        for letter, number in self._numbers.items():
            if len(letter) == 1 and ord(letter) < PLAIN:
                table[ord(letter)] = number
        return table


def smiles_tokens(text: str) -> list[str]:
    """Cut SMILES into atoms, bonds, brackets, ring closures and signs: `[C@@H](Cl)` is `[ C @@ H ] ( Cl )`.

    Outside brackets the tokens are those of Schwaller et al., Molecular Transformer (ACS Central Science 2019). We
    deviate in cutting an atom in brackets into its parts, and a ring closure of two digits into `%` and the digits.
    """
    found = []
    for token in OUTSIDE.findall(text):
        found += WITHIN.findall(token) if token.startswith("[") else [token]
    return found


def _cased(letters: str) -> tuple[tuple[str, str], ...]:
    return tuple((letter.lower(), letter) for letter in letters)


def _strand(name: str, fourth: str, other: str) -> Alphabet:
    letters, turned = BASES.replace("T", fourth), COMPLEMENTS.replace("T", fourth)
    same = (*_cased(letters), (other, fourth), (other.lower(), fourth))
    return Alphabet(name, tuple(letters), same, tuple(turned))


BUILT_IN = {
    "dna": _strand("dna", "T", "U"),
    "rna": _strand("rna", "U", "T"),
    "protein": Alphabet("protein", tuple(AMINO_ACIDS), _cased(AMINO_ACIDS)),
    "smiles": Alphabet("smiles", (*ELEMENTS, *AROMATIC, *SIGNS, "@@"), cut=smiles_tokens),
}
OF_KIND = {"dna": "dna", "protein": "protein", "molecule": "smiles"}


@lru_cache(maxsize=64)
def alphabet(name: str) -> Alphabet:
    """Return an alphabet by its name: dna, rna, protein, smiles, or `letters:` and its letters, as `letters:HELC`.

    Raises:
        ValueError: there is no such alphabet, a letter stands in it twice, or there are too many.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    letters = name.removeprefix(GIVEN)
    if letters == name or not letters:
        raise ValueError(
            f"there is no such alphabet: choose {', '.join(BUILT_IN)}, or write {GIVEN} and the letters themselves"
        )
    if len(set(letters)) < len(letters) or len(letters) > MOST_LETTERS:
        raise ValueError(f"an alphabet has each of its letters once, and at most {MOST_LETTERS}")
    return Alphabet(name, tuple(letters))
