"""Cohort part of the report: patients, outcome, and which modalities each patient has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.palette import WASH
from chiasm.report.drawing import FAINT, INK, QUIET, SINGLE, NewSheet, Picture, quiet_rows, sheet, style
from chiasm.report.kinds import page_of
from chiasm.report.wording import count, percent

MAX_PATTERNS = 20


@dataclass(frozen=True)
class CohortPart:
    """Facts as (name, text), the modalities as rows, and a picture of the patterns of modalities."""

    facts: list[tuple[str, str]]
    modalities: list[tuple[str, str, str, str]]
    picture: Picture
    more: str


def cohort_part(trial: Trial) -> CohortPart:
    """Describe the cohort in counts; spreads are rounded quantiles, so that no patient's own value is shown."""
    cohort = trial.document["cohort"]
    total = int(cohort["patients"])
    left_out = (
        "none" if not cohort["excluded"] else f"{cohort['excluded']:,}, without a known outcome or without any modality"
    )
    if cohort.get("read_without_outcome"):
        left_out += (
            f"; {cohort['read_without_outcome']:,} without a known outcome are read by recipes that learn from them, "
            "on the training side of each fold, and never scored"
        )
    facts = [("Cohort", str(cohort["name"])), ("Patients", f"{total:,}"), ("Left out", left_out)]
    if tested := tested_told(trial):
        facts.append(("Tested", tested))
    facts += page_of(trial).facts(trial)
    facts += [(name.capitalize(), f"{cohort[name]:,}") for name in ("groups", "sites") if cohort[name] is not None]
    if cohort.get("units") is not None:
        clusters = f"{count(total, 'patient')} in {count(cohort['units'], 'cluster')}"
        facts.append(("Clusters", f"{clusters}, each on one side of every fold and drawn as a whole by the bootstrap"))
    facts += [("Source", source_facts(entry)) for entry in cohort.get("sources", ())]
    modalities = [
        (name, kind_and_encoder(entry), f"{entry['present']:,}", percent(entry["present"] / total))
        for name, entry in cohort["modalities"].items()
    ]
    rest = len(cohort["patterns"]) - MAX_PATTERNS
    more = "" if rest <= 0 else f"{count(rest, 'rarer pattern')} not drawn."
    return CohortPart(facts, modalities, draw_patterns(cohort["patterns"], cohort["modalities"]), more)


def tested_told(trial: Trial) -> str:
    """Say how many patients are tested, where others are in training sets only; "" where everybody is."""
    total, tested = int(trial.document["cohort"]["patients"]), int(trial.predictions["patient"].nunique())
    return "" if tested == total else f"{tested:,}; the other {total - tested:,} are in training sets only"


def source_facts(entry: Mapping[str, Any]) -> str:
    """Describe a source: `tcga-brca, 956 patients with 130 events, never scored; shares cnv (177 columns)`.

    Of a fitted model: `model other/model (healnet), learned from 956 patients with 130 events; shares cnv`.
    """
    events = "" if entry["events"] is None else f" with {count(entry['events'], 'event')}"
    shared = [
        f"{name} ({count(columns, 'column')})" if columns else str(name) for name, columns in entry["columns"].items()
    ]
    if "recipe" in entry:
        learned = f", learned from {count(entry['patients'], 'patient')}{events}" if entry["patients"] else ""
        return f"model {entry['name']} ({entry['recipe']}){learned}; shares {', '.join(shared)}"
    return f"{entry['name']}, {count(entry['patients'], 'patient')}{events}, never scored; shares {', '.join(shared)}"


def kind_and_encoder(entry: Mapping[str, Any]) -> str:
    """Describe a modality: `text, encoded by minilm; 2 sources could not be read and count as absent`."""
    encoded = f", encoded by {entry['encoder']}" if "encoder" in entry else ""
    refused = entry.get("refused", 0)
    verb = "counts" if refused == 1 else "count"
    return f"{entry['kind']}{encoded}" + (
        f"; {count(refused, 'source')} could not be read and {verb} as absent" if refused else ""
    )


def draw_patterns(
    patterns: Mapping[str, int], modalities: Mapping[str, Mapping[str, Any]], new: NewSheet = sheet
) -> Picture:
    """Draw an UpSet plot: each column is a pattern of present modalities, each row a modality with its total."""
    shown = list(patterns.items())[:MAX_PATTERNS]
    names = sorted(modalities, key=lambda name: (modalities[name]["present"], name))
    sizes, totals = [n for _, n in shown], [int(modalities[name]["present"]) for name in names]
    members = [set(pattern.split("+")) for pattern, _ in shown]
    with style():
        figure = new(1.9 + 0.3 * len(names), min(8.4, 4.6 + 0.42 * len(shown)))
        grid = figure.add_gridspec(
            2,
            2,
            width_ratios=[1.5 + 0.06 * len(shown), max(1.2, 0.42 * len(shown))],
            height_ratios=[1.3, 0.3 * len(names) + 0.1],
        )
        columns = figure.add_subplot(grid[0, 1])
        dots = figure.add_subplot(grid[1, 1], sharex=columns)
        bars = figure.add_subplot(grid[1, 0], sharey=dots)
        columns.bar(range(len(shown)), sizes, color=INK, width=0.62)
        for x, n in enumerate(sizes):
            columns.annotate(f"{n:,}", (x, n), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8)
        columns.set(ylabel="patients", ylim=(0, 1.18 * max(sizes)), xlim=(-0.6, len(shown) - 0.4))
        columns.yaxis.set_major_formatter("{x:,.0f}")
        columns.tick_params(axis="x", length=0, labelbottom=False)
        columns.spines["bottom"].set_visible(False)
        for y in range(0, len(names), 2):
            dots.axhspan(y - 0.5, y + 0.5, color=WASH, linewidth=0)
        for x, present in enumerate(members):
            rows = [y for y, name in enumerate(names) if name in present]
            dots.scatter([x] * len(names), range(len(names)), s=44, color=FAINT, zorder=2)
            dots.plot([x, x], [min(rows), max(rows)], color=INK, linewidth=2, zorder=3)
            dots.scatter([x] * len(rows), rows, s=44, color=INK, zorder=4)
        dots.set(ylim=(-0.5, len(names) - 0.5))
        dots.tick_params(length=0, labelbottom=False, labelleft=False)
        for side in ("left", "bottom"):
            dots.spines[side].set_visible(False)
        bars.barh(range(len(names)), totals, color=SINGLE, height=0.62)
        bars.set(xlim=(1.45 * max(totals), 0), yticks=range(len(names)), yticklabels=names)
        for y, n in enumerate(totals):
            bars.annotate(f"{n:,}", (n, y), (-3, 0), textcoords="offset points", ha="right", va="center", fontsize=8)
        bars.tick_params(axis="x", length=0, labelbottom=False)
        bars.set_xlabel("patients with it", color=QUIET)
        bars.spines["bottom"].set_visible(False)
        quiet_rows(bars)
        described = "; ".join(f"{pattern.replace('+', ' and ')}: {count(n, 'patient')}" for pattern, n in shown)
        return Picture(figure, (columns, dots, bars), f"Patients by the modalities they have. {described}.")
