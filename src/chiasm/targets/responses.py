"""Responses: an array of numbers for each item, as voxels, channels or spike counts, and its repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.cells import Cells
from chiasm.targets.channel_cells import of_arrays, of_columns
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Bools, Floats, Ints, Target

ANSWER = "response"
FLAT = 1e-12  # relative spread below which a channel is constant


@dataclass(frozen=True)
class Responses(Target):
    """Target of channels: `Responses("file")`, a column of paths or arrays, or `Responses(prefix="voxel_")`, columns.

    Each item has a number for every channel, the same channels for all. An array of two axes holds repetitions by
    channels: the mean over repetitions is predicted, and what they differ by says how much of it nobody could.

    Args:
        column: column of paths of .npy, .csv or .mat files, relative to the manifest; of arrays in a frame.
        prefix: start of the names of the columns, one a channel, where they stand in the table.
        variable: name of the array in a .mat file; needed where it holds several.
        unit: of all channels; empty where it is not known.
        channels: their names, as they are read.
    """

    column: str = ""
    prefix: str = ""
    variable: str = ""
    unit: str = ""
    channels: tuple[str, ...] = ()
    kind: ClassVar[str] = "response"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "column": (str | None, None),
        "prefix": (str | None, None),
        "variable": (str | None, None),
        "unit": (str, ""),
    }
    has_channels: ClassVar[bool] = True
    is_scaled: ClassVar[bool] = True
    rare: ClassVar[str] = "{n:,} items of known response"

    def __post_init__(self) -> None:
        if bool(self.column) == bool(self.prefix):
            raise ValueError(
                "a target of responses needs a column of files, or the prefix of its columns, and not both"
            )
        if self.prefix and self.variable:
            raise ValueError("a variable is named of .mat files, and columns with a prefix are read from no file")

    def __repr__(self) -> str:
        of = f"column '{self.column}'" if self.column else f"columns '{self.prefix}...'"
        return f"Responses of {count(len(self.channels), 'channel')} in {of}"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if self.column else tuple(self.prefix + name for name in self.channels)

    @property
    def files(self) -> tuple[str, str] | None:
        return (self.column, self.variable) if self.column else None

    @property
    def names(self) -> tuple[str, ...]:
        return self.channels

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        return cls(keys["column"] or "", keys["prefix"] or "", keys["variable"] or "", keys["unit"])

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        column, prefix = keys.get("column"), keys.get("prefix")
        if not column and not prefix:
            fix = "name the column of files by 'column', or the start of the columns' names by 'prefix'"
            return [error("[target] names no response", fix, path=path, finding="missing-key")]
        if column and prefix:
            what, fix = (
                "[target] has both 'column' and 'prefix'",
                "a response is read from files or from columns: keep one",
            )
            return [error(what, fix, path=path, finding="two-ways")]
        if prefix and keys.get("variable"):
            what, fix = "[target] has a 'variable' and no files", "take it out, or name the column of .mat files"
            return [error(what, fix, path=path, finding="two-ways")]
        return []

    def among(self, columns: Sequence[str]) -> Self:
        if not self.prefix:
            return self
        names = [name.removeprefix(self.prefix) for name in columns if name.startswith(self.prefix)]
        return replace(self, channels=tuple(name for name in names if name))

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        if self.prefix:
            value, known = of_columns(cells, self.columns, self.prefix)
            return self, Outcome(value, None, known)
        value, known, repeats = of_arrays(cells, self.column)
        named = self.channels if len(self.channels) == value.shape[1] else map(str, range(1, value.shape[1] + 1))
        return replace(self, channels=tuple(named)), Outcome(value, None, known, None, None, repeats)

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """List channels that are constant, of which nothing can be learned; an error if all of them are."""
        still = constant_channels(outcome)
        if not len(still) or still.all():
            what = "the response has no channel that differs between items"
            return [
                error(what, "there is nothing to tell apart: name another column", path=path, finding="single-class")
            ]
        if not still.any():
            return []
        what = f"{count(int(still.sum()), 'channel')} of {len(still):,} with a single value"
        fix = "left out of every mean over channels; take them out if they lie outside of what was measured"
        return [warning(what, fix, path=path, finding="constant-channel")]

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """One stratum: there is no one number to balance folds by."""
        return self.fold_labels(outcome)

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of items of known response."""
        return int(outcome.known.sum())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return bool((~constant_channels(outcome)).any())

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [f"{ANSWER}_{name}" for name in names]

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        channels = outcome.value.shape[1]
        return f"{len(names):,} names for {channels:,} channels: name each" if len(names) != channels else ""

    @classmethod
    def packed(cls, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the channels as one column of lists, `response`; a cell is empty where nothing is said."""
        own = [name for name in frame.columns if str(name).startswith(f"{ANSWER}_")]
        rows = frame[own].to_numpy(np.float64)
        lists = [row.tolist() if np.isfinite(row).all() else None for row in rows]
        others = frame.drop(columns=own)
        others.insert(len(others.columns), ANSWER, pd.Series(lists, index=frame.index, dtype=object))
        return others

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """The numbers themselves, `(n, V)`; of all channels of the frame where none is named."""
        own = cls.answers(names) if names else [name for name in frame if str(name).startswith(f"{ANSWER}_")]
        return np.asarray(frame[own].to_numpy(np.float64), dtype=np.float64)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(links, columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """The mean response."""
        return dict(zip(cls.answers(names), known.value.mean(axis=0).tolist(), strict=True))

    @classmethod
    def prior_frame(cls, train: Outcome, n: int, names: Sequence[str], times: Sequence[float] = ()) -> pd.DataFrame:
        mean = train.value[train.known].mean(axis=0)
        return pd.DataFrame(np.tile(mean, (n, 1)), columns=cls.answers(names))

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """The mean response."""
        return np.asarray(outcome.value.mean(axis=0), dtype=np.float64)

    @classmethod
    def in_one_number(cls, outcome: Outcome) -> Floats:
        """(B,) the first principal component of the standardised channels; NaN where unknown."""
        known = np.flatnonzero(outcome.known)
        value = outcome.value[known][:, ~constant_channels(outcome)]
        found = np.full(len(outcome.value), np.nan)
        if value.size:
            standard = (value - value.mean(axis=0)) / value.std(axis=0)
            smaller = standard @ standard.T if standard.shape[1] > len(standard) else standard.T @ standard
            first = np.linalg.eigh(smaller)[1][:, -1]
            found[known] = first if standard.shape[1] > len(standard) else standard @ first
        return found

    def described(self, outcome: Outcome) -> dict[str, Any]:
        repeated = 0
        if outcome.repeats is not None:
            repeated = int(((~np.isnan(outcome.repeats[:, :, 0])).sum(axis=1) > 1).sum())
        return {"classes": list(self.channels), "repeated": repeated}

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw three channels: s + N(0, 1), 2 - s + N(0, 1), and s / 2 + N(0, 1) in a unit a hundred times as small."""
        size = len(signal)
        first, second, third = (rng.normal(size=size) for _ in range(3))
        value = np.stack([signal + first, 2.0 - signal + second, 100.0 * (signal / 2 + third)], axis=1)
        frame = pd.DataFrame(value, columns=["channel_a", "channel_b", "channel_c"])
        return frame, cls(prefix="channel_", channels=("a", "b", "c")), value[:, 0] + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the channels far from zero and of a wide spread."""
        names = [f"channel_{name}" for name in self.channels]
        return pd.DataFrame(50 + 20 * outcome.value, index=ids, columns=names), type(self)(
            prefix="channel_", channels=self.channels
        )


def constant_channels(outcome: Outcome) -> Bools:
    """(V,) True for channels that do not differ between the items of known response."""
    value = outcome.value[outcome.known]
    if not len(value):
        return np.ones(outcome.value.shape[1], dtype=bool)
    size = np.abs(value).max(axis=0)
    return np.asarray(np.ptp(value, axis=0) <= FLAT * size)
