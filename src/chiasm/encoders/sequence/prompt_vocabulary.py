"""One space of ids for several tokenizers, and the ids of a prompt whose spans name them (MAMMAL, arXiv 2410.22367).

The letter C is a cysteine in a protein and a carbon in a molecule: each tokenizer has ids of its own, and all share the
special tokens. As in the released modular tokenizer (fuse-med-ml 0.4.1) special tokens come first, and then those of
each tokenizer in its order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from chiasm.encoders.sequence.prompts import (
    EMBEDDINGS,
    FROM_DICT,
    LITERALS,
    RANDOM,
    Slot,
    Span,
    parse_prompt,
    scalars_of,
    slot_of,
)
from chiasm.readers.reading import ReadError

PAD, UNKNOWN, EOS, MASK = "<PAD>", "<UNK>", "<EOS>", "<MASK>"
SCALAR, EMBEDDING, DECODER_START = "<SCALAR>", "<EMBEDDINGS>", "<DECODER_START>"
SENTINELS = tuple(f"<SENTINEL_ID_{k}>" for k in range(10))
ENTITIES = (
    "<MOLECULAR_ENTITY>", "<MOLECULAR_ENTITY_GENERAL_PROTEIN>", "<MOLECULAR_ENTITY_SMALL_MOLECULE>",
    "<MOLECULAR_ENTITY_TCR_BETA_VDJ>", "<MOLECULAR_ENTITY_EPITOPE>", "<MOLECULAR_ENTITY_CELL_GENE_EXPRESSION_RANKED>",
    "<SEQUENCE_NATURAL_START>", "<SEQUENCE_NATURAL_END>",
)  # fmt: skip
SPECIAL = (PAD, UNKNOWN, EOS, MASK, SCALAR, EMBEDDING, DECODER_START, *SENTINELS, *ENTITIES)
AMINO_ACIDS = (*"ACDEFGHIKLMNPQRSTVWY", *"BZXJUO")
NUCLEOTIDES = (*"ACGT", *"NRYSWKMBDHV")
NUMBERS = (LITERALS, FROM_DICT, EMBEDDINGS)
SMILES = re.compile(r"\[[^\]]+\]|Br|Cl|%[0-9]{2}|[A-Za-z]|[0-9]|[-=#$:/\\.()+@~*>]")
BRACKETED = re.compile(r"\[[^\[\]]*\]")
LETTER = re.compile(r"\S")


@dataclass(frozen=True)
class Tokenizer:
    """One tokenizer: the pieces that it finds in a text, and those that it knows.

    Args:
        name: by which a tag names it.
        pieces: what a piece looks like; a character in no piece is an unknown piece of its own, unless it is blank.
        known: the pieces in the order of their ids.
    """

    name: str
    pieces: re.Pattern[str]
    known: tuple[str, ...]

    def split(self, text: str) -> list[str]:
        """Return the pieces of a text, in order."""
        found, place = [], 0
        for match in self.pieces.finditer(text):
            found += [*"".join(text[place : match.start()].split()), match.group()]
            place = match.end()
        return [*found, *"".join(text[place:].split())]


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as numbers.

    Args:
        ids: `(T,)` int64.
        scalars: `(T,)` float32, the numbers at their places, 0 elsewhere.
        is_scalar: `(T,)` bool.
        slots: where embeddings of other encoders belong: first place, and what.
        cut: for each span that was too long, and last for the whole: the kind (`OVERALL`), tokens before and after.
        unknown: how many pieces of each kind its tokenizer does not know.
    """

    ids: NDArray[np.int64]
    scalars: NDArray[np.float32]
    is_scalar: NDArray[np.bool_]
    slots: tuple[tuple[int, Slot], ...] = ()
    cut: tuple[tuple[str, int, int], ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptVocabulary:
    """Special tokens, then the pieces of each tokenizer: one id each, without gaps.

    Args:
        tokenizers: in the order of their ids.
        special: tokens that all share, in angle brackets; `SPECIAL`, tasks and answers behind them.

    Raises:
        ValueError: a name, a token or a piece stands twice, a special token is not in angle brackets or one of those
            that every prompt needs is missing, or a tokenizer has a name that a tag cannot hold, or that is of numbers.
    """

    tokenizers: tuple[Tokenizer, ...]
    special: tuple[str, ...] = SPECIAL

    def __post_init__(self) -> None:
        names = [own.name for own in self.tokenizers]
        doubled = [token for part in (names, self.special, *(own.known for own in self.tokenizers))
                   for token, times in Counter(part).items() if times > 1]  # fmt: skip
        if doubled:
            raise ValueError(f"the vocabulary holds '{doubled[0]}' twice: keep one of them")
        if wrong := [name for name in names if name in NUMBERS or not re.fullmatch(r"[^<>@\s]+", name)]:
            raise ValueError(f"no tag of a prompt reaches a tokenizer named '{wrong[0]}': give it another name")
        if missing := [token for token in (PAD, UNKNOWN, EOS, SCALAR, EMBEDDING) if token not in self.special]:
            raise ValueError(f"the special token {missing[0]} is missing")
        if wrong := [token for token in self.special if not re.fullmatch(r"<[^<>\s]+>", token)]:
            raise ValueError(f"the special token '{wrong[0]}' is not written in angle brackets, as <TASK>")

    def __len__(self) -> int:
        return len(self.special) + sum(len(own.known) for own in self.tokenizers)

    @cached_property
    def special_ids(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.special)}

    @cached_property
    def _own(self) -> dict[str, tuple[Tokenizer, dict[str, int]]]:
        start, own = len(self.special), {}
        for one in self.tokenizers:
            own[one.name] = one, {piece: start + k for k, piece in enumerate(one.known)}
            start += len(one.known)
        return own

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids; a piece that two tokenizers know stands twice."""
        return (*self.special, *(piece for own in self.tokenizers for piece in own.known))

    @cached_property
    def _special(self) -> re.Pattern[str]:
        longest_first = sorted(self.special, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def encode(
        self,
        prompt: str | Sequence[Span],
        *,
        numbers: Mapping[str, Sequence[float]] | None = None,
        longest: int | None = None,
        unknown: str = "refuse",
        generator: np.random.Generator | None = None,
    ) -> EncodedPrompt:
        """Return the ids of a prompt, the numbers at their places, and the slots of embeddings.

        Args:
            numbers: of this patient by their key, for `SCALARS_FROM_DICT`.
            longest: tokens of the whole at most; what stands behind is cut.
            unknown: what happens to a piece that its tokenizer does not know: `refuse`, or `keep` it as `<UNK>`.
            generator: draws the stretch of spans cut by `RAND`.

        Raises:
            ReadError: the prompt is not one (see `parse_prompt`), names a tokenizer that is not here, holds unknown
                pieces, or asks for numbers that are not given. Errors hold no text of the prompt.
            ValueError: `unknown` is another word, or `longest` below 1.
        """
        if unknown not in ("refuse", "keep") or (longest is not None and longest < 1):
            raise ValueError("unknown is 'refuse' or 'keep', and longest 1 or more")
        spans = parse_prompt(prompt) if isinstance(prompt, str) else tuple(prompt)
        ids: list[int] = []
        scalars: dict[int, float] = {}
        slots, cut, strange = [], [], Counter[str]()
        for span in spans:
            if span.is_scalars:
                values = scalars_of(span, numbers or {})
                scalars.update(enumerate(values, start=len(ids)))
                ids += [self.special_ids[SCALAR]] * len(values)
            elif span.is_slot:
                slot = slot_of(span)
                slots.append((len(ids), slot))
                ids += [self.special_ids[EMBEDDING]] * slot.length
            else:
                own, count = self._ids(span)
                strange[span.kind] += count
                kept = _cut(own, span, generator)
                if len(kept) < len(own):
                    cut.append((span.kind, len(own), len(kept)))
                ids += kept
        if (total := sum(strange.values())) and unknown != "keep":
            kinds = ", ".join(sorted(kind for kind, count in strange.items() if count))
            raise ReadError(f"the vocabulary does not know {total:,} pieces of the prompt (in spans of {kinds})",
                            "add them, or keep them as unknown with unknown='keep'")  # fmt: skip
        if longest is not None and len(ids) > longest:
            cut.append(("OVERALL", len(ids), longest))
            ids = ids[:longest]
        told = np.zeros(len(ids), np.float32)
        here = np.zeros(len(ids), bool)
        for place, value in scalars.items():
            if place < len(ids):
                told[place], here[place] = value, True
        inside = tuple((place, slot) for place, slot in slots if place + slot.length <= len(ids))
        return EncodedPrompt(np.array(ids, np.int64), told, here, inside, tuple(cut), +strange)

    def decode(self, ids: Sequence[int]) -> list[str]:
        """Return the token of each id; raises IndexError for one that nobody has."""
        if any(k < 0 for k in ids):
            raise IndexError("an id of a token is 0 or more")
        return [self.tokens[int(k)] for k in ids]

    def _ids(self, span: Span) -> tuple[list[int], int]:
        """Return the ids of a span's text and how many of them are unknown."""
        if span.kind not in self._own:
            raise ReadError("the prompt names a tokenizer that the vocabulary does not have",
                            f"it has {', '.join(sorted(self._own))}")  # fmt: skip
        tokenizer, known = self._own[span.kind]
        strange = self.special_ids[UNKNOWN]
        ids: list[int] = []
        for place, part in enumerate(self._special.split(span.text)):
            if place % 2:
                ids.append(self.special_ids[part])
            elif "<" in part:
                raise ReadError(f"a span of {span.kind} has an angle bracket that opens no special token",
                                "add it to the special tokens of the vocabulary, or close the bracket")  # fmt: skip
            else:
                ids += [known.get(piece, strange) for piece in tokenizer.split(part)]
        return ids, ids.count(strange)


def _cut(ids: list[int], span: Span, generator: np.random.Generator | None) -> list[int]:
    if span.longest is None or len(ids) <= span.longest:
        return ids
    start = 0
    if span.cut == RANDOM:
        if generator is None:
            raise ReadError("a span is cut at a place that is drawn, and there is no seed", "pass a generator")
        start = int(generator.integers(len(ids) - span.longest + 1))
    return ids[start : start + span.longest]


def amino_acids(name: str = "AA") -> Tokenizer:
    """Return the tokenizer of proteins, one letter a token."""
    return Tokenizer(name, LETTER, AMINO_ACIDS)


def nucleotides(name: str = "DNA") -> Tokenizer:
    """Return the tokenizer of DNA with IUPAC's letters for uncertain bases, one letter a token."""
    return Tokenizer(name, LETTER, NUCLEOTIDES)


def smiles_of(texts: Sequence[str], name: str = "SMILES") -> Tokenizer:
    """Return a tokenizer of molecules that knows the atoms, bonds and rings of these SMILES, sorted."""
    known = {piece for text in texts for piece in Tokenizer(name, SMILES, ()).split(text)}
    return Tokenizer(name, SMILES, tuple(sorted(known)))


def bracketed(name: str, words: Sequence[str]) -> Tokenizer:
    """Return a tokenizer of words that a prompt writes in brackets, `[TP53][EGFR]`: genes, attributes of cells."""
    return Tokenizer(name, BRACKETED, tuple(f"[{word}]" for word in words))
