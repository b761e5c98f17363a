"""Draw the sealed test set of a cohort, and compare sealed patients with what they were when they were sealed."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.accepted import UNMADE
from chiasm.cohort.checks import check_values
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.digests import digest_of
from chiasm.cohort.kinds import CELL, has_form
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.places import manifest_file
from chiasm.cohort.schema import SealKeys, read_keys, read_toml
from chiasm.cohort.seal import Content, Counts, Draw, Seal, identity_of, now, read_seal, salted, write_seal
from chiasm.cohort.seal_file import found_seal, place_of_seal
from chiasm.cohort.splits import holdout
from chiasm.cohort.units import units_of
from chiasm.errors import CohortError, Problem, count, error
from chiasm.targets.outcome import words_of
from chiasm.targets.target import USUAL_FOLDS

FEWEST = 5  # sealed events, or members of each class: below it no metric is estimable
USUAL_SHARE = 0.2


@dataclass(frozen=True)
class Opened:
    """A seal with the patients outside it, and everyone, whose rows are read together."""

    manifest: Path
    file: Path
    seal: Seal
    outside: Cohort
    everyone: Cohort

    @property
    def sealed(self) -> Cohort:
        """The sealed patients."""
        return self.everyone.subset(self.seal.holds(self.everyone.ids))


def seal_cohort(
    path: str | os.PathLike[str],
    test: float | None = None,
    *,
    seed: int | None = None,
    by: str | None = None,
    check: Callable[[Cohort], Sequence[Problem]] = check_values,
) -> Path:
    """Draw a stratified test set of a manifest's patients and seal it: return `<manifest>.seal.json`, mode 600.

    From then on the manifest opens without them, until `chiasm.open_seal`. Groups and patients identical in every
    modality stay on one side.

    Args:
        path: the manifest, or the folder that holds it as `cohort.toml`.
        test: share of the patients with a known outcome; None: what `[seal]` says, else a fifth.
        seed: seed of the draw; None: what `[seal]` says, else 0.
        by: "site" keeps each site on one side; None: what `[seal]` says.
        check: lists what is wrong with everyone, before anybody is drawn. Errors stop the sealing, each with its place;
            of warnings nothing is said, since some tell how values and outcomes go together.

    Raises:
        CohortError: the cohort has errors, is sealed already, or would have too few patients on one side.
        ValueError: the share does not lie between 0 and 1, or `[seal]` says something else than the arguments.
    """
    manifest = manifest_file(path)
    keys = _keys(manifest)
    file = place_of_seal(manifest, keys)
    if file.exists() or file.is_symlink():
        read_seal(file)  # a damaged one says so
        what = "the cohort is sealed already, and a test set is drawn once"
        raise CohortError([error(what, "open it by chiasm open-seal", path=file.name, finding="sealed-already")])
    drawn = _draw(keys, test, seed, by)
    everyone = _sound(*read_manifest(manifest, "everyone"))
    _sound(everyone, [found for found in check(everyone) if found.finding != UNMADE])
    held = held_apart(everyone, drawn)
    target, outcome = everyone.target, everyone.outcome
    assert target is not None and outcome is not None  # `held_apart` refuses a cohort without
    salt = secrets.token_hex(16)
    bare = Seal(
        version=1, created=now(), drawn=drawn, kind=target.kind, columns=target.columns,
        counts=Counts(
            patients=int(held.sum()),
            known=int(outcome.known[held].sum()),
            rarest=target.rarest(outcome.take(held), len(target.names)),
            outside=int((~held).sum()),
        ),
        salt=salt, patients=tuple(sorted(salted(salt, name) for name in everyone.ids[held].tolist())),
        outcomes="", modalities={}, identity="",
    )  # fmt: skip
    outcomes, belonging, modalities = content_of(manifest, bare)
    bare = bare.model_copy(update={"outcomes": outcomes, "belonging": belonging, "modalities": modalities})
    seal = bare.model_copy(update={"identity": identity_of(bare.model_dump(mode="json"))})
    write_seal(file, seal)
    return file


def held_apart(cohort: Cohort, drawn: Draw) -> NDArray[np.bool_]:
    """Draw the (B,) mask of the patients to seal, whole groups with their members of unknown outcome.

    Raises:
        CohortError: no outcome, or too few patients on one side.
    """
    if cohort.target is None or cohort.outcome is None or not cohort.outcome.known.any():
        raise _refused("there is no known outcome to seal a test set of", "name the target in [target]")
    held = holdout(cohort, drawn.test, seed=drawn.seed, by=drawn.by, group_duplicates=True)
    units = units_of(cohort, drawn.by, True)
    assert units is not None  # identical patients are units
    held = np.isin(units, units[held])
    target = cohort.target
    if not held.any() or held.all():
        what = "no part of the patients can be sealed, since all of them are held together by group, site or content"
        raise _refused(what, "look whether `group` and `site` are the columns that were meant")
    for rows, least, where in ((held, FEWEST, "sealed"), (~held, USUAL_FOLDS, "outside the seal")):
        own = cohort.outcome.take(rows)
        number = target.rarest(own, len(target.names)) if own.known.any() else 0
        if number < least:
            counted = f"{count(int(rows.sum()), 'patient')} would be {where}, {target.rare.format(n=number)}"
            raise _refused(f"{counted}, and {least} are needed", "seal another share, or gather more patients")
    return held


def content_of(manifest: Path, seal: Seal) -> tuple[str, str, dict[str, Content]]:
    """Compute the digests of the sealed patients' outcomes, of their groups and sites, and of their values.

    Their rows are read without those of the others, so that nothing outside the seal decides how.
    """
    cohort = _sound(*read_manifest(manifest, "sealed", seal))
    target, outcome = cohort.target, cohort.outcome
    assert target is not None and outcome is not None  # a seal is of a target
    names = [salted(seal.salt, name) for name in cohort.ids.tolist()]
    written = read_toml(manifest)[0] or {}
    cause = [] if outcome.cause is None else [outcome.cause.tolist()]
    more = [*cause, *words_of(outcome)]
    outcomes = _sum(seal.salt, [names, list(target.names), outcome.value.tolist(), _listed(outcome.event), *more])
    labels = [None if own is None else own.tolist() for own in (cohort.group, cohort.site)]
    belonging = _sum(seal.salt, [names, *labels])
    modalities = {}
    for m, name in enumerate(cohort.modalities):
        source = cohort.sources[name]
        values = as_written(cohort, name) if has_form(cohort.kinds[name], CELL) else cohort.digests[:, m]
        modalities[name] = Content(
            definition=_sum("", [cohort.kinds[name], source.columns, source.path, keys_of_reading(written, name)]),
            values=_sum(seal.salt, [names, [bytes(own).hex() for own in values]]),
        )
    return outcomes, belonging, modalities


def keys_of_reading(manifest: Mapping[str, Any], modality: str) -> str:
    """What a manifest says of how a modality is read, as text: other keys give other values of the same files."""
    own = manifest.get("modalities", {}).get(modality, {})
    told = {key: value for key, value in own.items() if key != "encoder"}
    return json.dumps([manifest.get("patients", {}), told], sort_keys=True, default=str)


def as_written(cohort: Cohort, modality: str) -> list[bytes]:
    """Digest of each patient's cell as it is written, empty where absent; not of what a package makes of a molecule."""
    found = [b""] * len(cohort)
    for row, cell in zip(cohort.rows_of(modality).tolist(), cohort.raw(modality), strict=True):
        found[row] = digest_of(str(cell))
    return found


def compared(manifest: Path, seal: Seal) -> tuple[list[str], list[str]]:
    """Compare the sealed patients with the seal: what has changed, and the modalities defined otherwise since."""
    outcomes, belonging, modalities = content_of(manifest, seal)
    changed = [] if outcomes == seal.outcomes else ["an outcome of a sealed patient has changed"]
    if seal.belonging and belonging != seal.belonging:
        changed.append("the group or the site of a sealed patient has changed")
    other = []
    for name, own in modalities.items():
        before = seal.modalities.get(name)
        if before is None or before.definition != own.definition:
            other.append(name)
        elif before.values != own.values:
            changed.append(f"a value of a sealed patient in modality '{name}' has changed")
    return changed, [*other, *sorted(set(seal.modalities) - set(modalities))]


def open_sealed(path: str | os.PathLike[str]) -> Opened:
    """Read a sealed cohort, both sides; nothing is noted in the seal.

    Raises:
        CohortError: the manifest has no seal or one that does not fit, or the cohort has errors.
    """
    manifest = manifest_file(path)
    outside = _sound(*read_manifest(manifest))
    if outside.sealed is None:
        raise _refused(
            "the cohort is not sealed",
            "seal it by chiasm seal before the first look; for a run that was made under a seal put that very file "
            "back, since a new seal does not open it",
            manifest.name,
        )
    file = place_of_seal(manifest, _keys(manifest))
    return Opened(manifest, file, read_seal(file), outside, _sound(*read_manifest(manifest, "everyone")))


def seal_of(path: str | os.PathLike[str]) -> Seal | None:
    """Read the seal of a manifest, of which no table is opened; None where it has none.

    Raises:
        CohortError: the manifest cannot be understood, or the seal is missing or damaged.
    """
    manifest = manifest_file(path)
    return found_seal(manifest, _keys(manifest))


def _keys(manifest: Path) -> SealKeys | None:
    content, problems = read_toml(manifest)
    keys = None
    if content is not None:
        keys, problems = read_keys(content, manifest.name)
    if keys is None or problems:
        raise CohortError(problems)
    return keys.seal


def _draw(keys: SealKeys | None, test: float | None, seed: int | None, by: str | None) -> Draw:
    chosen = {}
    asked = {} if keys is None else keys.model_dump()
    for name, given, usual in (("test", test, USUAL_SHARE), ("seed", seed, 0), ("by", by, None)):
        said = asked.get(name)
        if given is not None and said is not None and given != said:
            raise ValueError(f"[seal] of the manifest says {name} = {said!r}, and {given!r} was asked: say one of them")
        chosen[name] = given if given is not None else usual if said is None else said
    share = float(chosen["test"])  # type: ignore[arg-type]
    if not 0 < share < 1:
        raise ValueError(f"the share that is sealed lies between 0 and 1, not at {share:g}")
    if int(chosen["seed"] or 0) < 0:
        raise ValueError(f"the seed is {chosen['seed']}, and must be 0 or more")
    return Draw(test=share, seed=int(chosen["seed"] or 0), by=None if chosen["by"] is None else str(chosen["by"]))


def _sound(cohort: Cohort | None, problems: Sequence[Problem]) -> Cohort:
    problems = [*problems, *(() if cohort is None else cohort.findings)]
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or cohort is None:
        raise CohortError(errors)
    return cohort


def _refused(what: str, fix: str, path: str | None = None) -> CohortError:
    return CohortError([error(what, fix, path=path, finding="seal")])


def _listed(values: NDArray[np.bool_] | None) -> list[bool] | None:
    return None if values is None else values.tolist()


def _sum(salt: str, parts: object) -> str:
    return hashlib.sha256((salt + json.dumps(parts, sort_keys=True)).encode("utf-8", "surrogatepass")).hexdigest()
