"""The seal of a cohort: which patients are held apart, what they were when they were sealed, and each opening since.

It is one JSON file beside the manifest, readable by its owner alone. It holds no identifier: of each sealed patient a
salted SHA-256 is kept, which tells whether somebody is one of them. Identifiers that can be guessed can be tried
against it, so that the file stays with the data. Its own hashes find damage and careless changes. They are no
signature: whoever can write the file can write them too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from chiasm.artifact import write_text
from chiasm.artifact.whole import alone_in
from chiasm.errors import CohortError, count, error
from chiasm.limits import SEAL_BYTES, LimitError, require_regular
from chiasm.shown import times
from chiasm.targets import kind_of

RESTORE = "restore it from a copy: a test set that was seen cannot be sealed again"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Draw(_Strict):
    """How the patients were drawn."""

    test: float
    seed: int
    by: str | None


class Counts(_Strict):
    """Sealed patients, those of known outcome, the smallest group that a score rests on, and the patients outside."""

    patients: int
    known: int
    rarest: int
    outside: int


class Content(_Strict):
    """Digest of how a modality was defined, and of the sealed patients' values in it."""

    definition: str
    values: str


class Opening(_Strict):
    """One opening: the hash of the run that it was for, the recipes scored, and a digest over all openings so far."""

    number: int
    date: str
    run: str
    recipes: tuple[str, ...]
    digest: str


class Seal(_Strict):
    """Content of the file; `patients` are the sorted salted hashes of identifiers, `outcomes` a digest of outcomes.

    `belonging` is a digest of groups and sites; it is empty in a seal of before there was one, which stays valid.
    """

    version: Literal[1]
    created: str
    drawn: Draw
    kind: str
    columns: tuple[str, ...]
    counts: Counts
    salt: str
    patients: tuple[str, ...]
    outcomes: str
    modalities: dict[str, Content]
    belonging: str = ""
    identity: str
    openings: tuple[Opening, ...] = ()

    def holds(self, ids: NDArray[np.str_]) -> NDArray[np.bool_]:
        """(B,) True for the identifiers that are sealed."""
        sealed = set(self.patients)
        return np.array([salted(self.salt, name) in sealed for name in ids.tolist()], dtype=bool)

    @property
    def summary(self) -> Sealed:
        """What a cohort keeps of its seal."""
        dates = tuple(own.date for own in self.openings)
        return Sealed(self.counts.patients, self.rare, self.identity, dates)

    @property
    def rare(self) -> str:
        """The smallest group of sealed patients that a score rests on, in words."""
        return kind_of(self.kind).rare.format(n=self.counts.rarest)


@dataclass(frozen=True)
class Sealed:
    """What a cohort keeps of its seal: how many patients are held apart, which seal it is, and when it was opened.

    `rare` says how many sealed events there are, or sealed patients of the rarest class.
    """

    patients: int
    rare: str
    identity: str
    openings: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.openings:
            return f"{told(self.patients)} sealed"
        return f"{told(self.patients)} sealed, opened {times(len(self.openings))}"


def told(patients: int) -> str:
    """Format a number of patients with its verb."""
    return f"{count(patients, 'patient')} {'is' if patients == 1 else 'are'}"


def salted(salt: str, name: str) -> str:
    """SHA-256 of a salt and an identifier."""
    return hashlib.sha256(f"{salt}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()


def identity_of(document: dict[str, Any]) -> str:
    """SHA-256 of everything in a seal but its own identity and its openings."""
    out = ("identity", "openings") if document.get("belonging") else ("identity", "openings", "belonging")
    fixed = {key: value for key, value in document.items() if key not in out}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def now() -> str:
    """Date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_seal(file: Path, seal: Seal) -> None:
    """Write a seal, whole or not at all, mode 600.

    Raises:
        CohortError: there is one already.
    """
    with alone_in(file.parent):
        if file.exists():
            what = "the cohort is sealed already, and a test set is drawn once"
            raise CohortError([error(what, "open it by chiasm open-seal", path=file.name, finding="sealed-already")])
        _write(file, seal)


def read_seal(file: Path) -> Seal:
    """Read a seal and hold it to its own hashes.

    Raises:
        CohortError: it is missing, damaged, or was changed.
    """

    def refused(what: str) -> CohortError:
        return CohortError([error(what, RESTORE, path=file.name, finding="broken-seal")])

    try:
        require_regular(file, SEAL_BYTES)
        seal = Seal.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise refused("the seal of the cohort is missing") from None
    except LimitError as fault:
        raise refused(f"the seal of the cohort {fault.what}") from None
    except PermissionError:
        raise refused("the seal of the cohort may not be read by you") from None
    except (ValidationError, RecursionError):
        raise refused("is not a seal that chiasm wrote, or is damaged") from None
    document = seal.model_dump(mode="json")
    fits = len(set(seal.patients)) == len(seal.patients) == seal.counts.patients
    if not fits or seal.identity != identity_of(document):
        raise refused("the seal does not have the hash that it names: it was changed or damaged")
    before = seal.identity
    for number, opening in enumerate(seal.openings, start=1):
        if opening.number != number or opening.digest != _linked(before, opening):
            raise refused("the list of openings of the seal was changed or damaged")
        before = opening.digest
    return seal


def add_opening(file: Path, identity: str, run: str, recipes: Sequence[str]) -> Seal:
    """Note an opening in a seal before anything is scored, so that one that is stopped counts too.

    Two processes at once get different numbers where the system can lock files.

    Returns:
        The seal as it is then; the last of its openings is this one.

    Raises:
        CohortError: the seal is missing, damaged or another one.
    """
    with alone_in(file.parent):
        seal = read_seal(file)
        if seal.identity != identity:
            what = "the seal is another one than a moment ago"
            raise CohortError([error(what, RESTORE, path=file.name, finding="broken-seal")])
        bare = Opening(number=len(seal.openings) + 1, date=now(), run=run, recipes=tuple(recipes), digest="")
        before = seal.openings[-1].digest if seal.openings else seal.identity
        opening = bare.model_copy(update={"digest": _linked(before, bare)})
        noted = seal.model_copy(update={"openings": (*seal.openings, opening)})
        _write(file, noted)
    return noted


def _linked(before: str, opening: Opening) -> str:
    fields = opening.model_dump(mode="json", exclude={"digest"})
    return hashlib.sha256((before + json.dumps(fields, sort_keys=True)).encode()).hexdigest()


def _write(file: Path, seal: Seal) -> None:
    empty = set() if seal.belonging else {"belonging"}  # a seal of before there was one stays as it was
    write_text(file, json.dumps(seal.model_dump(mode="json", exclude=empty), indent=1))
