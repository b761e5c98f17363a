"""Result of a trial: what every recipe predicted for every tested patient, and everything that follows from it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Outcome
from chiasm.cohort.units import alone_where_empty
from chiasm.evaluation.beside import beside
from chiasm.evaluation.document import SCHEMA as SCHEMA
from chiasm.evaluation.document import is_sound
from chiasm.evaluation.estimates import Estimate
from chiasm.evaluation.intervals import TestFold, one_label, patient_draws, tested_outcome, trial_scores
from chiasm.evaluation.stored_outcomes import VALUE_OF as VALUE_OF
from chiasm.evaluation.stored_outcomes import outcome_of as outcome_of
from chiasm.evaluation.verdict import Verdict
from chiasm.fitting.tuning.record import settings_table
from chiasm.limits import RUN_JSON_BYTES, TABLE_BYTES, require_regular
from chiasm.metrics.scores import PRIMARY
from chiasm.shown import html_page, html_table, interval_cells, text_table, visible
from chiasm.targets import Target, kind_of

SEALED = "sealed.json"
SEALED_PARTS = ("number", "openings", "patients", "left_out", "otherwise", "recipes", "conclusion", "sentence")
LEADING = ("recipe", "repeat", "fold", "patient", "pattern")
Reporter = Callable[["Trial", Path], Path]
Plotter = Callable[["Trial"], Any]


class TrialError(ValueError):
    """Error in a trial or its run folder, such as a folder that holds no trial or another one than was asked for."""


@dataclass(frozen=True)
class Trial:
    """Result of `evaluate`.

    Args:
        document: content of `trial.json`; numbers that are not estimable are None.
        predictions: out-of-fold predictions, one row per (recipe, repeat, fold, patient): `recipe, repeat, fold,
            patient, pattern` and the prediction's columns.
        outcomes: one row per patient of the cohort, by id: `value` (for labels one `value_<label>` each), `event` for
            times, `cause` for competing risks (0, or the place of the cause among `classes` from 1), `pattern`, the
            number of `modalities`, `fold` and `group` where there are any, and the `unit` that the folds keep together,
            where it is more than one patient.
        reporter, plotter: write the page, and draw its pictures; supplied by the public API.
        reference: outcomes that stand in for the training patients' where these are not in the table, as for a model
            that was fitted elsewhere; None: the patients outside each fold.
    """

    document: Mapping[str, Any]
    predictions: pd.DataFrame
    outcomes: pd.DataFrame
    reporter: Reporter | None = None
    plotter: Plotter | None = None
    reference: Outcome | None = None

    def __repr__(self) -> str:
        verdict = self.verdict
        said = "no verdict" if verdict is None else f"{verdict.outcome}\n{verdict.sentence}"
        return visible(f"Trial of {self._subject}: {said}")

    def __str__(self) -> str:
        """What `print` shows: every recipe with its interval, and the verdict in words."""
        verdict, (metric, *_) = self.verdict, self.table()["metric"]
        rows = [
            (row["recipe"], Estimate(row["mean"], row["low"], row["high"]), f"{row['trained_parameters']:,}")
            for row in self.table().to_dict("records")
        ]
        table = text_table(("recipe", f"{metric} (95 % interval, given the fitted models)", "parameters"), rows)
        said = "no verdict" if verdict is None else verdict.sentence
        return f"{visible(f'Trial of {self._subject}')}\n\n{table}\n\n{visible(said)}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict in words and the table of recipes."""
        verdict = self.verdict
        rows = [
            (row["recipe"], row["metric"], *interval_cells(row["mean"], row["low"], row["high"]))
            for row in self.table().to_dict("records")
        ]
        table = html_table(("recipe", "metric", "mean", "95 % interval, conditional"), rows)
        return html_page(f"Trial of {self._subject}", "no verdict" if verdict is None else verdict.sentence, table)

    @property
    def _subject(self) -> str:
        cohort, protocol = self.document["cohort"], self.document["protocol"]
        return f"'{cohort['name']}', {cohort['patients']:,} patients, {self.kind}, {protocol['test_folds']} test folds"

    @property
    def verdict(self) -> Verdict | None:
        """Verdict on whether combining paid; None if the trial has no single or no combined recipe."""
        stored = self.document["verdict"]
        if stored is None:
            return None
        numbers = {key: math.nan if stored[key] is None else stored[key] for key in ("difference", "low", "high")}
        triples = {
            key: tuple(math.nan if value is None else value for value in stored[key])
            for key in ("coverage", "combining", "beyond_presence", "fixed")
        }
        settle = None if stored["settle"] is None else tuple(stored["settle"])
        return Verdict(**{**stored, **numbers, **triples, "findings": tuple(stored["findings"]), "settle": settle})

    @property
    def kind(self) -> str:
        """Kind of the target."""
        return str(self.document["cohort"]["target"]["kind"])

    @property
    def target(self) -> type[Target]:
        """The kind of target, to be asked about it."""
        return kind_of(self.kind)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.document["cohort"]["target"].get("classes", ()))

    def table(self) -> pd.DataFrame:
        """Table of the recipes: recipe, metric, mean, low, high (NaN if not estimable), seconds, trained_parameters.

        Low and high alone are NaN where there is no interval, because the patients of a fold are of one group, or a
        label is missing in too many draws.

        `interval` says what low and high are: "conditional", the 95 % interval given the fitted models, which reflects
        the sampling of tested patients and not that of training sets.
        """
        columns = ["recipe", "metric", "mean", "low", "high", "seconds", "trained_parameters", "interval"]
        rows = [{"recipe": row["name"], **row, "interval": "conditional"} for row in self.document["recipes"]]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.astype({"mean": float, "low": float, "high": float})

    def patterns(self) -> pd.DataFrame:
        """Table of the primary metric for each recipe and pattern of present modalities, with n, events and interval.

        The metric is computed within the pattern in each fold and averaged over folds; NaN where events are too few.
        """
        rows = []
        pattern = self.outcomes["pattern"].to_numpy(object)
        counts = self.outcomes.loc[self.predictions["patient"].unique(), "pattern"].value_counts()
        for name in counts.index:
            chosen = [(key, fold, np.flatnonzero(pattern[fold.patients] == name)) for key, fold in self.folds.items()]
            parts = [(key, fold.take(rows_here), rows_here) for key, fold, rows_here in chosen if len(rows_here)]
            folds = [part for _, part, _ in parts]
            tested = self.outcomes.index[pattern == name].intersection(self.predictions["patient"].unique())
            events = main_events(self.outcomes.loc[tested])
            for recipe in self.frames:
                frames = [self.frames[recipe][key].iloc[rows_here] for key, _, rows_here in parts]
                found = trial_scores(self.kind, folds, frames, self.classes, self.draws, [PRIMARY[self.kind]])
                value = found[PRIMARY[self.kind]]
                row = {
                    "recipe": recipe,
                    "pattern": name,
                    "n": len(tested),
                    "events": events,
                    "metric": PRIMARY[self.kind],
                }
                rows.append({**row, "mean": value.mean, "low": value.low, "high": value.high})
        return pd.DataFrame(rows)

    def labels(self) -> pd.DataFrame:
        """Table of each recipe's AUROC for each label: recipe, label, n, positives, mean, low, high.

        `n` counts the tested patients whose label is known. NaN where fewer than five have the label, or fewer than
        five do not; such a label is left out of the mean over labels. Empty for targets that are not multilabel.
        """
        rows = []
        folds = list(self.folds.values()) if self.target.has_labels else []
        known = tested_outcome(folds).value if folds else np.zeros((0, 0))
        for recipe, frames in self.frames.items() if folds else ():
            for k, label in enumerate(self.classes):
                own = one_label(folds, [frames[key] for key in self.folds], self.classes, k)
                found = trial_scores(self.kind, *own, self.draws, ["auroc"])["auroc"]
                n, positives = int((~np.isnan(known[:, k])).sum()), int((known[:, k] == 1).sum())
                row = {"recipe": recipe, "label": label, "n": n, "positives": positives}
                rows.append({**row, "mean": found.mean, "low": found.low, "high": found.high})
        return pd.DataFrame(rows, columns=["recipe", "label", "n", "positives", "mean", "low", "high"])

    def tuning(self) -> pd.DataFrame:
        """Table of every setting that a tuned recipe tried in the training set of each outer fold; empty without one.

        Columns: recipe, repeat, fold, setting (in the order in which they were tried), options, mean (of the primary
        metric over inner folds), `inner_1` and so on, status ("finished", "stopped" where it was behind, "failed" where
        its training diverged) and whether it was picked. Scores are of inner folds: no test patient has a part in them.
        """
        rows = [
            {"recipe": row["name"], "repeat": fold["repeat"], "fold": fold["fold"], **setting}
            for row in self.document["recipes"]
            for fold in row["folds"]
            for setting in (settings_table(fold["tuning"]) if "tuning" in fold else ())
        ]
        leading = ["recipe", "repeat", "fold", "setting", "options", "mean", "status", "picked"]
        return pd.DataFrame(rows, columns=None if rows else leading)

    @property
    def plot(self) -> Any:
        """The pictures of the page, each as matplotlib axes: `trial.plot.forest()`, `contrasts`, `upset` and so on.

        `patterns`, `calibration` and `kaplan_meier` take names of recipes; `trial.plot.save(folder, ("svg", "pdf"))`
        writes every picture into a file.

        Raises:
            TrialError: the trial was made by hand.
        """
        if self.plotter is None:
            raise TrialError("made without a way to draw pictures: use chiasm.evaluate or chiasm.load_trial")
        return self.plotter(self)

    def sites(self, recipe: str | None = None) -> pd.DataFrame:
        """Table of the primary metric at each site, from models that never saw it, the largest site first.

        Columns: recipe, site, number, n, events, metric, mean, low, high and the standard error `se`; NaN where a site
        has too few. What follows over the sites stands in `document["sites"]`.

        Args:
            recipe: a recipe of the trial; None takes those that inner folds picked most often.

        Raises:
            ValueError: the folds were not drawn by site, or there is no such recipe.
        """
        from chiasm.evaluation.sites import site_table

        if recipe is not None:
            return site_table(self, recipe)
        names = [row["recipe"] for row in self.document.get("sites", ())] or list(self.frames)[:1]
        return pd.concat([site_table(self, name) for name in names], ignore_index=True)

    def subgroups(self, recipe: str | None = None) -> pd.DataFrame:
        """Table of each level of the declared subgroups: n, the primary metric, calibration, and the differences.

        Columns: recipe, subgroup, level ("" for an empty cell), n and `fewest` (events, or members of the rarest class;
        NaN for fewer than five patients), `said` ("too few to say", or empty), metric, mean, low, high; `against`, the
        largest level, and the difference; calibration slope, intercept and observed to expected, at a middle horizon.

        Args:
            recipe: a recipe of the trial; None takes those that inner folds picked most often.

        Raises:
            ValueError: the cohort declares no subgroups, or there is no such recipe.
        """
        from chiasm.evaluation.subgroups import subgroup_table

        return subgroup_table(self, recipe)

    def decisions(self, recipe: str | None = None) -> pd.DataFrame:
        """Table of decision curves: recipe, outcome, threshold, net benefit, that of treating all, and the gain.

        The gain is over the better of treating everybody and nobody; both have intervals. Empty for numbers, and where
        an outcome has fewer than ten cases or others. `recipe` None takes those that inner folds picked most often.
        """
        from chiasm.evaluation.decisions import decision_table

        return decision_table(self, recipe)

    def d_calibration(self, recipe: str | None = None) -> pd.DataFrame:
        """Table of D-calibration of survival: recipe, n, events, statistic, p, tenths; `recipe` as for `decisions`."""
        from chiasm.evaluation.decisions import d_calibration_table

        return d_calibration_table(self, recipe)

    def channels(self, recipe: str | None = None) -> pd.DataFrame:
        """Table of each channel of a response, beside its noise ceiling; `recipe` as for `decisions`."""
        from chiasm.evaluation.channels import channel_table

        return channel_table(self, recipe)

    def drawn(self, recipe: str | None = None) -> pd.DataFrame:
        """Table of how each label of what is drawn is found, and how much is said; `recipe` None takes all recipes."""
        from chiasm.evaluation.found import found_table

        return found_table(self, recipe)

    boxes = drawn

    def report(self, path: Path | str) -> Path:
        """Write the report as one self-contained HTML file."""
        if self.reporter is None:
            raise TrialError("made without a way to write a page: use chiasm.evaluate or chiasm.load_trial")
        return self.reporter(self, Path(path))

    @cached_property
    def all_outcomes(self) -> Outcome:
        """Outcomes of every patient of the cohort, in the order of `outcomes`."""
        told = self.document["cohort"]["target"]
        return outcome_of(self.outcomes, self.classes if self.target.has_labels else (), told)

    @cached_property
    def units(self) -> np.ndarray | None:
        """(N,) who is drawn as one, by the labels of what the folds keep together, else of groups; None for nobody."""
        kept = next((name for name in ("unit", "group") if name in self.outcomes), None)
        return None if kept is None else alone_where_empty(self.outcomes[kept].to_numpy(str))

    @cached_property
    def folds(self) -> dict[tuple[int, str], TestFold]:
        """Outer test folds by (repeat, fold), in the form that the metrics take."""
        position = pd.Series(np.arange(len(self.outcomes)), index=self.outcomes.index)
        outcome, groups = self.all_outcomes, self.units
        first = self.predictions[self.predictions["recipe"] == self.predictions["recipe"].iloc[0]]
        folds = {}
        for key, part in first.groupby(["repeat", "fold"], sort=True):
            repeat, fold = fold_key(key)
            patients = np.sort(position[part["patient"]].to_numpy())
            others = np.setdiff1d(np.arange(len(self.outcomes)), patients)
            train = outcome.take(others) if self.reference is None else self.reference
            folds[(repeat, fold)] = TestFold(
                repeat, fold, patients, outcome.take(patients), train, None if groups is None else groups[patients]
            )
        return folds

    @cached_property
    def frames(self) -> dict[str, dict[tuple[int, str], pd.DataFrame]]:
        """Predictions of each recipe in each fold, in the order of the fold's patients."""
        frames: dict[str, dict[tuple[int, str], pd.DataFrame]] = {}
        names = [row["name"] for row in self.document["recipes"]] or list(self.predictions["recipe"].unique())
        for (recipe, *rest), part in self.predictions.groupby(["recipe", "repeat", "fold"], sort=True):
            ids = self.outcomes.index[self.folds[fold_key(rest)].patients]
            columns = part.drop(columns=list(LEADING)).dropna(axis=1, how="all")
            frames.setdefault(str(recipe), {})[fold_key(rest)] = columns.set_axis(part["patient"]).loc[ids]
        return {name: frames[name] for name in names}

    @cached_property
    def draws(self) -> np.ndarray:
        """Bootstrap counts of this trial, `(R, N)`, the same for every recipe."""
        protocol = self.document["protocol"]
        return patient_draws(list(self.folds.values()), len(self.outcomes), protocol["draws"], protocol["seed"])


def fold_key(key: Any) -> tuple[int, str]:
    """Convert the key of grouped predictions to (repeat, fold)."""
    repeat, fold = key
    return int(repeat), str(fold)


def main_events(outcomes: pd.DataFrame) -> int | None:
    """Number of events among rows of the `outcomes` table, of competing risks those of the main cause; None without."""
    if "cause" in outcomes:
        return int((outcomes["cause"] == 1).sum())
    return int(outcomes["event"].sum()) if "event" in outcomes else None


def load_trial(folder: Path | str, reporter: Reporter | None = None, plotter: Plotter | None = None) -> Trial:
    """Read a finished trial back from its run folder.

    Raises:
        TrialError: the folder holds no finished trial, a damaged one, or one of another schema.
    """
    folder = Path(folder)
    files = [folder / name for name in ("trial.json", "predictions.parquet", "outcomes.parquet")]
    for file in files:
        if not file.is_file():
            raise TrialError(
                f"'{folder.name}' holds no finished trial: '{file.name}' is missing; run chiasm evaluate --out first"
            )
    document = read_document(files[0])
    if document.get("schema") != SCHEMA:
        raise TrialError(
            f"'{folder.name}/trial.json' has another schema than this chiasm reads ({SCHEMA}): evaluate again"
        )
    try:
        predictions, outcomes = (pd.read_parquet(file) for file in files[1:] if require_regular(file, TABLE_BYTES))
    except (ValueError, OSError) as error:  # pyarrow raises either
        raise TrialError(_damaged(folder)) from error
    held = is_sound(document) and {*LEADING} <= {*predictions} and "patient" in outcomes
    if not held or not set(predictions["patient"]) <= set(outcomes["patient"]):
        raise TrialError(_damaged(folder))
    if (folder / SEALED).is_file():
        document["sealed"] = read_document(folder / SEALED)
        if not {*SEALED_PARTS} <= document["sealed"].keys():
            raise TrialError(_damaged(folder))
    document |= beside(folder, TrialError)
    return Trial(document, predictions, outcomes.set_index("patient"), reporter, plotter)


def read_document(file: Path) -> dict[str, Any]:
    """Read a JSON file of a run folder.

    Raises:
        TrialError: it is damaged.
    """
    try:
        require_regular(file, RUN_JSON_BYTES)
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:  # a LimitError among them
        raise TrialError(_damaged(file.parent)) from error
    if not isinstance(document, dict):
        raise TrialError(_damaged(file.parent))
    return document


def _damaged(folder: Path) -> str:
    return f"'{folder.name}' holds a damaged trial: evaluate again into another folder"
