"""Patients side by side: the outcome's columns and those of each modality, as a generator reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Outcome, Target, Unsupported
from chiasm.cohort.cells import tidy
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.targets.outcome import causes_of

OUTCOME = "[target]"
"""Block of the outcome; no modality can be called so."""
LEAST_PATIENTS = 50
NAMES_SOMEONE = ("identifier", "text", "date")
"""Kinds of column that say who somebody is, and that nothing could be drawn from."""
PICTURES = ("image", "volume")
"""Kinds of modality whose files are drawn as pictures."""
THERE = "[there]"
"""The one column of a block of pictures, 1 of who has one, by which a generator of tables draws who has."""


@dataclass(frozen=True)
class Rows:
    """n patients without identifiers.

    Args:
        blocks: name of a modality, or `OUTCOME`, to its `(n, F)` columns: float64, or words with NaN where missing.
        present: name to `(n,)` bool, who has it; a row of a block that is absent is all missing.
        declared: name of a modality to its columns that are words although they look like numbers.
    """

    blocks: dict[str, pd.DataFrame]
    present: dict[str, NDArray[np.bool_]]
    declared: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Rows:
        """Select patients, by integers or a mask."""
        blocks = {
            name: own.iloc[rows if rows.dtype != bool else np.flatnonzero(rows)] for name, own in self.blocks.items()
        }
        blocks = {name: own.reset_index(drop=True) for name, own in blocks.items()}
        return Rows(blocks, {name: own[rows] for name, own in self.present.items()}, self.declared)

    def only(self, names: Sequence[str]) -> Rows:
        """The same patients with some blocks alone."""
        kept = [name for name in self.blocks if name in names]
        declared = {name: own for name, own in self.declared.items() if name in kept}
        return Rows({name: self.blocks[name] for name in kept}, {name: self.present[name] for name in kept}, declared)


def drawable(cohort: Cohort) -> tuple[str, ...]:
    """Modalities that are tables or omics blocks, sorted."""
    return tuple(name for name in cohort.modalities if has_form(cohort.kinds[name], TABLE))


def inputs_of(cohort: Cohort, names: Sequence[str]) -> Rows:
    """Read some tables and omics blocks of a cohort, without columns that name patients, or hold text or dates."""
    blocks, present, declared = {}, {}, {}
    for name in (own for own in names if own in cohort.modalities):
        kinds = cohort.column_kinds(name)
        raw = cohort.raw(name)
        own = raw[[column for column in raw.columns if kinds.get(column) not in NAMES_SOMEONE]]
        own = own.set_axis(cohort.rows_of(name), axis=0).reindex(np.arange(len(cohort)))
        blocks[name] = tidy(own, [str(c) for c, dtype in own.dtypes.items() if dtype.kind == "O"])
        present[name] = cohort.present[:, cohort.modalities.index(name)].copy()
        declared[name] = tuple(c for c in cohort.declared_words(name) if c in blocks[name].columns)
    return Rows(blocks, present, declared)


def pictured(cohort: Cohort) -> tuple[str, ...]:
    """Modalities that are images or volumes, sorted."""
    return tuple(name for name in cohort.modalities if cohort.kinds[name] in PICTURES)


def rows_of(cohort: Cohort, told: Mapping[str, pd.DataFrame] | None = None) -> Rows:
    """Read the tables and omics blocks of a cohort, who has which pictures, and its outcome where it has one.

    Args:
        told: modality of another kind to columns `(n, F)` that stand for it, missing for who lacks it.

    Raises:
        Unsupported: a modality is files of another kind, or the outcome is none of classes, labels, numbers and times;
            a column of a table names patients, or holds text or dates.
    """
    told = told or {}
    known = (*drawable(cohort), *pictured(cohort), *told)
    other = [name for name in cohort.modalities if name not in known]
    if other:
        what = f"modality '{other[0]}' is of kind '{cohort.kinds[other[0]]}'"
        kinds = "tables, omics blocks, images, volumes and event records of whole patients"
        raise Unsupported(f"{what}, and only {kinds} are generated: leave it out of the manifest")
    for name in drawable(cohort):
        naming = [column for column, kind in cohort.column_kinds(name).items() if kind in NAMES_SOMEONE]
        if naming:
            what = f"column '{naming[0]}' of modality '{name}' holds identifiers, text or dates"
            raise Unsupported(f"{what}, which are not generated: leave it out by `columns`")
    plain = inputs_of(cohort, drawable(cohort))
    found = {**plain.blocks, **told}
    blocks = {name: found[name] for name in cohort.modalities if name in found}
    present = {name: cohort.present[:, place].copy() for place, name in enumerate(cohort.modalities) if name in blocks}
    inputs = _with_pictures(cohort, Rows(blocks, present, plain.declared))
    if cohort.target is None or cohort.outcome is None:
        return inputs
    outcome = {OUTCOME: outcome_columns(cohort.target, cohort.outcome)}
    return Rows(outcome | inputs.blocks, {OUTCOME: np.ones(len(cohort), bool), **inputs.present}, inputs.declared)


def _with_pictures(cohort: Cohort, rows: Rows) -> Rows:
    present = {name: cohort.present[:, cohort.modalities.index(name)].copy() for name in pictured(cohort)}
    blocks = {name: pd.DataFrame({THERE: np.where(own, 1.0, np.nan)}) for name, own in present.items()}
    return Rows(rows.blocks | blocks, rows.present | present, rows.declared)


def without_pictures(rows: Rows) -> Rows:
    """The same patients without blocks of pictures; of a cohort of pictures alone, as they are."""
    return rows.only([name for name, own in rows.blocks.items() if list(own.columns) != [THERE]] or list(rows.blocks))


def outcome_columns(target: Target, outcome: Outcome) -> pd.DataFrame:
    """Write an outcome as the columns that its target names, missing where it is not known.

    Raises:
        Unsupported: it is options, channels, text, boxes or label maps.
    """
    if target.has_options or target.has_channels or target.has_texts or target.is_drawn:
        raise Unsupported(
            f"an outcome of kind '{target.kind}' is not generated: classes, labels, numbers and times are; "
            "take [target] out to generate the modalities alone"
        )
    value, known = outcome.value, outcome.known
    if target.has_labels:
        return pd.DataFrame(value, columns=list(target.columns))
    if target.has_classes:
        words = np.array([*target.names, None], dtype=object)
        codes = np.where(known, np.nan_to_num(value), len(target.names)).astype(int)
        return pd.DataFrame({target.columns[0]: pd.Series(words[codes], dtype=object).where(known, np.nan)})
    numbers = np.where(known, value, np.nan)
    if not target.has_times:
        return pd.DataFrame({target.columns[0]: numbers})
    if target.has_causes:
        words = np.array([_keys(target).get("censored") or "0", *target.names], dtype=object)
        cause = pd.Series(words[causes_of(outcome)], dtype=object).where(known, np.nan)
        return pd.DataFrame({target.columns[0]: numbers, target.columns[1]: cause})
    event = np.zeros(len(value)) if outcome.event is None else outcome.event.astype(float)
    event = 1 - event if _keys(target).get("censored") else event
    return pd.DataFrame({target.columns[0]: numbers, target.columns[1]: np.where(known, event, np.nan)})


def timed(target: Target, outcome: pd.DataFrame) -> pd.DataFrame:
    """Columns `time` and `event`, 1 of any cause and 0 without one, of what `outcome_columns` wrote of times."""
    known, censored = outcome.dropna(), _keys(target).get("censored")
    cells = known.iloc[:, 1]
    if target.has_causes:
        event = (cells.astype(str) != str(censored or "0")).astype(float)
    else:
        event = 1 - cells.astype(float) if censored else cells.astype(float)
    return pd.DataFrame({"time": known.iloc[:, 0].astype(float), "event": event})


def target_keys(target: Target) -> dict[str, object]:
    """Keys of `[target]` in a manifest that name the columns of `outcome_columns`, without what is empty."""
    kept = _keys(target)
    if target.has_causes:
        kept |= {"main": target.names[0], "censored": kept.get("censored") or "0"}
    return {
        "kind": target.kind,
        **{key: list(own) if isinstance(own, tuple) else own for key, own in kept.items() if own},
    }


def _keys(target: Target) -> dict[str, Any]:
    return {key: getattr(target, key, None) for key in type(target).keys}
