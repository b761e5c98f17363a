"""Tuned recipes: what each tried within the training folds, what it picked and how often, as a table and a picture."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from chiasm.evaluation import Trial
from chiasm.fitting.tuning.record import FAILED, FINISHED, STOPPED, scored_alike
from chiasm.metrics.scores import PRIMARY
from chiasm.report.drawing import FAINT, INK, QUIET, WIDTH, NewSheet, Picture, sheet, style, wrapped
from chiasm.report.wording import count, listing, metric_of, number

SHOWN = 8  # settings of a recipe on the page; trial.json has all


@dataclass(frozen=True)
class Setting:
    """A setting over the outer folds: its mean inner score where it finished, how often it did, and was picked."""

    recipe: str
    options: str
    mean: str
    finished: str
    picked: str


@dataclass(frozen=True)
class TuningPart:
    """A sentence on each tuned recipe, its settings, the most often picked first, the score's label, a picture."""

    said: list[str]
    rows: list[Setting]
    label: str
    picture: Picture


def tuning_part(trial: Trial, new: NewSheet = sheet) -> TuningPart | None:
    """Collect the searches of a trial; None where no recipe was tuned."""
    table = trial.tuning()
    if table.empty:
        return None
    rows = [row for _, own in table.groupby("recipe", sort=False) for row in shown(own)]
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    return TuningPart(searches_told(trial), rows, label, draw_settings(table, label, new))


def searches_told(trial: Trial) -> list[str]:
    """Say of each tuned recipe what it tried and picked."""
    settings = {str(row["name"]): int(row["settings"]) for row in trial.document["recipes"] if "settings" in row}
    groups = trial.tuning().groupby("recipe", sort=False)
    return [searched(own, settings.get(str(name), 1)) for name, own in groups]


def searched(own: pd.DataFrame, settings: int) -> str:
    """Say how many settings a recipe tried in each training set, how many ended early, and how many it picked."""
    name, each = own["recipe"].iloc[0], own.groupby(["repeat", "fold"], sort=False).size().tolist()
    inner = [column for column in own.columns if column.startswith("inner_") and own[column].notna().any()]
    if not inner:
        return f"'{name}' tried one setting, and nothing was searched."
    tries = count(each[0], "setting") if len(set(each)) == 1 else f"{min(each):,} to {max(each):,} settings"
    words = {STOPPED: "stopped early, being behind", FAILED: "failed, their training having diverged"}
    numbers = {word: int((own["status"] == status).sum()) for status, word in words.items()}
    ended = listing([f"{n:,} {word}" for word, n in numbers.items() if n]) or "none was stopped early"
    counted = f" (counted as {settings:,}, the most that it may try with what it selects by itself)"
    selects = "" if settings <= max(each) else counted
    picked = count(int(own.loc[own["picked"], "options"].nunique()), "setting", "different settings")
    finished = own[own["status"] == FINISHED].groupby(["repeat", "fold"], sort=False)["mean"]
    alike = sum(scored_alike(means.tolist()) for _, means in finished)
    same = f" In {alike:,} of them all that finished scored alike, and the first was taken." if alike else ""
    where = "its one training set" if len(each) == 1 else f"each of {len(each):,} training sets"
    return (
        f"'{name}' tried {tries}{selects} in {where}, on "
        f"{count(len(inner), 'inner fold')}; of {len(own):,} in all {ended}. It picked {picked}.{same}"
    )


def shown(own: pd.DataFrame) -> list[Setting]:
    """The settings of one recipe, the most often picked first, then by their mean inner score."""
    groups = own.groupby("options", sort=False)
    found = pd.DataFrame(
        {
            "picked": groups["picked"].sum(),
            "mean": groups["mean"].mean(),
            "finished": groups["status"].agg(lambda status: int((status == FINISHED).sum())),
            "tried": groups.size(),
        }
    )
    found = found.sort_values(["picked", "mean"], ascending=False, kind="stable").head(SHOWN)
    name = str(own["recipe"].iloc[0])
    return [
        Setting(name, str(options), number(row["mean"]), f"{row['finished']:,} of {row['tried']:,}", str(row["picked"]))
        for options, row in zip(found.index, found.to_dict("records"), strict=True)
    ]


def draw_settings(table: pd.DataFrame, label: str, new: NewSheet = sheet) -> Picture:
    """Draw the mean inner score of each setting that finished in each training set, those that were picked filled."""
    names = list(dict.fromkeys(table["recipe"]))
    finished = table[table["mean"].notna()]
    with style():
        figure = new(0.9 + 0.5 * len(names), WIDTH)
        axes = figure.add_subplot()
        for y, name in enumerate(reversed(names)):
            own = finished[finished["recipe"] == name]
            others, picked = own[~own["picked"]], own[own["picked"]]
            axes.plot(others["mean"], [y] * len(others), "o", color=QUIET, markerfacecolor="none", markersize=5)
            axes.plot(picked["mean"], [y] * len(picked), "o", color=INK, markersize=6)
        labels = [wrapped(name) for name in reversed(names)]
        axes.set(yticks=range(len(names)), yticklabels=labels, ylim=(-0.6, len(names) - 0.4))
        axes.set_xlabel(f"{label}, mean over inner folds; filled: picked, one for each training set")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        described = "; ".join(_described(name, finished[finished["recipe"] == name]) for name in names)
        return Picture(figure, (axes,), f"Inner {label} of the settings that were tried. {described}.")


def _described(name: str, own: pd.DataFrame) -> str:
    if own.empty:
        return f"{name}: not estimable"
    return f"{name}: {number(float(own['mean'].min()))} to {number(float(own['mean'].max()))}"
