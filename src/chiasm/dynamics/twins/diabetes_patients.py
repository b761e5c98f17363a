"""The thirty virtual patients with type 1 diabetes of the package simglucose: ten adolescents, adults and children."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from chiasm.errors import Unsupported, nearest

PACKAGE = "simglucose"
VERSION = "0.2.11"
FILE = "simglucose/params/vpatient_params.csv"
STATES = 13


@cache
def diabetes_patients() -> dict[str, dict[str, float]]:
    """Return the parameters of each patient by name; `x0_ 1` to `x0_13` are the steady state without meals.

    Only the table of the package is read: its code, which asks for gym and an old setuptools, is not imported.

    Raises:
        Unsupported: simglucose is not installed.
    """
    try:
        file = distribution(PACKAGE).locate_file(FILE)
    except PackageNotFoundError:
        raise Unsupported(
            f"the twin 'glucose' reads the patients of {PACKAGE}: pip install --no-deps {PACKAGE}=={VERSION}"
        ) from None
    with Path(str(file)).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["Name"]: {key: float(value) for key, value in row.items() if key != "Name"} for row in rows}


def require_patients(names: Sequence[str]) -> list[str]:
    """Return the names of these patients; `adult` stands for all ten adults.

    Raises:
        ValueError: there is no such patient, or one is named twice.
        Unsupported: simglucose is not installed.
    """
    known = diabetes_patients()
    groups = {name.partition("#")[0] for name in known}
    found: list[str] = []
    for name in names:
        own = [patient for patient in known if patient.partition("#")[0] == name] if name in groups else [name]
        if own[0] not in known:
            near = nearest(name, [*known, *groups])
            raise ValueError(
                f"there is no patient of that name among the {len(known)} of {PACKAGE}: they are adult#001 to "
                f"adult#010, and adolescents and children alike{f', did you mean {near}?' if near else ''}"
            )
        found += own
    if len(set(found)) < len(found):
        raise ValueError("a patient is named twice: name each once")
    if not found:
        raise ValueError("no patient is named: name one or more, such as adult#001")
    return found
