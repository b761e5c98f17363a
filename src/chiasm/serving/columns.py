"""The cells of one patient's table or omics block, checked: numbers are numbers, levels are known, units are those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.near_names import FORM, meant, near_names
from chiasm.encoders.table.table import written
from chiasm.errors import count
from chiasm.serving.faults import Fault
from chiasm.serving.reads import ReadsColumns
from chiasm.serving.settings import REFUSE, Policy

NUMBERS = {int, float, bool, type(None)}
SINGLE = np.finfo(np.float32)
LISTED = 10  # levels, or columns, that a message names
MANY = 0.5  # share of an omics block outside of training beyond which it is in another unit


@dataclass(frozen=True, repr=False)
class Cells:
    """The cells of one patient.

    Args:
        numbers: `(F,)` in the order of `ReadsColumns.numbers`, NaN where missing.
        words: of each column of words, None where missing.
        lacking: columns without a value.
        notes: what is unfamiliar.
    """

    numbers: NDArray[np.float64]
    words: dict[str, str | None]
    lacking: list[str]
    notes: tuple[str, ...] = ()


def cells_of(value: Any, own: ReadsColumns, place: str, policy: Policy, faults: list[Fault]) -> Cells | None:
    """Read `{column: value}`; None with faults where it cannot be read."""
    if not isinstance(value, dict):
        faults.append(Fault(place, "not-an-object", f"a {own.kind} is an object of columns"))
        return None
    if own.columns and value.keys() != own.columns and not _named(value, own, place, faults):
        return None
    before = len(faults)
    numbers = _numbers(value, own, place, faults)
    words = {name: _word(value[name], known, f"{place}.{name}", faults) for name, known in own.levels.items()}
    if len(faults) > before:
        return None
    strange = _strange_levels(words, own, place, policy, faults)
    outside = _outside(numbers, own, place, policy, faults)
    if len(faults) > before:
        return None
    lacking = [own.numbers[k] for k in np.flatnonzero(np.isnan(numbers)).tolist()]
    lacking += [name for name, word in words.items() if word is None]
    return Cells(numbers, words, lacking, (*strange, *outside))


def _named(value: dict[str, Any], own: ReadsColumns, place: str, faults: list[Fault]) -> bool:
    """Tell whether the columns are those of the model; else add what is lacking, with the near name that is there."""
    missing = sorted(own.columns - value.keys())
    spare = sorted(value.keys() - own.columns)
    near = near_names(missing, spare) if missing and spare else {}
    for name in missing[:LISTED]:
        is_it = f", is it '{near[name].name}'?" if name in near else ""
        what = f"the column is not there{is_it}: write null where the value is not known"
        if name in near and near[name].how == FORM:
            what = f"the column is not there, but {meant(near[name])}"
        faults.append(Fault(f"{place}.{name}", "missing-column", what))
    if len(missing) > LISTED:
        faults.append(Fault(place, "missing-column", f"{len(missing):,} of {len(own.columns):,} columns are not there"))
    if spare and not missing:
        like = near_names(spare, sorted(own.columns))
        named = (
            f"'{spare[0]}' is no column of the model, did you mean '{like[spare[0]].name}'?" if spare[0] in like else ""
        )
        what = named or f"{count(len(spare), 'column')} that the model does not read"
        faults.append(Fault(place, "unknown-column", f"{what.rstrip('?')}: leave out what is not in the schema"))
    return False


def _numbers(value: dict[str, Any], own: ReadsColumns, place: str, faults: list[Fault]) -> NDArray[np.float64]:
    cells = [value[name] for name in own.numbers]
    if not set(map(type, cells)) <= NUMBERS:
        wrong = [name for name, cell in zip(own.numbers, cells, strict=True) if type(cell) not in NUMBERS]
        faults += [Fault(f"{place}.{name}", "not-a-number", "write a number, or null") for name in wrong[:LISTED]]
        return np.zeros(0)
    try:
        found = np.array(cells, dtype=np.float64)
    except OverflowError:
        faults.append(Fault(place, "not-a-number", "a whole number is too large: check its unit"))
        return np.zeros(0)
    size = np.abs(found)
    beyond = np.isinf(found)
    if own.is_wide:  # which single precision holds
        beyond |= (size > SINGLE.max) | ((size > 0) & (size < SINGLE.tiny))
    for k in np.flatnonzero(beyond).tolist()[:LISTED]:
        what = "the number is too large or too small to be held: write it in another unit"
        faults.append(Fault(f"{place}.{own.numbers[k]}", "out-of-range", what))
    return found


def _word(value: Any, known: frozenset[str], place: str, faults: list[Fault]) -> str | None:
    """Return a word without the blanks around it, which a reader of files takes away too; None where there is none."""
    if value is None:
        return None
    if isinstance(value, str):
        return value if written(value) in known else value.strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.append(Fault(place, "not-a-word", "write one of the levels as text, or null"))
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else written(value)


def _strange_levels(
    words: dict[str, str | None], own: ReadsColumns, place: str, policy: Policy, faults: list[Fault]
) -> list[str]:
    strange = [name for name, word in words.items() if word is not None and written(word) not in own.levels[name]]
    for name in strange:
        known = sorted(own.levels[name])
        some = ", ".join(map(repr, known[:LISTED])) + (" ..." if len(known) > LISTED else "")
        if policy.unfamiliar == REFUSE:
            what = (
                f"a level that the model does not have: it has {some or 'none'}; write null where none of them is meant"
            )
            faults.append(Fault(f"{place}.{name}", "unknown-level", what))
    return [f"{own.name}.{name}: a level that the model does not keep, or has not seen" for name in strange]


def _outside(
    numbers: NDArray[np.float64], own: ReadsColumns, place: str, policy: Policy, faults: list[Fault]
) -> list[str]:
    with np.errstate(invalid="ignore"):
        places = np.flatnonzero((numbers < own.low) | (numbers > own.high)).tolist()
    if not places:
        return []
    names = [own.numbers[k] for k in places]
    if own.is_wide:
        there = int((~np.isnan(numbers)).sum())
        what = f"{len(names):,} of {count(there, 'column')} lie far outside of training"
        if policy.unfamiliar == REFUSE and len(names) > max(1, MANY * there):
            faults.append(Fault(place, "out-of-range", f"{what}: bring them to the unit and scale of the training"))
        return [f"{own.name}: {what}"]
    if policy.unfamiliar == REFUSE:
        for k in places:
            ends = f"{own.low[k]:g} to {own.high[k]:g}"
            what = f"far outside of what the model was trained on ({ends}): check the unit"
            faults.append(Fault(f"{place}.{own.numbers[k]}", "out-of-range", what))
    return [f"{own.name}.{name}: far outside of training" for name in names]
