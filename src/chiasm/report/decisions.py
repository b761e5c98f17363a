"""Decisions part of the report: net benefit beside treating everybody and nobody, and tenths of survival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.decisions import DRAWS
from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, NewSheet, Picture, sheet, style, wrapped
from chiasm.report.wording import interval, listing, number

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Thresholds of the table."""
MOST = 6
"""Outcomes, of several classes or labels, that are drawn and tabulated."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class DecisionsPart:
    """How it is read, rows of recipe, outcome, threshold and values, the picture, and the tenths of survival."""

    said: str
    rows: list[tuple[str, str, str, list[str]]]
    picture: Picture | None
    tenths: list[tuple[str, list[str]]]
    tenths_said: str


def decisions_part(trial: Trial, new: NewSheet = sheet) -> DecisionsPart | None:
    """Build the part from the trial's document; None where it has neither curves nor tenths."""
    rows: Sequence[Row] = trial.document.get("decisions") or []
    tenths: Sequence[Row] = trial.document.get("d_calibration") or []
    if not rows and not tenths:
        return None
    outcomes = list(dict.fromkeys(row["outcome"] for row in rows))
    kept = [row for row in rows if row["outcome"] in outcomes[:MOST]]
    cases = "cases with the event by the middle horizon" if trial.target.has_times else "cases"
    said = ""
    if rows:
        said = (
            f"Net benefit: {cases} that are found per patient, less needless treatments, where whoever has a predicted "
            "probability of the threshold or more is treated. The threshold says how many needless treatments one case "
            "is worth: at 10 % nine. Where the curve does not lie above both treating everybody and treating nobody, "
            "the prediction is of no use to that decision. Each patient once (first repeat), intervals from "
            f"{DRAWS} bootstrap draws, given the fitted models."
        )
        if trial.target.has_causes:
            said += (
                " Cases of one cause are counted by its Aalen-Johansen incidence among those who would be treated: who "
                "had another cause before is no case, and is never one later. Of the first event of whatever cause it "
                "is one less the share without any."
            )
        if len(outcomes) > MOST:
            said += f" The first {MOST} of {len(outcomes)} outcomes are shown."
    table = [
        (
            str(row["recipe"]),
            str(row["outcome"]),
            f"{100 * row['threshold']:g} %",
            [
                interval(row["net_benefit"], row["low"], row["high"]),
                number(row["treat_all"]),
                interval(row["gain"], row["gain_low"], row["gain_high"]),
            ],
        )
        for row in kept
        if row["threshold"] in SHOWN
    ]
    shown = [(str(row["recipe"]), tenth_row(row)) for row in tenths]
    return DecisionsPart(said, table, draw(kept, outcomes[:MOST], new) if kept else None, shown, tenths_told(tenths))


def tenth_row(row: Row) -> list[str]:
    """Format patients, events, the share in each tenth, the statistic and its p."""
    shares = [f"{100 * row[f'tenth_{k}']:.0f} %" for k in range(1, 11)]
    p = "<0.001" if row["p"] < 0.001 else number(row["p"])
    return [f"{row['n']:,}", f"{row['events']:,}", *shares, f"{row['statistic']:.1f}", p]


def tenths_told(rows: Sequence[Row]) -> str:
    """Say how D-calibration is read, and which recipes it speaks against; empty without any."""
    if not rows:
        return ""
    against = [f"'{row['recipe']}'" for row in rows if row["p"] < 0.05]
    told = (
        f"It speaks against {listing(against)}"
        if against
        else "It does not speak against what is predicted, which is no proof of it"
    )
    return (
        "D-calibration: where predicted survival is right, a tenth of the patients have their event in each tenth of "
        "it. Censored patients are shared out over the tenths that are left to them; the hazard is taken as constant "
        f"between horizons, and nobody is followed past the last one. {told} (p below .05 of a chi-squared test)."
    )


def draw(rows: Sequence[Row], outcomes: Sequence[str], new: NewSheet = sheet) -> Picture:
    """Draw a panel for each outcome: the net benefit of each recipe with its interval, of treating all, and of none."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    wide = min(len(outcomes), 2)
    with style():
        figure = new(3.5 * -(-len(outcomes) // wide), 4.2 * wide)
        drawn = []
        for place, outcome in enumerate(outcomes):
            axes = figure.add_subplot(-(-len(outcomes) // wide), wide, place + 1)
            drawn.append(axes)
            own = [row for row in rows if row["outcome"] == outcome]
            first = [row for row in own if row["recipe"] == recipes[0]]
            x = [row["threshold"] for row in first]
            axes.plot(
                x, [row["treat_all"] for row in first], color=QUIET, linestyle=(0, (4, 3)), label="treat everybody"
            )
            axes.axhline(0, color=INK, linewidth=0.9, label="treat nobody")
            for k, recipe in enumerate(recipes):
                mine = [row for row in own if row["recipe"] == recipe and row["net_benefit"] is not None]
                x = [row["threshold"] for row in mine]
                colour = SERIES[k % len(SERIES)]
                axes.plot(x, [row["net_benefit"] for row in mine], color=colour, label=wrapped(str(recipe), 28))
                if mine and all(row["low"] is not None for row in mine):
                    low, high = [row["low"] for row in mine], [row["high"] for row in mine]
                    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
            top = max((row["high"] or row["net_benefit"] or 0.0 for row in own), default=0.1)
            axes.set(
                xlim=(0, 0.92), ylim=(-0.25 * max(top, 0.02), 1.1 * max(top, 0.02)), title=wrapped(str(outcome), 40)
            )
            axes.set(xlabel="threshold probability", ylabel="net benefit" if place % wide == 0 else "")
            axes.grid(color=FAINT, linewidth=0.5)
            axes.set_axisbelow(True)
        figure.legend(*drawn[0].get_legend_handles_labels(), loc="outside lower left", fontsize=8, ncols=2)
        text = f"Net benefit against threshold of {listing([str(name) for name in recipes])}; numbers in the table."
        return Picture(figure, tuple(drawn), text)
