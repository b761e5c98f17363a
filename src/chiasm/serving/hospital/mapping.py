"""The mapping file: which code of a hospital's record is which column of the model, and in which unit."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as Map
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chiasm.errors import nearest
from chiasm.limits import MANIFEST_BYTES, LimitError, require_regular
from chiasm.readers.record.fhir import SYSTEMS
from chiasm.serving.hospital.ucum import Units
from chiasm.serving.reads import Reads, ReadsColumns, ReadsItem

AGE, GENDER = "age", "gender"
DERIVED = (AGE, GENDER)
MOST_DAYS = 36_525  # a hundred years


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ColumnKeys(_Strict):
    """One column of a table or an omics block.

    Args:
        code: `SYSTEM//code` as `chiasm` writes it in records, with LOINC, SNOMED, ICD10, ... or the system's address.
        derived: "age", in years at the time of the question, or "gender", both of the Patient; instead of a code.
        unit: UCUM unit of the model's column, for numbers.
        factors: unit to what a number in it is multiplied by, for units that no fixed factor turns into `unit`.
        levels: coded answer, or gender, to a level of the model.
        present, absent: level of a column for whoever has, or lacks, a condition, procedure or medication of the code;
            without `absent`, who lacks the code is not known to lack the disease, and has no value.
        within_days: how old it may be; everything before the question without it.
    """

    modality: str
    column: str
    code: str = ""
    derived: str = ""
    unit: str = ""
    factors: dict[str, float] = {}
    levels: dict[str, str] = {}
    present: str = ""
    absent: str = ""
    within_days: float | None = None


class NoteKeys(_Strict):
    """A text modality: the newest document of a type."""

    modality: str
    code: str = ""
    within_days: float | None = None


class ImageKeys(_Strict):
    """A modality of files: the newest series of a DICOM modality, as CT or MR."""

    modality: str
    dicom: str


class FhirKeys(_Strict):
    """`/fhir`; answers are written to `server`, where there is one, with the token in the file `token`."""

    server: str = ""
    token: str = ""


class CdsKeys(_Strict):
    """`/cds-services`; `keys` is a JSON Web Key Set of clients, who sign for `audience`, this service's address."""

    keys: str = ""
    audience: str = ""


class DicomKeys(_Strict):
    """`/dicomweb`: studies and reports of `server`, with the token in the file `token`."""

    server: str
    token: str = ""
    instances: int = 2_000
    megabytes: int = 2_048


class Hl7Keys(_Strict):
    """A listener of MLLP, and the receiver of predictions, both host:port.

    Args:
        certificate, key: of the listener's TLS, PEM files.
        clients: certificates, in a PEM file, one of which has to have signed that of each sender.
        authority: certificates that the receiver's TLS is held against, in a PEM file.
        zone: of times that name none in a message that names none, as in "Europe/Berlin"; UTC without it.
    """

    listen: str
    send: str
    certificate: str = ""
    key: str = ""
    clients: str = ""
    authority: str = ""
    zone: str = ""


class HospitalKeys(_Strict):
    """The keys of the file; each standard is spoken where its table stands in it."""

    model: str = ""
    fhir: FhirKeys | None = None
    cds_hooks: CdsKeys | None = None
    dicomweb: DicomKeys | None = None
    hl7: Hl7Keys | None = None
    columns: list[ColumnKeys] = []
    notes: list[NoteKeys] = []
    records: list[str] = []
    images: list[ImageKeys] = []


class MappingError(ValueError):
    """A mapping file that does not fit itself or the model."""


@dataclass(frozen=True)
class CodeMap:
    """A mapping that fits the model.

    Args:
        columns: those of each modality, in the order of the file.
        lacking: columns of the model that nothing maps to; they have no value.
        units: converts numbers.
    """

    columns: Map[str, tuple[ColumnKeys, ...]]
    notes: tuple[NoteKeys, ...]
    records: tuple[str, ...]
    images: tuple[ImageKeys, ...]
    reads: Map[str, Reads]
    lacking: Map[str, tuple[str, ...]]
    units: Units

    @property
    def codes(self) -> list[str]:
        """Every code that is asked for, once."""
        found = [own.code for group in self.columns.values() for own in group if own.code]
        return sorted({*found, *(own.code for own in self.notes if own.code)})


def read_keys(path: Path) -> HospitalKeys:
    """Read the file.

    Raises:
        MappingError: it is no TOML, or has an unknown key or a value of another kind.
    """
    try:
        require_regular(path, MANIFEST_BYTES)
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, LimitError) as error:
        raise MappingError(f"'{path.name}' is no mapping file: {_short(error)}") from None
    try:
        return HospitalKeys.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise MappingError(f"'{path.name}': {place}: {str(first['msg']).lower()}") from None


def _short(error: Exception) -> str:
    return str(error).split("\n")[0]


def fitting(keys: HospitalKeys, reads: Map[str, Reads]) -> CodeMap:
    """Hold the file against what the model reads.

    Raises:
        MappingError: it names what the model does not read, says of a column neither code nor what it is derived
            from, or both, or a unit that is none of UCUM.
    """
    units = Units()
    columns: dict[str, list[ColumnKeys]] = {}
    for own in keys.columns:
        block = _known(own.modality, reads)
        if not isinstance(block, ReadsColumns):
            raise MappingError(f"'{own.modality}' is of kind {block.kind} and has no columns")
        _check_column(own, block, units)
        group = columns.setdefault(own.modality, [])
        if any(other.column == own.column for other in group):
            raise MappingError(f"'{own.modality}.{own.column}' is mapped twice")
        group.append(own)
    for note in keys.notes:
        if note.code:
            _check_code(note.code, f"a note of '{note.modality}'")
        _check_days(note.within_days, f"a note of '{note.modality}'")
        _of_form(note.modality, reads, "cell", "a text")
    for name in keys.records:
        _of_form(name, reads, "events", "records")
    for image in keys.images:
        _of_form(image.modality, reads, "files", "files")
    mapped = {name: {own.column for own in group} for name, group in columns.items()}
    lacking = {
        name: tuple(sorted(block.columns - mapped[name]))
        for name, block in reads.items()
        if isinstance(block, ReadsColumns) and name in mapped
    }
    if not (columns or keys.notes or keys.records or keys.images):
        raise MappingError("nothing is mapped: name [[columns]], [[notes]], records or [[images]]")
    return CodeMap(
        {name: tuple(group) for name, group in columns.items()},
        tuple(keys.notes), tuple(keys.records), tuple(keys.images), reads,
        {name: left for name, left in lacking.items() if left}, units,
    )  # fmt: skip


def _known(name: str, reads: Map[str, Reads]) -> Reads:
    if name not in reads:
        like = nearest(name, reads)
        hint = f", did you mean '{like}'?" if like else f": it reads {', '.join(sorted(reads))}"
        raise MappingError(f"the model reads no modality '{name}'{hint}")
    return reads[name]


def _of_form(name: str, reads: Map[str, Reads], form: str, word: str) -> None:
    own = _known(name, reads)
    if not isinstance(own, ReadsItem) or own.form != form:
        raise MappingError(f"'{name}' is of kind {own.kind} and is not {word}")


def _check_column(own: ColumnKeys, block: ReadsColumns, units: Units) -> None:
    place = f"'{own.modality}.{own.column}'"
    if own.column not in block.columns:
        like = nearest(own.column, block.columns)
        raise MappingError(f"the model has no column {place}" + (f", did you mean '{like}'?" if like else ""))
    if bool(own.code) == bool(own.derived):
        raise MappingError(f"{place} is found by a `code` or is `derived`, one of the two")
    if own.derived and own.derived not in DERIVED:
        raise MappingError(f"{place} is derived from '{own.derived}', and may be from {' or '.join(DERIVED)}")
    if own.code:
        _check_code(own.code, place)
    _check_days(own.within_days, place)
    words = own.column in block.levels
    if words and own.unit:
        raise MappingError(f"{place} is a column of words and has no unit")
    if not words and own.code and not (own.unit or own.present or own.levels):
        raise MappingError(f'{place} is a column of numbers: say its UCUM `unit` ("1" where it has none)')
    if own.absent and not own.present:
        raise MappingError(f"{place} says what is `absent` and not what is `present`")
    for level in (*own.levels.values(), *filter(None, (own.present, own.absent))):
        if words and level not in block.levels[own.column]:
            known = ", ".join(map(repr, sorted(block.levels[own.column])[:10]))
            raise MappingError(f"{place} has no level '{level}': the model has {known}")
        if not words and not _is_number(level):
            raise MappingError(f"{place} is a column of numbers, and '{level}' is none")
    for unit in filter(None, (own.unit, *own.factors)):
        if not units.is_known(unit):
            raise MappingError(f"'{unit}' of {place} is no unit of UCUM")


def _check_code(code: str, place: str) -> None:
    system, separator, rest = code.rpartition("//")
    if not separator or not system or not rest:
        raise MappingError(f"the code of {place} is SYSTEM//code, as in LOINC//1988-5")
    if system in SYSTEMS:
        raise MappingError(f"the code of {place} is written {SYSTEMS[system]}//{rest}")


def _check_days(days: float | None, place: str) -> None:
    if days is not None and not 0 < days <= MOST_DAYS:
        raise MappingError(f"`within_days` of {place} is above 0 and at most {MOST_DAYS:,}")


def _is_number(level: Any) -> bool:
    try:
        float(level)
    except ValueError:
        return False
    return True
