"""Multilabel: several labels at once, each of which a patient has or has not, or which is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.cells import Cells, codes_of, given
from chiasm.targets.classification import drawn_label
from chiasm.targets.outcome import Outcome
from chiasm.targets.stratify import dealt_folds, fewest, held_out
from chiasm.targets.target import FLOOR, USUAL_FOLDS, Bools, Floats, Ints, Target, needed_key


@dataclass(frozen=True)
class Multilabel(Target):
    """Multilabel target, a column per label (1 = has it, 0 = has it not): `Multilabel(("stroke", "infarct"))`.

    A patient may have any number of labels, and some of them may be missing while others are known.
    """

    columns: tuple[str, ...]
    kind: ClassVar[str] = "multilabel"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {"columns": (list[str] | None, None)}
    has_labels: ClassVar[bool] = True
    rare: ClassVar[str] = "{n:,} with, or without, each label"

    def __post_init__(self) -> None:
        columns = (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)
        if not columns or len(set(columns)) < len(columns):
            raise ValueError("a multilabel target needs one column or more, each named once")
        object.__setattr__(self, "columns", columns)

    @property
    def names(self) -> tuple[str, ...]:
        return self.columns

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        return cls(tuple(keys["columns"]))

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        columns = keys.get("columns") or ()
        if len(set(columns)) < len(columns):
            what = "a column stands twice in the 'columns' of [target]"
            return [error(what, "name each label once", path=path, finding="repeated-label")]
        return needed_key(keys, "columns", path)

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        value = np.full((len(cells.patients), len(self.columns)), np.nan)
        for k, column in enumerate(self.columns):
            unless = "this label of these patients is neither trained on nor tested"
            text = cells.labels(column, unless=unless)
            value[:, k] = codes_of(text)
            wrong = given(text) & np.isnan(value[:, k])
            cells.note(f"column '{column}' is neither 0 nor 1", "code it as 1 = has it", wrong)
        return self, Outcome(value, None, ~np.isnan(value).all(axis=1))

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True if a label is told by words such as yes and no."""
        return not np.isnan(codes_of(words)).any()

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """List labels that are constant or too rare for the usual folds; an error if every label is constant."""
        sizes = fewest(outcome.value)  # (K,)
        constant = [name for name, n in zip(self.columns, sizes, strict=True) if n == 0]
        rare = [name for name, n in zip(self.columns, sizes, strict=True) if 0 < n < USUAL_FOLDS]
        single = f"{count(len(constant), 'label')} with a single value: {_listed(constant)}"
        if len(constant) == len(self.columns):
            fix = "there is nothing to tell apart: name other columns"
            return [error(single, fix, path=path, finding="single-class")]
        found = []
        if constant:
            fix = "left out of every mean over labels; check the coding or drop the column"
            found.append(warning(single, fix, path=path, finding="constant-label"))
        if rare:
            named = f"fewer than {USUAL_FOLDS} patients have, or have not: {_listed(rare)}"
            what, fix = (
                f"{count(len(rare), 'label')} that {named}",
                "left out of every mean over labels; join it with another",
            )
            found.append(warning(what, fix, path=path, finding="rare-label"))
        return found

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """One stratum: the labels are dealt out one by one instead."""
        return self.fold_labels(outcome)

    def dealt(self, outcome: Outcome, folds: int, units: Ints | None, rng: np.random.Generator) -> Ints | None:
        return dealt_folds(outcome.value, folds, units, rng)

    def held_out(self, outcome: Outcome, fraction: float, units: Ints | None, rng: np.random.Generator) -> Bools | None:
        return held_out(outcome.value, fraction, units, rng)

    def too_few(self, outcome: Outcome, folds: int) -> tuple[str, str] | None:
        members = self.rarest(outcome)
        if members >= folds:
            return None
        return f"no label has more than {count(members, 'patient')} with it, or without it", "patients"

    def lacking(self, outcome: Outcome, tested: Bools, fold: str) -> list[str]:
        """List a side of a fold without any label that some patients have and some have not."""
        told = (
            f"fold '{fold}' has no label that some patients have and some have not",
            f"no label that some patients have and some have not is left to train on outside fold '{fold}'",
        )
        sides = zip(told, (tested, ~tested), strict=True)
        return [what for what, rows in sides if not fewest(outcome.value[rows]).any()]

    def skipped(self, outcome: Outcome, tested: Bools, fold: str) -> list[str]:
        found = []
        for k, label in enumerate(self.columns):
            for code, noun in ((1, "with"), (0, "known to be without")):
                if not (outcome.value[tested, k] == code).any():
                    found.append(f"fold '{fold}' has no patient {noun} label '{label}'")
                elif not (outcome.value[~tested, k] == code).any():
                    found.append(f"no patient {noun} label '{label}' is left to train on outside fold '{fold}'")
        return found

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Size of the smaller side of the label that has the most on it."""
        return int(fewest(outcome.value).max())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return bool(fewest(outcome.value).any())

    @classmethod
    def scorable(cls, outcome: Outcome, least: int) -> Outcome:
        value = np.where(fewest(outcome.value) >= least, outcome.value, np.nan)
        return Outcome(value, None, outcome.known & ~np.isnan(value).all(axis=1))

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [f"p_{name}" for name in names]

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        labels = outcome.value.shape[1]
        return f"{len(names)} names for {labels} labels: name each" if len(names) != labels else ""

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Log odds `(n, K)`."""
        from scipy.special import logit  # type: ignore[import-untyped]  # a check needs none of it

        values = frame[cls.answers(names)].to_numpy(np.float64)
        return np.asarray(logit(np.clip(values, FLOOR, 1 - FLOOR)), dtype=np.float64)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        from scipy.special import expit  # a check needs none of it

        return pd.DataFrame(expit(links), columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """Frequency of each label among those for whom it is known; one half for a label never known."""
        seen = ~np.isnan(known.value)
        share = np.where(seen, known.value, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        share = np.where(seen.any(axis=0), share, 0.5)
        return dict(zip(cls.answers(names), share, strict=True))

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """Log odds of each label, with half a patient more on each side."""
        have, lack = ((outcome.value == code).sum(axis=0) + 0.5 for code in (1, 0))
        return np.asarray(np.log(have / lack))

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        cls.require_columns(frame, names, require)
        values = frame.to_numpy(float)
        inside = bool(((values >= 0) & (values <= 1)).all())
        require(inside, "a label has a probability", f"it reaches from {values.min()} to {values.max()}")

    def described(self, outcome: Outcome) -> dict[str, Any]:
        counts, known = (outcome.value == 1).sum(axis=0), (~np.isnan(outcome.value)).sum(axis=0)
        return {"classes": list(self.columns), "counts": counts.tolist(), "known": known.tolist()}

    def stored(self) -> dict[str, Any]:
        return {**super().stored(), "columns": list(self.columns)}

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw `label` as a class is drawn, and `rarer` ~ Bernoulli(1 / (1 + exp(1 - s)))."""
        label = drawn_label(signal, rng, certain=certain)
        rarer = (rng.uniform(size=len(signal)) < 1 / (1 + np.exp(1 - signal))).astype(int)
        return pd.DataFrame({"label": label, "rarer": rarer}), cls(("label", "rarer")), label + 0.1 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the labels with every eighth cell empty, never both cells of a patient."""
        row = np.arange(len(ids))
        known = np.stack([row % 8 != 1, row % 8 != 6], axis=1)
        cells = np.where(known, outcome.value, np.nan)
        return pd.DataFrame(cells, index=ids, columns=list(self.columns)), self


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (" ..." if len(names) > 5 else "")
