"""What a kind of target is asked: what it reads, how it is split, and how a link becomes a prediction and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, error
from chiasm.targets.cells import Cells
from chiasm.targets.outcome import Outcome

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]
Bools = NDArray[np.bool_]

FLOOR = 1e-9  # probabilities are kept this far from 0 and 1, so that their links stay finite
USUAL_FOLDS = 5
QUANTILES = 5


class Target(ABC):
    """A target: what is predicted of each patient.

    A kind of target is a frozen dataclass of its own file. Whoever needs to know about it asks its properties, or looks
    `kind` up in the table of its folder: `heads`, `linear`, `metrics` and `report` have one. Methods of the class need
    only outcomes; those of an object also need its columns.

    `has_classes`: a patient is of one of several classes, and a prediction is a probability for each.
    `has_labels`: the outcome is (B, K), a patient has any number of labels, and a label may be missing.
    `has_times`: the outcome is the time of an event, or of the last visit without one.
    `has_causes`: the event is of one of several causes, named by `names` with the main one first; what a prediction has
        at a horizon is the cumulative incidence of each, in place of survival.
    `has_options`: each patient has options of his own, one of which is right; a model is fitted in the space of their
        features, and a prediction is a probability for each place among them.
    `has_channels`: the outcome is (B, V), a number for each of V channels, named by `names`.
    `has_boxes`: the outcome is boxes in an image, and as channels how many there are of each label, named by `names`.
    `has_masks`: the outcome is a label map of an image, and as channels how much there is of each label, by `names`.
    `is_drawn`: a prediction is drawn in an image, boxes or a label map, and the channels are what it adds up to.
    `has_texts`: the outcome is words, and a prediction the text that a model says; it is fitted in a space of texts.
    `has_level`: predictions stand on a link whose level is the training prior; False where each is taken as it stands.
    `is_scaled`: the outcome is a number in a unit, or several; a network learns it centred and divided by its spread.
    """

    kind: ClassVar[str]
    keys: ClassVar[Mapping[str, tuple[Any, Any]]]
    """Keys of `[target]` that it reads, each with its type and default."""
    has_classes: ClassVar[bool] = False
    has_labels: ClassVar[bool] = False
    has_times: ClassVar[bool] = False
    has_causes: ClassVar[bool] = False
    has_options: ClassVar[bool] = False
    has_channels: ClassVar[bool] = False
    has_texts: ClassVar[bool] = False
    has_boxes: ClassVar[bool] = False
    has_masks: ClassVar[bool] = False
    is_drawn: ClassVar[bool] = False
    has_level: ClassVar[bool] = True
    is_scaled: ClassVar[bool] = False
    unit: str = ""
    """Unit of the outcome; empty where it has none."""
    rare: ClassVar[str] = "{n:,} patients of known outcome"
    """What `rarest` counts, in words."""

    if TYPE_CHECKING:

        @property
        def columns(self) -> tuple[str, ...]:
            """Columns of the patients' table that it reads."""

        @property
        def times(self) -> tuple[float, ...]:
            """Horizons of a target that has times."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is predicted: classes in the order of their codes, labels, causes or channels; else empty."""
        return ()

    @property
    def names_outcome(self) -> bool:
        """True if it names where the outcome stands; False if it says only what is to be predicted."""
        return True

    @property
    def files(self) -> tuple[str, str] | None:
        """Column of the paths of the files that the outcome stands in, and the variable in each; None without files."""
        return None

    @property
    def text_files(self) -> tuple[str, ...]:
        """Columns of the paths of text files that the outcome stands in; empty where it stands in the table."""
        return ()

    @property
    def box_files(self) -> tuple[str, tuple[float, float]] | None:
        """Column of the paths of files of boxes, with the images' width and height in pixels; None without them."""
        return None

    @property
    def mask_files(self) -> tuple[str, tuple[float, ...]] | None:
        """Column of the paths of label maps, with the millimetres a pixel of those that do not say it, or none."""
        return None

    @property
    def mask_series(self) -> str:
        """Column of the folders of the DICOM series on which label maps lie; empty without."""
        return ""

    @property
    def mask_codes(self) -> dict[str, int]:
        """The number of each label in the files of label maps; empty without them."""
        return {}

    @property
    def main_named(self) -> bool:
        """True if the user named which of several causes is the main one."""
        return False

    def with_names(self, names: Sequence[str]) -> Self:
        """Return the target with the causes of a model, the main one first; unchanged without causes."""
        return self

    def along(self, axes: int) -> Self:
        """Return the target as it is learned, in a space of so many axes, of options or of texts; unchanged without."""
        return self

    # Reading

    @classmethod
    @abstractmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        """Make the target of a manifest's `[target]`, which `refused` has accepted."""

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        """List what is wrong with the `[target]` of a manifest."""
        return needed_key(keys, "column", path)

    def among(self, columns: Sequence[str]) -> Self:
        """Return the target with those of a table's columns that it reads, where it names them by how they start."""
        return self

    @abstractmethod
    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        """Read the outcome from its columns; return the target with what the columns tell of it, as its classes."""

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """List what makes these outcomes hard or impossible to learn, such as a single class; one at least is known."""
        return []

    # Splitting

    def fold_labels(self, outcome: Outcome) -> Ints:
        """(B,) label that every fold must contain; 0 for all where any patient will do."""
        return np.zeros(len(outcome.value), dtype=int)

    def required(self) -> dict[int, str]:
        """Labels that every fold, and the patients outside it, must have one of: code to what it is called."""
        return {0: "patient"}

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """(B,) stratum that folds are balanced by; a stratum that is made finer keeps `least` members."""
        return by_rank(self.fold_labels(outcome), outcome, QUANTILES, least)

    def dealt(self, outcome: Outcome, folds: int, units: Ints | None, rng: np.random.Generator) -> Ints | None:
        """(B,) fold of each patient, all known, where folds are not drawn by strata; else None."""
        return None

    def held_out(self, outcome: Outcome, fraction: float, units: Ints | None, rng: np.random.Generator) -> Bools | None:
        """(B,) True for about `fraction` of the patients, all known, where these are not drawn by strata; else None."""
        return None

    def too_few(self, outcome: Outcome, folds: int) -> tuple[str, str] | None:
        """Say what there is less of than of folds, and what to gather more of; None if there is enough."""
        return None

    def lacking(self, outcome: Outcome, tested: Bools, fold: str) -> list[str]:
        """List what is missing to test on a fold or to train without it; every outcome is known."""
        labels, found = self.fold_labels(outcome), []
        for label, name in self.required().items():
            if not (labels[tested] == label).any():
                found.append(f"fold '{fold}' has no {name}")
            if not (labels[~tested] == label).any():
                found.append(f"no {name} is left to train on outside fold '{fold}'")
        return found

    def skipped(self, outcome: Outcome, tested: Bools, fold: str) -> list[str]:
        """List the parts of the target that a fold goes without, as one of several labels."""
        return []

    # Learning

    @classmethod
    @abstractmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Size of the smallest group that a score rests on, counted as `rare` says; of `names` classes or labels."""

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        """Return True if the outcomes differ enough to weigh models by them."""
        return True

    @classmethod
    def scorable(cls, outcome: Outcome, least: int) -> Outcome:
        """Mask the parts of the outcome that too few patients have: labels below `least`; else return it unchanged."""
        return outcome

    def with_horizons(self, outcome: Outcome) -> Self:
        """Return the target with what it takes from the training patients: horizons, where it has times without."""
        return self

    def at_horizons(self, times: Sequence[float]) -> Self:
        """Return the target with these horizons; unchanged without times."""
        return self

    # Predicting

    @classmethod
    @abstractmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        """Columns of a prediction that are scored, in a fixed order."""

    @classmethod
    def number_columns(cls, names: Sequence[str]) -> list[str]:
        """Those of `answers` that are numbers: all, unless what is drawn or said stands among them."""
        return cls.answers(names)

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        """Say how the names of classes or labels do not fit the outcome; "" if they do."""
        return ""

    @classmethod
    def link_columns(cls, frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
        """Columns of a prediction that carry a link, in a fixed order."""
        return cls.answers(names)

    @classmethod
    def horizon_columns(cls, frame: pd.DataFrame) -> dict[float, str]:
        """Columns of a prediction at a horizon, {time: column} by time; none for a target without times."""
        return {}

    @classmethod
    def event_free(cls, frame: pd.DataFrame) -> Floats:
        """(n, T) predicted probability of no event, of whatever cause, by each of the horizons of `horizon_columns`."""
        return frame[list(cls.horizon_columns(frame).values())].to_numpy(np.float64)

    @classmethod
    def packed(cls, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a prediction as it is written for others: of channels one column of lists, else as it is."""
        return frame

    @classmethod
    @abstractmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Convert a prediction to links, `(n, C)`, on the scale on which predictions are averaged and shifted."""

    @classmethod
    @abstractmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        """Convert links to a prediction with these columns, the inverse of `links`."""

    @classmethod
    @abstractmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """Prediction of the null model: the prior of these patients, all of known outcome."""

    @classmethod
    def prior_frame(cls, train: Outcome, n: int, names: Sequence[str], times: Sequence[float] = ()) -> pd.DataFrame:
        """Predict the prior of the training patients (the null model) for n patients."""
        row = cls.prior_row(train.take(np.flatnonzero(train.known)), names, times)
        return pd.DataFrame({name: np.full(n, float(value)) for name, value in row.items()})

    @classmethod
    def fitted_to(cls, prior: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
        """Fit the prior of patients to what another prediction shows of them, as which options they have."""
        return prior

    @classmethod
    def level(cls, links: Floats) -> Floats:
        """Level `(C,)` of a model's links, beyond which it says something of a patient: their mean."""
        return np.asarray(links.mean(axis=0))

    @classmethod
    def anchor(cls, train: Outcome, names: Sequence[str], columns: Sequence[str], times: Sequence[float]) -> Floats:
        """Link `(C,)` of the prior of the training patients, to which what models say beyond their level is added."""
        prior = cls.prior_frame(train, 1, names, times).reindex(columns=list(columns))
        return np.asarray(cls.links(prior, names)[0])

    @classmethod
    @abstractmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """Link of the prior `(K,)`, as a fitted model has it; all of known outcome."""

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        """Require, by `require(holds, law, found)`, what holds of every prediction: its columns, and their values."""
        cls.require_columns(frame, names, require)

    @classmethod
    def require_columns(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        """Require that the columns of a prediction are its `answers` and no others."""
        columns, expected = list(frame.columns), cls.answers(names)
        law = "predict gives the columns of its kind of target"
        require(columns == expected, law, f"they are {columns}, not {expected}")

    @classmethod
    def in_one_number(cls, outcome: Outcome) -> Floats:
        """(B,) the outcome; for several channels the number that says most of them, for screens of columns."""
        return outcome.value

    # Writing

    def described(self, outcome: Outcome) -> dict[str, Any]:
        """Describe the outcomes by counts, for `trial.json`."""
        return {}

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True if all words of a column of the target can be read; by default none can, since it holds numbers."""
        return False

    def stored(self) -> dict[str, Any]:
        """Describe the target as a model keeps it: its kind and its columns, without what is empty."""
        return {
            "kind": self.kind,
            **{key: value for key, value in vars(self).items() if isinstance(value, str) and value},
        }

    # Examples

    @classmethod
    @abstractmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw synthetic outcomes from a signal (n,): the patients' table, the target, and a column that leaks it.

        Args:
            noise: (n,) standard normal, from which the leaking column takes a little.
            certain: True if a class is the sign of the signal and not drawn by its probability.
        """

    @abstractmethod
    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write outcomes as a user's table may hold them: classes in words, numbers with a unit, labels with gaps."""


def needed_key(keys: Mapping[str, Any], key: str, path: str) -> list[Problem]:
    """Report a key of `[target]` that is missing."""
    missing = error(f"key '{key}' is missing in [target]", "add it", path=path, finding="missing-key")
    return [] if keys.get(key) else [missing]


def by_rank(labels: Ints, outcome: Outcome, parts: int, least: int) -> Ints:
    """(B,) labels split further, by the rank of the outcome within each, as far as `least` members allow."""
    refined = labels * QUANTILES
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & outcome.known)
        parts_here = max(1, min(parts, len(rows) // max(least, 1)))
        rank = np.argsort(np.argsort(outcome.value[rows], kind="stable"), kind="stable")
        refined[rows] += rank * parts_here // max(len(rows), 1)
    return refined
