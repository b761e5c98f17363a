"""Small synthetic cohorts for checks: three kinds of modality, every pattern of missing ones, shuffled rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from chiasm.api import encode
from chiasm.cohort import (
    Cohort,
    Target,
    cohort_from_frames,
    synthetic_cohort,
)

PATTERNS = 7


@dataclass(frozen=True)
class Parts:
    """The components of a cohort, from which it can be rebuilt in another order.

    Args:
        patients: `(n, columns)`, the target's columns and `site`, indexed by patient.
        values: for each modality a frame, or a mapping from patient to bag; a patient without a row lacks the modality.
        kinds: kind of each modality.
        target: the prediction target.
        lenders: source cohorts, for a recipe that borrows.
        encoders: encoder of each modality that is encoded, with which the cohort is then encoded.
        knowledge: triples, and the column of the patients that names an entity.
        prompts, lineages: what is written of each label, and its ranks.
    """

    patients: pd.DataFrame
    values: dict[str, Any]
    kinds: dict[str, str]
    target: Target
    lenders: tuple[Cohort, ...] = ()
    encoders: Mapping[str, str] = field(default_factory=dict)
    knowledge: tuple[pd.DataFrame, str] | None = None
    prompts: Mapping[str, tuple[str, ...]] | None = None
    lineages: Mapping[str, Mapping[str, str]] | None = None

    def cohort(self) -> Cohort:
        """Build the cohort, with rows in the order of `patients`."""
        made = cohort_from_frames(
            self.patients, self.values, self.target, site="site", kinds=self.kinds, knowledge=self.knowledge,
            prompts=self.prompts, lineages=self.lineages, name="check",
        )  # fmt: skip
        made = encode(made, self.encoders, jobs=1).cohort if self.encoders else made
        return made.with_lenders(self.lenders) if self.lenders else made

    def only(self, names: tuple[str, ...]) -> Parts:
        """Keep only these modalities."""
        values, kinds = ({name: own[name] for name in names} for own in (self.values, self.kinds))
        return replace(self, values=values, kinds=kinds)

    def borrowing(self, other: Parts) -> Parts:
        """Name another cohort's patients, under identifiers of their own, as a source cohort."""
        lender = other.only(tuple(self.values)).cohort()
        return replace(self, lenders=(replace(lender, ids=np.array([f"source-{name}" for name in lender.ids])),))

    def shuffled(self, seed: int) -> Parts:
        """Shuffle rows, columns and modalities of the same patients, and add an unrelated column."""
        rng = np.random.default_rng(seed)
        patients = self.patients.iloc[rng.permutation(len(self.patients))].assign(
            unrelated=rng.normal(size=len(self.patients))
        )
        values: dict[str, Any] = {}
        for name in reversed(list(self.values)):
            own = self.values[name]
            if isinstance(own, pd.DataFrame):
                values[name] = own.iloc[rng.permutation(len(own)), rng.permutation(own.shape[1])]
            else:
                values[name] = {key: own[key] for key in rng.permutation(sorted(own))}
        return replace(self, patients=patients, values=values)


def synthetic_parts(kind: str, n: int, seed: int) -> Parts:
    """Create `m1`, a table with a category and gaps, `m2`, an omics block, and `m3`, ragged bags; two sites.

    Each of the seven patterns of present modalities occurs about n / 7 times, equally often at both sites.
    """
    source = synthetic_cohort("complementary", n, target=kind, seed=seed)
    rng = np.random.default_rng(seed + 1)
    m1, m2 = (pd.DataFrame(source.raw(name)).to_numpy(float) for name in ("m1", "m2"))
    ids = np.array([f"p{i:03d}" for i in range(n)])
    here = np.array(
        [[code >> bit & 1 for bit in range(3)] for code in np.arange(n) // 4 % PATTERNS + 1], bool
    )  # (n, 3)
    table = pd.DataFrame(m1[:, :6], index=ids, columns=[f"a{k}" for k in range(6)])
    table["grade"] = np.where(m1[:, 6] > 0.5, "high", np.where(m1[:, 6] < -0.5, "low", "middle"))
    table.loc[rng.random(n) < 0.1, "a1"] = np.nan
    omics = pd.DataFrame(m2, index=ids, columns=[f"g{k}" for k in range(m2.shape[1])])
    bags = {
        name: (m1[row, 8:12] + rng.normal(size=(1 + row % 5, 4))).astype(np.float32) for row, name in enumerate(ids)
    }
    order = rng.permutation(n)
    patients, target = _outcomes(source, ids)
    number = np.arange(n)
    patients.insert(0, "site", np.where((number // 4 + number) % 2 == 0, "north", "south"))
    values: dict[str, Any] = {
        "m1": table[here[:, 0]],
        "m2": omics[here[:, 1]],
        "m3": {name: bags[name] for name in ids[here[:, 2]]},
    }
    kinds = {"m1": "table", "m2": "omics", "m3": "bag"}
    return Parts(patients.iloc[order], values, kinds, target)


def _outcomes(source: Cohort, ids: np.ndarray) -> tuple[pd.DataFrame, Target]:
    if source.outcome is None or source.target is None:
        raise ValueError("a synthetic cohort has an outcome")
    return source.target.written(source.outcome, ids)


def restricted(cohort: Cohort, names: tuple[str, ...]) -> Cohort:
    """Select patients who have all of `names`, and mark their other modalities as absent; `()`: all, with none left."""
    columns = [cohort.modalities.index(name) for name in names]
    rows = np.flatnonzero(cohort.present[:, columns].all(1))
    own = cohort.subset(rows)
    return replace(
        own,
        source_rows={
            name: found if name in names else np.full(len(own), -1) for name, found in own.source_rows.items()
        },
    )
