"""Choice: one of the patient's own options, as in a question with several answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.answer_codes import FROM_1, READINGS, TEXT, places, way_of
from chiasm.targets.cells import Cells
from chiasm.targets.options import MOST_OPTIONS, Options, options_in_columns, options_in_lists
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import FLOOR, Floats, Ints, Target, needed_key

WORDS = ("present", "absent", "unclear")
"""Options of the synthetic cohorts; the last is never right."""


@dataclass(frozen=True)
class Choice(Target):
    """Choice target: each patient has options of his own, 2 to 26, and one of them is right.

    Args:
        column: the right option, named in one of the ways of `answers_by`; empty where it is to be predicted alone.
        options: a column with a JSON list of the options, or a column for each option.
        answers_by: "text", "letter", "from 0" or "from 1": how `column` names the right one, `answers` in a manifest;
            empty: the way that reads most cells, over nine in ten; refused where another that may be meant reads other
            options.
        most: K, the most options of a patient; opening fills it in.
        axes: E, the number of features of an option while a model is fitted; 0 elsewhere.
    """

    column: str = ""
    options: str | tuple[str, ...] = ""
    answers_by: str = ""
    most: int = 0
    axes: int = 0
    kind: ClassVar[str] = "choice"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "column": (str | None, None),
        "options": (str | list[str] | None, None),
        "answers": (str, ""),
    }
    has_options: ClassVar[bool] = True
    has_level: ClassVar[bool] = False

    def __post_init__(self) -> None:
        options = self.options if isinstance(self.options, str) else tuple(self.options)
        if not options or (not isinstance(options, str) and len(set(options)) < max(2, len(options))):
            raise ValueError(
                "a choice target needs `options`: the column of a JSON list, or two columns or more, each named once"
            )
        if self.answers_by not in ("", *READINGS):
            raise ValueError(f"`answers_by` says how the right option is named: one of {', '.join(READINGS)}")
        object.__setattr__(self, "options", options)

    @property
    def option_columns(self) -> tuple[str, ...]:
        """Columns that hold the options."""
        return (self.options,) if isinstance(self.options, str) else self.options

    @property
    def columns(self) -> tuple[str, ...]:
        return (*((self.column,) if self.column else ()), *self.option_columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Places of the options from 1; while a model is fitted, the axes of their features."""
        return tuple(str(place + 1) for place in range(self.axes or self.most))

    @property
    def names_outcome(self) -> bool:
        """False without `column`: there are options to choose from, and no right one."""
        return bool(self.column)

    def along(self, axes: int) -> Self:
        return replace(self, axes=axes)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        given = keys["options"]
        return cls(keys["column"] or "", given if isinstance(given, str) else tuple(given), keys["answers"])

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        found, given = needed_key(keys, "options", path), keys.get("options")
        if isinstance(given, list) and given and len(set(given)) < max(2, len(given)):
            what = "'options' of [target] names fewer than two columns, or one of them twice"
            found.append(error(what, "name each once, or one column of JSON lists", path=path, finding="few-options"))
        if keys.get("answers", "") not in ("", *READINGS):
            fix = "write " + ", ".join(f'"{way}"' for way in READINGS) + ", or leave it out"
            what = "'answers' of [target] is no way to name an option"
            found.append(error(what, fix, path=path, finding="manifest-value"))
        return found

    # Reading

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        texts, doubtful = self._options(cells)
        sizes = np.array([len(own) for own in texts], dtype=int)
        held = np.empty(len(texts), dtype=object)
        held[:] = texts
        most = max(int(sizes.max(initial=0)), self.most, 2)
        value, way = np.full(len(texts), np.nan), self.answers_by
        if self.column:
            answers = cells.labels(self.column)
            some = np.array([own is not None for own in answers], dtype=bool)
            usable = some & ~doubtful
            asked = [own if here else None for own, here in zip(answers, usable, strict=True)]
            way, rivals = (way, []) if way else way_of(asked, texts)
            if way:
                place = places(asked, texts, way)
                fix = "correct the cell, the options, or `answers`, which says how the right one is named"
                what = f"column '{self.column}' names none of the patient's options, or one that stands there twice,"
                cells.note(f"{what} read as {_told(way)}", fix, usable & (place < 0))
                value = np.where(usable & (place >= 0), place, np.nan)
            else:
                cells.note(*_ambiguous(self.column, rivals), usable)
        target = replace(self, answers_by=way, most=most)
        return target, Outcome(value, None, ~np.isnan(value), options=Options(held, most))

    def _options(self, cells: Cells) -> tuple[list[tuple[str, ...]], NDArray[np.bool_]]:
        """Options of each patient, and True for those that cannot be chosen from."""
        one = isinstance(self.options, str)
        frame, named = cells.patients, f"column '{self.options}'" if one else "the columns of `options`"
        texts, wrong = options_in_lists(frame[self.options]) if one else options_in_columns(frame, self.option_columns)
        wrong_rows = np.array(wrong, dtype=bool)
        if one:
            what = f"{named} holds no JSON list of texts, nor an object of them by their first letters or numbers"
            cells.note(what, 'write ["...", "..."]', wrong_rows)
        else:
            cells.note(f"{named} have an empty cell before a filled one", "fill the first columns", wrong_rows)
        sizes = np.array([len(own) for own in texts], dtype=int)
        many = sizes > MOST_OPTIONS
        cells.note(f"{named} hold more than {MOST_OPTIONS} options", "ask among fewer", many)
        texts = [own[:MOST_OPTIONS] for own in texts]
        left = "correct them; the patient is neither trained on nor tested"
        found = wrong_rows | many
        for what, rows in (
            (f"{named} hold no option", (sizes == 0) & ~wrong_rows),
            (f"{named} hold a single option", sizes == 1),
            (f"{named} hold an option that is empty", np.array(["" in own for own in texts], dtype=bool)),
            (f"{named} hold an option twice", np.array([len(set(own)) < len(own) for own in texts], dtype=bool)),
        ):
            cells.note(what, left, rows & ~found, "warning")
            found = found | rows
        return texts, found

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True: options, and their letters and texts, are words."""
        return True

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """Warn where the right option stands in one place, or more often in one than chance would have it."""
        place = outcome.value[outcome.known].astype(int)
        seen = np.bincount(place, minlength=self.most)
        if len(place) > 1 and (seen > 0).sum() == 1:
            what = f"the right option is always number {int(seen.argmax()) + 1} of column '{self.column}'"
            fix = "shuffle each patient's options, or the place gives the answer away"
            return [warning(what, fix, path=path, finding="one-place", leak=True)]
        likely = self._by_chance(outcome)
        beyond = (seen - likely) / np.sqrt(np.maximum(likely * (1 - likely / max(len(place), 1)), 1e-9))
        if len(place) >= 30 and beyond.max() > 4:
            worst = int(beyond.argmax())
            what = (
                f"the right option is number {worst + 1} for {seen[worst]:,} of {count(len(place), 'patient')}, where "
                f"chance would have it {likely[worst]:,.0f} times"
            )
            fix = "shuffle each patient's options: no model here reads their places, and others do"
            return [warning(what, fix, path=path, finding="uneven-places")]
        return []

    def _by_chance(self, outcome: Outcome) -> Floats:
        """(K,) times that the right option would stand in each place, if it were in any alike."""
        inside = _options_of(outcome).inside[outcome.known]
        return np.asarray((inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)).sum(axis=0))

    # Splitting

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """The number of options, and not the place of the right one: the order of options decides nothing."""
        sizes = np.zeros(len(outcome.value), dtype=int) if outcome.options is None else outcome.options.sizes
        rare = [size for size in np.unique(sizes) if (sizes[outcome.known] == size).sum() < least]
        return np.where(np.isin(sizes, rare), 0, sizes)

    # Learning

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of patients of known outcome."""
        return int(outcome.known.sum())

    # Predicting

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [f"p_{name}" for name in names]

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Log probabilities `(n, K)` of each patient's options in their order; -20.7 where he has fewer."""
        values = frame[cls.answers(names)].to_numpy(np.float64)
        return np.asarray(np.log(np.clip(values, FLOOR, 1.0)))

    @classmethod
    def level(cls, links: Floats) -> Floats:
        """Zero: the places of the options have no level, since each patient's stand in an order of their own."""
        return np.zeros(links.shape[1])

    @classmethod
    def anchor(cls, train: Outcome, names: Sequence[str], columns: Sequence[str], times: Sequence[float]) -> Floats:
        """Zero, as `level`."""
        return np.zeros(len(columns))

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        """The number of the most probable option from 1, `choice`, and the probabilities; 0 where there is none."""
        return chosen_frame(links, links > np.log(FLOOR) + 1e-6, columns)

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """How often the right option stands in each place."""
        seen = np.bincount(known.value.astype(int), minlength=len(names))[: len(names)]
        share = dict(zip(cls.answers(names), (seen + 0.5) / (seen + 0.5).sum(), strict=True))
        return {"choice": float(seen.argmax() + 1), **share}

    @classmethod
    def fitted_to(cls, prior: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
        """Give no probability to an option that a patient has not, which another prediction of him shows by a zero."""
        names = [name for name in prior.columns if str(name).startswith("p_")]
        there = frame[names].to_numpy(np.float64) > 0
        share = prior[names].to_numpy(np.float64) * there
        return chosen_frame(np.log(np.maximum(share, FLOOR)), there, names).set_index(prior.index)

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """What the options alone say, `(E,)` weights of their features; zero where nothing has been learned of them."""
        prior = None if outcome.options is None else outcome.options.prior
        return np.zeros(names or 0) if prior is None else np.array(prior)

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        columns, expected = list(frame.columns), ["choice", *cls.answers(names)]
        require(columns == expected, "predict gives the columns of its kind of target", f"they are {columns}")
        values = frame[cls.answers(names)].to_numpy(float)
        off = float(np.abs(values.sum(1) - 1).max())
        require(bool((values >= 0).all()) and off < 1e-6, "probabilities sum to one", f"one row is off by {off:.1e}")

    def described(self, outcome: Outcome) -> dict[str, Any]:
        seen = np.bincount(outcome.value.astype(int), minlength=self.most)
        sizes, many = np.unique(_options_of(outcome).sizes, return_counts=True)
        return {
            "classes": list(self.names),
            "counts": seen.tolist(),
            "by_chance": self._by_chance(outcome).tolist(),
            "options": {str(size): int(n) for size, n in zip(sizes, many, strict=True)},
        }

    def stored(self) -> dict[str, Any]:
        return {**super().stored(), "options": list(self.option_columns)}

    # Examples

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw `present` with probability 1 / (1 + exp(-s)), else `absent`, among options in an order of their own.

        Every third patient has a third option, `unclear`, which is never right.
        """
        from chiasm.targets.classification import drawn_label

        label = drawn_label(signal, rng, certain=certain)
        table, place = shuffled_options(label, rng)
        return table, cls("answer", tuple(f"option_{k + 1}" for k in range(3)), TEXT), place + 0.1 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the options as JSON lists, and the right one by its number from 1."""
        lists = [json.dumps(list(own)) for own in _options_of(outcome).texts.tolist()]
        table = pd.DataFrame({"options": lists, "right": outcome.value.astype(int) + 1}, index=ids)
        return table, type(self)("right", "options", FROM_1)


def chosen_frame(logits: Floats, there: NDArray[np.bool_], columns: Sequence[str]) -> pd.DataFrame:
    """Probabilities `(n, K)` over the options that are there, and the number of the most probable one from 1.

    Args:
        logits: (n, K); what stands where no option is counts for nothing.
        there: (n, K) True where the patient has the option.
        columns: K names of the probabilities.
    """
    lifted = np.where(there, logits, -np.inf)
    top = np.where(there.any(axis=1), lifted.max(axis=1), 0.0)
    weight = np.where(there, np.maximum(np.exp(np.where(there, logits - top[:, None], 0.0)), 1e-12), 0.0)
    p = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    frame = pd.DataFrame(p, columns=list(columns))
    frame.insert(0, "choice", p.argmax(axis=1) + 1)
    return frame


def shuffled_options(label: Ints, rng: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
    """Options in an order of each patient's own, of which 1 means the first of `WORDS` is right; and its place."""
    rows: list[list[str | None]] = []
    places_: list[int] = []
    for number, own in enumerate(label.tolist()):
        words: list[str | None] = list(WORDS[: 2 + (number % 3 == 0)])
        order = [words[int(k)] for k in rng.permutation(len(words))]
        places_.append(order.index(WORDS[0] if own else WORDS[1]))
        rows.append([*order, None][:3])
    table = pd.DataFrame(rows, columns=["option_1", "option_2", "option_3"])
    table["answer"] = [row[place] for row, place in zip(rows, places_, strict=True)]
    return table, np.array(places_, dtype=float)


def _options_of(outcome: Outcome) -> Options:
    if outcome.options is None:
        raise ValueError("the outcome has no options: a choice is among each patient's own")
    return outcome.options


def _told(way: str) -> str:
    return {"text": "its text", "letter": "its letter"}.get(way, f"its number {way}")


def _ambiguous(column: str, rivals: Sequence[str]) -> tuple[str, str]:
    if rivals:
        fits = " and ".join(_told(way) for way in rivals)
        what = f"column '{column}' can be read as {fits} of the right option, which are not the same options"
        own = f'"{rivals[-1]}"'
        return what, f"say which it is, as in answers = {own} in [target] or answers_by={own} of chiasm.Choice"
    what = f"column '{column}' names the right option neither by its text, nor its letter, nor its number"
    return what, "write the text of one of the patient's options, or its letter"
