"""Schema of the manifest, and the problems reported for wrong keys and values."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from chiasm.cohort.accepted import unfit
from chiasm.cohort.costs import unfit_price
from chiasm.cohort.dialect import Form, unfit_form
from chiasm.cohort.kinds import CELL, FILES, TABLE, has_form, kind_named, known_kinds
from chiasm.errors import Problem, error, nearest
from chiasm.limits import MANIFEST_BYTES, MANIFEST_DEPTH, MODALITIES, LimitError, require_regular
from chiasm.targets import KINDS as TARGETS

KEY_PART = r"(?:\"[^\"]*\"|'[^']*'|[\w-]++)"
LONG_KEY = re.compile(rf"(?<![\w-])(?:{KEY_PART}\s*+\.\s*+){{{MANIFEST_DEPTH}}}")
MODALITY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]*")


DELAYED = ("start", "stop", "entry", "tstart", "tstop")
NO_INTERVALS = (
    "follow-up in intervals of a start and a stop is not read: keep a row a patient, with the time from its own start, "
    "and name 'group' where several rows are of one person"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FormKeys(_Strict):
    """How a table is written, where it cannot be told."""

    missing: list[str] | None = None
    decimal: str | None = None
    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    labels: bool | None = None
    field: str | None = None
    names: str | None = None

    @property
    def form(self) -> Form | None:
        """What is said of the table; None if nothing is."""
        missing = None if self.missing is None else tuple(self.missing)
        found = Form(missing, **{key: getattr(self, key) for key in FormKeys.model_fields if key != "missing"})
        return None if found == Form() else found


class PatientsKeys(FormKeys):
    table: str
    id: str
    site: str | None = None
    group: str | None = None
    subgroups: list[str] = []
    edges: dict[str, list[float]] = {}


if TYPE_CHECKING:

    class TargetKeys(_Strict):
        kind: str
else:  # the keys of every kind of target
    TargetKeys = create_model(
        "TargetKeys",
        __base__=_Strict,
        kind=(str, ...),
        **{key: typed for own in TARGETS.values() for key, typed in own.keys.items()},
    )


class ModalityKeys(FormKeys):
    kind: str
    table: str | None = None
    path: str | None = None
    column: str | None = None
    columns: list[str] | None = None
    on: str | None = None
    groups: str | None = None
    encoder: str | None = None
    categories: list[str] | None = None
    index: str | float | int | None = None
    cost: float | int | None = None


class FoldKeys(FormKeys):
    table: str


class KnowledgeKeys(FormKeys):
    """A table of triples and the patients' column that names an entity; tables of what is written of labels."""

    triples: str | None = None
    column: str | None = None
    head: str = "head"
    relation: str = "relation"
    tail: str = "tail"
    prompts: str | None = None
    lineages: str | None = None
    label: str = "label"
    sentence: str = "sentence"

    @property
    def named(self) -> str | None:
        """The first of its tables, to which what is said of the form belongs."""
        return self.triples or self.prompts or self.lineages


class SealKeys(_Strict):
    """Where the seal of the test set is, and how it is to be drawn."""

    file: str | None = None
    test: float | int | None = None
    seed: int | None = None
    by: str | None = None


class GeneratedKeys(_Strict):
    """What a generator drew of the cohort, and what it was fitted to."""

    generator: str
    seed: int
    fitted_on: str
    patients: bool = False
    modalities: dict[str, int] = {}
    accepted: str = ""
    epsilon: float = 0.0
    delta: float = 0.0


class ManifestKeys(_Strict):
    patients: PatientsKeys
    modalities: dict[str, ModalityKeys]
    name: str | None = None
    target: TargetKeys | None = None
    folds: FoldKeys | None = None
    knowledge: KnowledgeKeys | None = None
    seal: SealKeys | None = None
    accept: dict[str, str] = {}
    sources: list[str] = []
    generated: GeneratedKeys | None = None

    def forms(self) -> list[tuple[str, str | None, Form]]:
        """What is said of the form of tables: the section, the table that it names, and its form."""
        said: list[tuple[str, str | None, Form | None]] = [("[patients]", self.patients.table, self.patients.form)]
        said += [(f"[modalities.{name}]", own.table, own.form) for name, own in self.modalities.items()]
        if self.folds is not None:
            said.append(("[folds]", self.folds.table, self.folds.form))
        if self.knowledge is not None:
            said.append(("[knowledge]", self.knowledge.named, self.knowledge.form))
        return [(section, table, form) for section, table, form in said if form is not None]


SECTIONS: dict[str, type[_Strict]] = {
    "patients": PatientsKeys,
    "target": TargetKeys,
    "folds": FoldKeys,
    "knowledge": KnowledgeKeys,
    "seal": SealKeys,
    "generated": GeneratedKeys,
}


def read_toml(file: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Read the TOML content of a manifest, or else the problem that prevents it."""
    name = file.name
    try:
        require_regular(file, MANIFEST_BYTES)
        raw = file.read_bytes()
    except LimitError as fault:
        return None, [error(fault.what, "write a manifest", path=name, finding="broken-manifest")]
    except OSError:
        return None, [
            error(
                "there is no such file", "give the path of a manifest, cohort.toml", path=name, finding="missing-file"
            )
        ]
    if not raw.strip():
        return None, [error("the file is empty", "write the manifest again", path=name, finding="broken-manifest")]
    try:
        text = raw.decode("utf-8-sig")
        if "\0" in text:
            raise ValueError
    except ValueError:
        return None, [error("is not text", "a manifest is TOML in UTF-8", path=name, finding="broken-manifest")]
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") >= MANIFEST_DEPTH and LONG_KEY.search(line):
            what = f"a key has over {MANIFEST_DEPTH} parts"
            return None, [error(what, "shorten it", path=name, row=number, finding="broken-manifest")]
    try:
        return tomllib.loads(text), []
    except RecursionError:  # endless nesting
        return None, [error("is not TOML", "correct the line", path=name, finding="broken-manifest")]
    except tomllib.TOMLDecodeError as fault:
        # the position is only in the text of the message, the rest of which can quote the file
        position = str(fault).rpartition("(at line ")[2].partition(",")[0]
        row = int(position) if position.isdigit() else None
        return None, [error("is not TOML", "correct the line", path=name, row=row, finding="broken-manifest")]
    except ValueError:  # a number of thousands of digits
        return None, [error("is not TOML", "correct its numbers", path=name, finding="broken-manifest")]


def read_keys(content: dict[str, Any], path: str) -> tuple[ManifestKeys | None, list[Problem]]:
    """Validate a manifest: return it without its invalid parts, and a problem for each of these.

    The manifest is None if nothing is left to open: no patients, or no section of modalities.
    """
    problems: list[Problem] = []
    sections = content.get("modalities")
    if isinstance(sections, dict) and len(sections) > MODALITIES:
        what = f"there are {len(sections):,} modalities, over the limit of {MODALITIES:,}"
        fix = "columns of one kind are one modality: list them in 'columns'"
        return None, [error(what, fix, path=path, finding="manifest-value")]
    try:
        keys = ManifestKeys.model_validate(content)
    except ValidationError as fault:
        faults = [(found["type"], found["loc"]) for found in fault.errors(include_url=False, include_input=False)]
        problems = [_problem(kind, location, path) for kind, location in faults]
        for kind, location in faults:
            _drop(content, kind, location)
        try:
            keys = ManifestKeys.model_validate(content)
        except ValidationError:
            return None, problems
    if not keys.modalities and not problems:
        problems.append(
            error(
                "there are no modalities", "name at least one as [modalities.NAME]", path=path, finding="no-modalities"
            )
        )
    problems += [*_forms(keys, path), *_knowledge(keys.knowledge, path)]
    wrong = {name: found for name, of_name in keys.modalities.items() if (found := _modality(name, of_name, path))}
    of_target = _target(keys.target, path) if keys.target else []
    sound = {name: of_name for name, of_name in keys.modalities.items() if name not in wrong}
    problems += [*of_target, *unfit(keys.accept, path), *(problem for found in wrong.values() for problem in found)]
    return keys.model_copy(update={"modalities": sound, "target": None if of_target else keys.target}), problems


def _forms(keys: ManifestKeys, path: str) -> list[Problem]:
    """Report what is said wrongly of the form of a table, and what two sections say differently of one."""
    found = []
    of_tables: dict[tuple[str, str | None], Form] = {}
    for section, table, form in keys.forms():
        wrong = unfit_form(form)
        if table is None:
            wrong = ("belong to the section that names the table", "write them there")
        elif of_tables.setdefault((table, form.sheet), form) != form:
            wrong = ("say of one table what another section does not", "write them once")
        if wrong:
            what = f"the keys {', '.join(FormKeys.model_fields)} of {section} {wrong[0]}"
            found.append(error(what, wrong[1], path=path, finding="manifest-value"))
    return found


def _knowledge(keys: KnowledgeKeys | None, path: str) -> list[Problem]:
    """Report knowledge that names no table, or triples without the column that names an entity, or the reverse."""
    if keys is None:
        return []
    if keys.named is None:
        what, fix = "[knowledge] names no table", "add triples, prompts or lineages, or leave the section out"
        return [error(what, fix, path=path, finding="missing-key")]
    if (keys.triples is None) == (keys.column is None):
        return []
    lacking, other = ("column", "triples") if keys.column is None else ("triples", "column")
    what = f"key '{lacking}' is missing in [knowledge], beside '{other}'"
    return [error(what, "name both", path=path, finding="missing-key")]


def _known(location: tuple[int | str, ...]) -> list[str]:
    if len(location) == 1:
        return list(ManifestKeys.model_fields)
    section = ModalityKeys if location[0] == "modalities" else SECTIONS.get(str(location[0]), FoldKeys)
    return list(section.model_fields)


def _problem(kind: str, location: tuple[int | str, ...], path: str) -> Problem:
    key = str(location[-1])
    named = location[0] == "modalities" and len(location) > 1
    modality = str(location[1]) if named else None
    inside = location[2:] if named else location[1:]
    section = ".".join(map(str, location[: 2 if named else 1])) if inside else ""
    within = f" in [{section}]" if section else ""
    if kind == "extra_forbidden":
        like = nearest(key, _known(location))
        fix = f"did you mean '{like}'?" if like else f"known are {', '.join(sorted(_known(location)))}"
        if location[0] == "target" and key in DELAYED:
            fix = NO_INTERVALS
        return error(f"unknown key '{key}'{within}", fix, path=path, modality=modality, finding="unknown-key")
    if kind == "missing":
        what = f"key '{key}' is missing{within}" if section else f"section [{key}] is missing"
        of_patients = key == "id" and location[0] == "patients"
        fix = 'add it: the column of identifiers, or "index" for that of an H5AD or H5MU' if of_patients else "add it"
        return error(what, fix, path=path, modality=modality, finding="missing-key")
    wanted = {"string_type": "text", "list_type": "a list", "model_type": "a section", "dict_type": "a section"}
    place = str(inside[0]) if inside else key
    return error(
        f"key '{place}'{within} has a value of the wrong type",
        f"write {wanted.get(kind, 'a number')}",
        path=path,
        modality=modality,
        finding="wrong-type",
    )


def _drop(content: dict[str, Any], kind: str, location: tuple[int | str, ...]) -> None:
    """Remove the invalid part: an unknown key alone, or else the whole modality or section that contains it."""
    if kind != "extra_forbidden":
        location = location[: 2 if location[0] == "modalities" else 1]
    part: Any = content
    for step in location[:-1]:
        part = part.get(step) if isinstance(part, dict) else None
    if isinstance(part, dict):
        part.pop(location[-1], None)


def _modality(name: str, keys: ModalityKeys, path: str) -> list[Problem]:
    def problem(what: str, fix: str) -> Problem:
        return error(what, fix, path=path, modality=name, finding="manifest-value")

    found = []
    if not MODALITY_NAME.fullmatch(name):
        found.append(
            problem("the name of the modality has a sign that is not allowed", "use letters, digits, _ . and -")
        )
    if kind_named(keys.kind) is None:
        like = nearest(keys.kind, known_kinds())
        fix = f"did you mean '{like}'?" if like else f"known are {', '.join(known_kinds())}"
        found.append(problem(f"unknown kind '{keys.kind}'", fix))
        return found
    if keys.path is not None:
        if keys.table is not None or keys.column is not None or keys.columns is not None:
            found.append(problem("'path' stands beside 'table' or columns", "keep one of them"))
        if "{id}" not in keys.path:
            found.append(problem("'path' has no {id}", 'write where the identifier stands, as in "slides/{id}.h5"'))
        if has_form(keys.kind, TABLE):
            found.append(problem(f"kind '{keys.kind}' cannot be read from a path", "use 'table' or 'columns'"))
    elif has_form(keys.kind, FILES):
        fix = 'write where the files lie, as in path = "files/{id}.h5"'
        found.append(problem(f"kind '{keys.kind}' needs 'path'", fix))
    elif keys.table is None and keys.column is None and keys.columns is None:
        found.append(problem("nothing says where the values are", "add one of column, columns, table or path"))
    elif has_form(keys.kind, CELL) and keys.column is None:
        found.append(problem(f"kind '{keys.kind}' is one column", "name it by 'column'"))
    elif keys.kind == "events" and keys.column is not None:
        found.append(problem("events are several columns", "leave 'column' out"))
    if keys.index is not None and keys.kind != "events":
        found.append(problem("'index' is the moment of prediction in a record of events", "leave 'index' out"))
    if keys.encoder is not None and has_form(keys.kind, TABLE):
        found.append(problem(f"kind '{keys.kind}' has no choice of encoder", "leave 'encoder' out"))
    if keys.categories is not None and keys.kind != "table":
        found.append(problem("'categories' are columns of kind 'table'", "leave 'categories' out"))
    if keys.columns is not None and not keys.columns:
        found.append(problem("'columns' is empty", "name a column, or leave 'columns' out to take a whole table"))
    if keys.column is not None and keys.columns is not None:
        found.append(problem("'column' stands beside 'columns'", "keep one of them"))
    if keys.cost is not None and (wrong := unfit_price(keys.cost)):
        found.append(problem(*wrong))
    if keys.on is not None and keys.table is None:
        found.append(problem("'on' needs 'table'", "name the table that is joined"))
    return found


def _target(keys: TargetKeys, path: str) -> list[Problem]:
    if keys.kind not in TARGETS:
        like = nearest(keys.kind, TARGETS)
        fix = f"did you mean '{like}'?" if like else f"known are {', '.join(TARGETS)}"
        return [error(f"unknown kind '{keys.kind}' of target", fix, path=path, finding="unknown-kind")]
    return TARGETS[keys.kind].refused(keys.model_dump(), path)
