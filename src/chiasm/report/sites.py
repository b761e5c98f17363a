"""Sites part of the report: each site by models that never saw it, and what that says of a new site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.sites import LEAST, TOO_SMALL
from chiasm.metrics.scores import MIN_EVENTS, PRIMARY
from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, WIDTH, NewSheet, Picture, quiet_rows, sheet, style
from chiasm.report.kinds import page_of
from chiasm.report.wording import count, interval, metric_of, number, sentence

SHOWN = 40
ON_LOGITS = "on the logit scale, "


@dataclass(frozen=True)
class SitesPart:
    """How it was done, a sentence on each recipe, the table of the sites, and the picture of the first recipe."""

    said: str
    summaries: list[str]
    columns: list[str]
    rows: list[tuple[str, str, str, list[str]]]
    events: bool
    picture: Picture | None


def sites_part(trial: Trial, new: NewSheet = sheet) -> SitesPart | None:
    """Build the part from the trial's document; None where the folds were not drawn by site."""
    found: Sequence[Mapping[str, Any]] = trial.document.get("sites") or []
    if not found:
        return None
    metric = metric_of(trial.kind, PRIMARY[trial.kind])
    first = found[0]
    rows = [
        (
            f"site {site['site']}",
            f"<{LEAST}" if site["n"] is None else f"{site['n']:,}",
            "" if site["events"] is None else f"{site['events']:,}",
            [
                "" if site["n"] is None else interval(*(row["sites"][place][key] for key in ("mean", "low", "high")))
                for row in found
            ],
        )
        for place, site in enumerate(first["sites"][:SHOWN])
    ]
    scale = ON_LOGITS if first["scale"] == "logit" else ""
    said = (
        f"{sentence(metric.label)} among the patients of each site, from models that never saw the site; the intervals "
        f"are of its patients. Sites are numbered by size. Not estimable: fewer than {MIN_EVENTS} {page_of(trial).few} "
        f"at the site. Summary over the sites: {scale}random effects (DerSimonian and Laird), the interval of the mean "
        "by Hartung and Knapp, and where a new site would lie by Higgins (t with two degrees of freedom fewer than "
        "sites)."
    )
    if len(first["sites"]) > SHOWN:
        said += f" {count(len(first['sites']) - SHOWN, 'smaller site')} not shown."
    return SitesPart(
        said,
        [summary_told(row, metric.label) for row in found],
        [str(row["recipe"]) for row in found],
        rows,
        any(site["events"] is not None for site in first["sites"]),
        draw_sites(first, metric.label, new),
    )


def summary_told(row: Mapping[str, Any], label: str) -> str:
    """The summary over the sites of one recipe, in words."""
    own = row["summary"]
    reasons = row.get("why_left_out") or {TOO_SMALL: row["left_out"]}  # a trial of before has the number alone
    told = "; ".join(f"{count(number, 'site')} {why}" for why, number in reasons.items() if number)
    left_out = f" Left out: {told}." if told else ""
    if own["low"] is None:
        return f"'{row['recipe']}': {count(own['k'], 'site')} with an estimate, too few for a summary.{left_out}"
    said = (
        f"'{row['recipe']}': {label} {interval(own['mean'], own['low'], own['high'])} over {count(own['k'], 'site')}; "
        f"{100 * own['i2']:.0f} % of the variance lies between sites (tau2 {number(own['tau2'])})."
    )
    if own["new_low"] is not None:
        said += f" At a new site it would lie between {number(own['new_low'])} and {number(own['new_high'])} (95 %)."
    return said + left_out


def draw_sites(row: Mapping[str, Any], label: str, new: NewSheet = sheet) -> Picture | None:
    """Draw a row for each site with an estimate, and below them their mean and where a new one would lie."""
    known = [site for site in row["sites"] if site["mean"] is not None][:SHOWN]
    own = row["summary"]
    if own["low"] is None:
        return None
    named = [f"site {site['site']} (n = {site['n']:,})" for site in known]
    bars = [(site["mean"], site["low"], site["high"], QUIET, "o") for site in known]
    named.append("mean of the sites")
    bars.append((own["mean"], own["low"], own["high"], SERIES[1], "D"))
    if own["new_low"] is not None:
        named.append("a new site")
        bars.append((None, own["new_low"], own["new_high"], SERIES[0], ""))
    with style():
        figure = new(0.9 + 0.27 * len(bars), WIDTH)
        axes = figure.add_subplot()
        for place, (mean, low, high, colour, mark) in enumerate(reversed(bars)):
            if low is not None:
                axes.plot([low, high], [place, place], color=colour, linewidth=1.8, solid_capstyle="butt")
            if mean is not None:
                axes.plot([mean], [place], mark, color=colour, markersize=6)
        axes.set(yticks=range(len(bars)), yticklabels=named[::-1], ylim=(-0.6, len(bars) - 0.4))
        axes.set_xlabel(f"{label} of '{row['recipe']}', with 95 % interval", color=INK)
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        told = "; ".join(
            f"{name}: {interval(*bar[:3]) if bar[0] is not None else f'{bar[1]:.3f} to {bar[2]:.3f}'}"
            for name, bar in zip(named, bars, strict=True)
        )
        return Picture(figure, (axes,), f"{label} at each site. {told}.")
