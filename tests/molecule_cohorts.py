"""Small cohorts of molecules, notes and a table, for recipes that read a molecule as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from chiasm.cohort import Cohort
from chiasm.encoders import catalogue
from chiasm.encoders.frozen import identity_of
from chiasm.testing.cohorts import Parts, synthetic_parts
from chiasm.tokens import Tokens

CHAINS = ("C", "CC", "CCC", "CC(C)C", "CCCC", "CC(C)CC", "CCCCC", "CCC(C)C")
GROUPS = {"alcohol": "O", "amine": "N", "acid": "C(=O)O", "chloride": "Cl", "ring": "c1ccccc1", "nitrile": "C#N"}
CLASSES = {"alcohol": "polar", "amine": "polar", "acid": "polar", "chloride": "apolar", "ring": "apolar",
           "nitrile": "polar"}  # fmt: skip
WORDS = ("an", "the", "one", "small", *GROUPS)


@dataclass(frozen=True)
class Words:
    """A frozen encoder of texts: a token for each known word, one in its column."""

    id: ClassVar[str] = "words"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64
    width: ClassVar[int] = len(WORDS)
    slots: ClassVar[int] = 0

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Words:
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        told = [[WORDS.index(word) for word in text.split() if word in WORDS] for text in raw]
        values = torch.zeros(len(raw), max(map(len, told)), len(WORDS))
        mask = torch.arange(values.shape[1]) < torch.tensor([len(own) for own in told])[:, None]
        for row, own in enumerate(told):
            values[row, torch.arange(len(own)), own] = 1.0
        return Tokens(values, mask)


ENTRY = catalogue.Entry("words", ("text",), f"{__name__}:Words", str(len(WORDS)), "MIT", catalogue.NOTHING)


class Told(Parts):
    """Parts whose notes are encoded by their words."""

    def cohort(self) -> Cohort:
        """Build the cohort as `Parts` does, while the catalogue of encoders has `ENTRY`."""
        with patch.object(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, ENTRY)):
            return super().cohort()


def molecule_parts(kind: str, n: int, seed: int) -> Parts:
    """`m1`, a table, and `drug`, molecules as graphs; a third lacks either."""
    made = synthetic_parts(kind, n, seed)
    ids, rng = made.patients.index.sort_values(), np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=["a", "b"])
    molecules = _molecules(ids, rng)[1]
    pattern = np.arange(n) // 4 % 3
    values: dict[str, Any] = {"drug": molecules[pattern != 1], "m1": table[pattern != 0]}
    return Parts(made.patients, values, {"drug": "molecule", "m1": "table"}, made.target, encoders={"drug": "bonds"})


def told_parts(kind: str, n: int, seed: int) -> Told:
    """`drug`, molecules as graphs, `note`, texts that name their group (encoder `ENTRY`), and triples of the groups."""
    return _told(kind, n, seed, {"drug": np.arange(n) // 4 % 5 != 1, "note": np.arange(n) // 4 % 5 != 0})


def whole_parts(kind: str, n: int, seed: int) -> Told:
    """The same with a table `m1`; every pattern of the three equally often."""
    code = np.arange(n) // 4 % 7 + 1
    return _told(kind, n, seed, {name: (code >> bit & 1) == 1 for bit, name in enumerate(("drug", "m1", "note"))})


def _told(kind: str, n: int, seed: int, here: Mapping[str, np.ndarray]) -> Told:
    made, rng = synthetic_parts(kind, n, seed), np.random.default_rng(seed + 1)
    ids = made.patients.index.sort_values()
    groups, drugs = _molecules(ids, rng)
    every = {
        "drug": drugs, "note": pd.DataFrame({"note": [f"the {group}" for group in groups]}, index=groups.index),
        "m1": pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=["a", "b"]),
    }  # fmt: skip
    kinds = {"drug": "molecule", "note": "text", "m1": "table"}
    changed = {
        "patients": made.patients.assign(compound=groups.reindex(made.patients.index)),
        "values": {name: every[name][rows] for name, rows in here.items()},
        "kinds": {name: kinds[name] for name in here},
        "encoders": {"drug": "bonds", "note": "words"},
        "knowledge": (triples(), "compound"),
    }
    return Told(**{field.name: getattr(made, field.name) for field in fields(made)} | changed)


def triples() -> pd.DataFrame:
    """Each group is of a class, and each class is a property."""
    rows = [(group, "is a", own) for group, own in CLASSES.items()]
    rows += [(own, "is a", "property") for own in sorted(set(CLASSES.values()))]
    rows += [(one, "like", two) for one in CLASSES for two in CLASSES if one < two and CLASSES[one] == CLASSES[two]]
    return pd.DataFrame(rows, columns=["head", "relation", "tail"])


def _molecules(ids: pd.Index[Any], rng: np.random.Generator) -> tuple[pd.Series[Any], pd.DataFrame]:
    groups = rng.choice(list(GROUPS), len(ids))
    written = [str(rng.choice(CHAINS)) + GROUPS[group] for group in groups]
    return pd.Series(groups, ids), pd.DataFrame({"smiles": written}, index=ids)
