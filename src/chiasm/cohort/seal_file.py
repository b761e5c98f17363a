"""Where the seal of a manifest lies, and whether it is the one that the manifest means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chiasm.cohort.places import inside
from chiasm.cohort.schema import SealKeys, TargetKeys
from chiasm.cohort.seal import RESTORE, Seal, read_seal
from chiasm.errors import CohortError, Problem, error
from chiasm.targets import kind_of


def place_of_seal(manifest: Path, keys: SealKeys | None) -> Path:
    """Return where the seal of a manifest lies or will: the file that `[seal]` names, or `<manifest>.seal.json`.

    Raises:
        CohortError: the file that is named lies outside the folder, or there is a second seal beside it.
    """
    usual = manifest.parent.resolve() / f"{manifest.stem}.seal.json"
    if keys is None or keys.file is None:
        return usual
    named = inside(manifest.parent.resolve(), keys.file)
    if named != usual and usual.exists():
        what = "the manifest names another seal than the one beside it"
        raise CohortError([error(what, "name that one in [seal]", path=usual.name, finding="broken-seal")])
    return named


def found_seal(manifest: Path, keys: SealKeys | None) -> Seal | None:
    """Read the seal of a manifest; None where it neither has nor asks for one.

    Raises:
        CohortError: it is asked for and missing, damaged, or drawn otherwise than asked.
    """
    file = place_of_seal(manifest, keys)
    if not file.exists() and not file.is_symlink():
        if keys is None:
            return None
        what, fix = "the manifest asks for a sealed test set, and none is drawn", "run chiasm seal with the manifest"
        if keys.file is not None:
            fix += ", or restore the file if it was drawn before"
        raise CohortError([error(what, fix, path=file.name, finding="no-seal")])
    seal = read_seal(file)
    asked = {} if keys is None else keys.model_dump(include={"test", "seed", "by"}, exclude_none=True)
    for name, drawn in seal.drawn.model_dump().items():
        if name in asked and asked[name] != drawn:
            what = f"the seal was drawn with {name} = {drawn!r}, and [seal] says {asked[name]!r}"
            raise CohortError([error(what, "correct the manifest", path=file.name, finding="other-seal")])
    return seal


def unlike(seal: Seal, found: int, keys: TargetKeys | None, path: str, columns: Sequence[str]) -> list[Problem]:
    """List what keeps a seal from being that of these patients: one of them is gone, or the target is another.

    `columns` are those of the patients' table.
    """
    problems = []
    if found != seal.counts.patients:
        what = f"{seal.counts.patients - found:,} of the {seal.counts.patients:,} sealed patients are not in the table"
        fix = "bring them back under the identifiers that they had when they were sealed"
        problems.append(error(what, fix, path=path, finding="broken-seal"))
    target = (
        None if keys is None or keys.kind is None else kind_of(keys.kind).from_keys(keys.model_dump()).among(columns)
    )
    if target is None or (target.kind, target.columns) != (seal.kind, seal.columns):
        what = f"the test set was sealed for another target ({seal.kind} of {', '.join(seal.columns)})"
        problems.append(error(what, f"name that target, or {RESTORE}", path=path, finding="other-seal"))
    return problems
