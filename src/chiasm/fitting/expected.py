"""What a fitted model expects of new patients' tables: columns, the levels it knows, and the reach of its numbers."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.cohort.near_names import WAYS, ensembl_share, meant, near_names
from chiasm.cohort.sources import ColumnSource
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.picture import VectorPicture
from chiasm.encoders.table.scaling import CLIP, Columns, Scaler
from chiasm.encoders.table.table import TableEncoder, as_text, written
from chiasm.errors import FindingWarning, count

SHOWN = 100  # missing columns that are named
NAMED = 10  # of those that are read as missing values
FEW = 5  # columns written otherwise that are named one by one
OF_COLUMNS = (TableEncoder, OmicsEncoder, VectorPicture, Columns)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """Columns that a model reads of one modality, with the `scaler` of its numbers and the `levels` of its words."""

    columns: tuple[str, ...]
    scaler: Scaler
    levels: Mapping[str, tuple[str, ...]]

    def limits(self) -> tuple[Array, Array]:
        """Reach `(F,)` of the numbers, beyond which a value is unlike any of training.

        Of a ranked column as far beyond the smallest and the largest of training as these lie apart; of another one
        `CLIP` scales from the mean. A constant one has no reach.
        """
        low, high = self.scaler.mean - CLIP * self.scaler.scale, self.scaler.mean + CLIP * self.scaler.scale
        if len(self.scaler.ranked):
            first, last = self.scaler.knots[0], self.scaler.knots[-1]
            low[self.scaler.ranked], high[self.scaler.ranked] = 2 * first - last, 2 * last - first
        return low, high

    def unfamiliar(self, raw: pd.DataFrame) -> list[str]:
        """Words on the columns whose values lie far outside of training or are levels that it does not have."""
        said = []
        kinds = {name: own.kind for name, own in zip(raw.columns, raw.dtypes, strict=True)}
        here = [name for name in self.scaler.columns if kinds.get(name, "") in ("f", "i", "u", "b")]
        place = {name: position for position, name in enumerate(self.scaler.columns)}
        values = raw[here].to_numpy(dtype=np.float64)
        low, high = (own[[place[name] for name in here]] for own in self.limits())
        with np.errstate(invalid="ignore"):
            far = ((values < low) | (values > high) | np.isinf(values)).sum(axis=0)
        for name, number in zip(here, far.tolist(), strict=True):
            if number:
                said.append(f"column '{name}' lies far outside of training in {count(number, 'patient')}")
        for name, known in self.levels.items():
            if name in raw.columns:
                names = {written(level) for level in known}
                number = sum(text is not None and text not in names for text in as_text(raw[name]))
                if number:
                    what = "a level that the model does not keep, or has not seen"
                    said.append(f"column '{name}' has {what}, in {count(number, 'patient')}")
        return said


def expected_of(predictor: Any, modalities: Collection[str]) -> dict[str, Expected]:
    """Find what a predictor reads of each modality of columns, in the encoders that it holds."""
    found: dict[str, Expected] = {}
    for modality, encoder in encoders_within(predictor, set(modalities)):
        scaler = encoder.scaler
        if modality in found or scaler is None:
            continue
        levels = encoder.categories or {} if isinstance(encoder, TableEncoder) else {}
        columns = encoder.columns if isinstance(encoder, TableEncoder) else scaler.columns
        found[modality] = Expected(tuple(columns), scaler, levels)
    return dict(sorted(found.items()))


def encoders_within(
    part: Any, modalities: set[str], modality: str | None = None, kinds: tuple[type, ...] = OF_COLUMNS
) -> Iterator[tuple[str, Any]]:
    """Yield the encoders of some types in a stored part, each with the modality under whose name it stands."""
    if isinstance(part, kinds):
        if modality is not None:
            yield modality, part
    elif isinstance(part, dict):
        for key, own in part.items():
            yield from encoders_within(own, modalities, key if key in modalities else modality, kinds)
    elif isinstance(part, tuple | list):
        for own in part:
            if not isinstance(own, str):  # there may be the names of many thousand columns
                yield from encoders_within(own, modalities, modality, kinds)
    elif is_dataclass(part):
        values = {field.name: getattr(part, field.name) for field in fields(part)}
        named = values.get("modality")
        for own in values.values():
            under = named if isinstance(named, str) and named in modalities else modality
            yield from encoders_within(own, modalities, under, kinds)


def completed(cohort: Cohort, expected: Mapping[str, Expected], *, strict: bool) -> Cohort:
    """Return the cohort with every column that a model expects, those that it lacks as missing values, with a warning.

    Raises:
        CohortError: a column of numbers holds something else now.
        Unsupported: columns are lacking and `strict`; the message names all of them, with the nearest there are.
    """
    unclear = [
        column.problem(name, source.path)
        for name, own in expected.items()
        if name in cohort.modalities and isinstance(source := cohort.sources[name], ColumnSource)
        for column in source.described
        if column.finding and column.severity == "error" and column.name in own.scaler.columns
    ]
    if unclear:
        raise CohortError(unclear)
    lacking = {}
    for name, own in expected.items():
        if name in cohort.modalities and len(cohort.rows_of(name)):
            have = set(cohort.sources[name].columns) or {str(column) for column in cohort.raw(name).columns}
            missing = [column for column in own.columns if column not in have]
            if missing:
                lacking[name] = (missing, have)
    if lacking and strict:
        raise Unsupported("\n".join(_told(cohort, name, expected[name], *parts) for name, parts in lacking.items()))
    if lacking:
        said = [_left_blank(name, expected[name], missing) for name, (missing, _) in lacking.items()]
        warnings.warn("; ".join(said), FindingWarning, stacklevel=3)
    for name, (missing, _) in lacking.items():
        raw = cohort.raw(name)
        whole = raw.reindex(columns=[*raw.columns, *missing])
        everybody = np.ones(len(whole), dtype=bool)
        cohort = cohort.with_values(name, cohort.kinds[name], whole, everybody, None)
    return cohort


def _left_blank(name: str, own: Expected, missing: list[str]) -> str:
    named = ", ".join(map(repr, missing[:NAMED])) + (" ..." if len(missing) > NAMED else "")
    return (
        f"{len(missing):,} of {len(own.columns):,} columns that the model reads are not there, and count as missing "
        f"for every patient: {named} (modality '{name}')"
    )


def _told(cohort: Cohort, name: str, own: Expected, missing: list[str], have: set[str]) -> str:
    spare = sorted(have - set(own.columns))
    near = near_names(missing, spare)
    file = cohort.sources[name].path
    where = f"{file}, modality '{name}'" if file else f"modality '{name}'"
    written = {how: [column for column in missing if column in near and near[column].how == how] for how, *_ in WAYS}
    several = {how: columns for how, columns in written.items() if len(columns) > FEW}
    told = [
        f"{len(columns):,} of them stand there {how}, as '{near[columns[0]].name}' for '{columns[0]}'"
        for how, columns in several.items()
    ]
    also = ""
    if spare and not several:
        also = f"; columns that the model does not know: {', '.join(map(repr, spare[:10]))}"
    ours, theirs = ensembl_share(missing), ensembl_share(spare)
    translate = ours + theirs > 0.9 and abs(ours - theirs) > 0.9
    if translate:
        ensembl, symbols = ("model's", "cohort's") if ours > theirs else ("cohort's", "model's")
        also = (
            f"; the {ensembl} columns are Ensembl identifiers and the {symbols} are not: translate the cohort's names"
        )
    shown = FEW if translate else SHOWN
    rest = [column for column in missing if not any(column in columns for columns in several.values())]
    named = [f"'{column}'" + (f" ({meant(near[column])})" if column in near else "") for column in rest[:shown]]
    more = f" and {len(rest) - shown:,} more" if len(rest) > shown else ""
    listed = [", ".join(named) + more] if named else []
    return (
        f"{where}: {len(own.columns):,} columns at fit, and {len(missing):,} of them missing now: "
        f"{'; '.join([*told, *listed])}{also}; rename or add them, or predict with strict=False (--no-strict), which "
        "reads them as missing"
    )
