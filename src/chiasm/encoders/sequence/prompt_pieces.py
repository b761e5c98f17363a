"""What prompts of training patients are made of, and prompts read by it: ids, numbers and places of embeddings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from chiasm.artifact import storable
from chiasm.encoders.sequence.prompt_vocabulary import (
    BRACKETED,
    SMILES,
    UNKNOWN,
    EncodedPrompt,
    PromptVocabulary,
    Tokenizer,
    amino_acids,
    nucleotides,
)
from chiasm.encoders.sequence.prompt_vocabulary import SPECIAL as SHARED
from chiasm.encoders.sequence.prompts import EMBEDDINGS, FROM_DICT, RANDOM, Slot, Span, parse_prompt, slot_of
from chiasm.errors import Unsupported, count
from chiasm.readers.reading import ReadError

SPECIAL = re.compile(r"<[^<>\s]+>")
NO_TASK = ("<MOLECULAR_ENTITY", "<COMPLEX_ENTITY", "<SEQUENCE_", "<ATTRIBUTE_", "<SENTINEL_ID_")
"""How tokens of MAMMAL's prompts begin that say what stands there, and may stand before the task."""
LEAST = 2  # prompts in which a piece stands: of one alone it might be what a patient is known by
MOST = 65_536  # pieces of one vocabulary

FIXED: Mapping[str, Callable[[str], Tokenizer]] = {"AA": amino_acids, "DNA": nucleotides}
FOUND = {"SMILES": SMILES, "GENE": BRACKETED, "CELL_ATTRIBUTES": BRACKETED}
"""Tokenizers whose pieces are those of the training prompts, with what a piece looks like."""


@storable("prompt-pieces")
@dataclass(frozen=True)
class PromptPieces:
    """The pieces of training prompts: special tokens, and those of each tokenizer that they name.

    Amino acids and nucleotides have the whole alphabet, SMILES, genes and attributes of cells what two training prompts
    hold; another piece of these is read as unknown. The task of a prompt is its first special token that is not one of
    MAMMAL's own and does not begin as its entities, attributes and sentinels do (`NO_TASK`).

    Args:
        longest: tokens of a prompt at most.
        unknown: read letters outside an alphabet as unknown; otherwise such a prompt is refused.
        special: special tokens beside MAMMAL's own, sorted.
        pieces: of each tokenizer, in the order of their ids.
        tasks: those special tokens that name a task, sorted.
        slots: places of embeddings, as a prompt writes them, sorted.
    """

    longest: int = 512
    unknown: bool = False
    special: tuple[str, ...] = ()
    pieces: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.longest <= MOST:
            raise ValueError(f"longest lies between 1 and {MOST:,} tokens of a prompt")
        if self.pieces.keys() - FIXED.keys() - FOUND.keys() or not set(self.tasks) <= set(self.special):
            raise ValueError("pieces of prompts are of tokenizers that there are, and a task is a special token")
        if len(self.vocabulary) > MOST:
            raise ValueError(f"the prompts have more than {MOST:,} pieces: write fewer words in brackets")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        found = sum(len(own) for name, own in self.pieces.items() if name in FOUND)
        return (
            f"{count(len(self.special), 'special token')} and {count(found, 'piece')} of prompts, each of two prompts "
            "or more"
        )

    @cached_property
    def vocabulary(self) -> PromptVocabulary:
        """The ids of all pieces."""
        own = [
            FIXED[name](name) if name in FIXED else Tokenizer(name, FOUND[name], known)
            for name, known in self.pieces.items()
        ]
        return PromptVocabulary(tuple(own), (*SHARED, *self.special))

    @cached_property
    def task_ids(self) -> tuple[int, ...]:
        """The id of each task."""
        return tuple(self.vocabulary.special_ids[task] for task in self.tasks)

    def fit(self, prompts: Sequence[str]) -> Self:
        """Return the pieces of training prompts, special tokens and places too, each of two prompts or more.

        Raises:
            ReadError: a prompt is none that `require` accepts.
        """
        words: dict[str, Counter[str]] = {}
        special, tasks, slots = Counter[str](), set[str](), Counter[str]()
        for prompt in prompts:
            spans = parse_prompt(prompt)
            own = _pieces_of(spans)
            for name, found in own.items():
                words.setdefault(name, Counter()).update(found)
            special.update(_special_of(spans))
            slots.update({span.text for span in spans if span.is_slot})
            tasks.update(_task_of(spans))
        pieces = {name: _shared(words[name]) if name in FOUND else FIXED[name](name).known for name in sorted(words)}
        kept = _shared(special)
        tasks &= set(kept)
        return type(self)(self.longest, self.unknown, kept, pieces, tuple(sorted(tasks)), _shared(slots))

    def require(self, prompt: str) -> None:
        """Refuse a prompt that could not be read whatever the training prompts hold.

        Raises:
            ReadError: see `parse_prompt`; an unheard-of tokenizer, a letter outside its alphabet, numbers that are not
                in the prompt, a cut that is drawn, or more tokens than `longest`. Errors hold no text of the prompt.
        """
        self._encoded(prompt)

    def notes(self, prompt: str) -> tuple[str, ...]:
        """Tell what of a prompt is cut off, and how many of its letters are read as unknown."""
        read = self._encoded(prompt)
        cut = sum(before - after for _, before, after in read.cut)
        strange = sum(read.unknown.values())
        told = []
        if cut:
            told.append(f"{count(cut, 'token')} of a prompt cut off by MAX-LEN")
        if strange:
            told.append(f"{count(strange, 'letter')} read as unknown: they are outside the alphabet")
        return tuple(told)

    def read(self, prompts: Sequence[str], strict: bool = True) -> list[EncodedPrompt]:
        """Return prompts as numbers.

        Args:
            strict: refuse what no training prompt has; otherwise read special tokens as unknown, and leave out spans of
                another tokenizer and other places of embeddings.

        Raises:
            Unsupported: a prompt names a task or another special token, a tokenizer, or a place of embeddings, that no
                two training prompts have.
            ReadError: as `require`.
        """
        found, strange = [], 0
        for prompt in prompts:
            self.require(prompt)
            spans = parse_prompt(prompt)
            read = self._known(spans)
            strange += strict and read != spans
            found.append(self.vocabulary.encode(read, unknown="keep"))
        if strange:
            told = f" (the tasks are {', '.join(self.tasks)})" if self.tasks else ""
            raise Unsupported(
                f"{count(strange, 'prompt')} with a task, another special token, a tokenizer or a place of embeddings "
                f"that no two training prompts have{told}: leave them out, or fit with more of their kind"
            )
        return found

    def _known(self, spans: tuple[Span, ...]) -> tuple[Span, ...]:
        """Return spans with unknown special tokens as such, and without those that nothing here reads."""
        known = {*SHARED, *self.special}

        def named(found: re.Match[str]) -> str:
            return found.group() if found.group() in known else UNKNOWN

        kept = []
        for span in spans:
            if span.is_scalars or (span.is_slot and span.text in self.slots):
                kept.append(span)
            elif span.kind in self.pieces:
                kept.append(replace(span, text=SPECIAL.sub(named, span.text)))
        return tuple(kept)

    def tasks_of(self, prompts: Sequence[str]) -> list[int]:
        """Return the task of each prompt by its number from 1 in `tasks`; 0 where it names none of them."""
        places = {task: place for place, task in enumerate(self.tasks, start=1)}
        return [next((places.get(task, 0) for task in _task_of(parse_prompt(prompt))), 0) for prompt in prompts]

    @cached_property
    def placed(self) -> tuple[Slot, ...]:
        """What stands at each place of embeddings, in the order of `slots`."""
        return tuple(slot_of(Span(EMBEDDINGS, text)) for text in self.slots)

    def _encoded(self, prompt: str) -> EncodedPrompt:
        spans = parse_prompt(prompt)
        if any(span.kind == FROM_DICT for span in spans):
            raise ReadError("the prompt asks for numbers by a key", "write the numbers: SCALARS_LITERALS>0.3,1.2")
        if any(span.cut == RANDOM for span in spans):
            raise ReadError("a span is cut at a place that is drawn", "write TRUNC-MODE=RIGHT, which keeps the first")
        words = _pieces_of(spans)
        own = [FIXED[name](name) if name in FIXED else Tokenizer(name, FOUND[name], tuple(sorted(words[name])))
               for name in sorted(words)]  # fmt: skip
        special = (*SHARED, *sorted(_special_of(spans) - set(SHARED)))
        read = PromptVocabulary(tuple(own), special).encode(spans, unknown="keep" if self.unknown else "refuse")
        if not len(read.ids):
            raise ReadError("the prompt has no token", "leave the cell empty if the patient has none")
        if len(read.ids) > self.longest:
            raise ReadError(
                f"the prompt has {len(read.ids):,} tokens, more than the {self.longest:,} that are read",
                "give its spans a MAX-LEN, or the encoder a larger number: prompts:longest=2048",
            )
        return read


def _shared(times: Counter[str]) -> tuple[str, ...]:
    """Return what is counted twice or more, sorted."""
    return tuple(sorted(own for own, n in times.items() if n >= LEAST))


def tasks_in(prompts: Sequence[str]) -> Counter[str]:
    """Count the prompts of each task; of none under the empty text."""
    return Counter(next(iter(_task_of(parse_prompt(prompt))), "") for prompt in prompts)


def slots_in(prompts: Sequence[str]) -> list[Slot]:
    """Return the places of embeddings of prompts, each once."""
    found = {span.text: slot_of(span) for prompt in prompts for span in parse_prompt(prompt) if span.is_slot}
    return [found[text] for text in sorted(found)]


def _special_of(spans: Sequence[Span]) -> set[str]:
    """Return the special tokens of a prompt that MAMMAL's own are not."""
    return {own for span in spans if not (span.is_scalars or span.is_slot) for own in SPECIAL.findall(span.text)} - set(
        SHARED
    )


def _task_of(spans: Sequence[Span]) -> tuple[str, ...]:
    """Return the first special token that may name a task, or nothing."""
    for span in spans:
        if not (span.is_scalars or span.is_slot):
            for own in SPECIAL.findall(span.text):
                if own not in SHARED and not own.startswith(NO_TASK):
                    return (own,)
    return ()


def _pieces_of(spans: Sequence[Span]) -> dict[str, set[str]]:
    """Return the pieces of each tokenizer of a prompt, those alone that look like one."""
    words: dict[str, set[str]] = {}
    for span in spans:
        if span.is_scalars:
            continue
        if span.is_slot:
            slot_of(span)
            continue
        if span.kind not in FIXED and span.kind not in FOUND:
            told = ", ".join((*FIXED, *FOUND))
            raise ReadError("the prompt names a tokenizer that there is not", f"there are {told}")
        own = words.setdefault(span.kind, set())
        if span.kind in FOUND:
            for part in SPECIAL.split(span.text):
                own.update(FOUND[span.kind].findall(part))
    return words
