"""Two candidates on the same items: paired differences with intervals, tests, and Holm's correction over all of them.

Items are paired by id and content; what only one of the runs has is left out and counted. Where each item is drawn
alone the test of a share is McNemar's, exact; where items hang together the signs of the groups' differences are
flipped. A figure that is no mean has an interval and no test.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.bench.controls import ITSELF
from chiasm.bench.figures import Figure
from chiasm.bench.marks import Marks
from chiasm.bench.running import RESULT, Benched, scored_again
from chiasm.bench.scoring import counted, difference, none_for_nan, one, sums_of_units, weights_of
from chiasm.bench.suite import Suite
from chiasm.metrics.shares import mcnemar, sign_flips
from chiasm.metrics.two_sample import holm
from chiasm.shown import ends, number


@dataclass(frozen=True)
class Pair:
    """A figure of two candidates on the same items, the second less the first; p is None where there is no test."""

    suite: str
    figure: str
    label: str
    n: int
    units: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    test: str
    p: float | None
    holm: float | None = None

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: none_for_nan(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Compared:
    """The pairs of all suites and figures, the names of both candidates, and what was left out."""

    first: str
    second: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    def table(self) -> pd.DataFrame:
        """A row for each suite and figure."""
        return pd.DataFrame([own.as_json() for own in self.pairs])

    def cells(self) -> tuple[tuple[str, ...], list[list[str]]]:
        """The headings and the rows of the table as text."""
        return PAIR_HEADINGS, [cells_of_pair(own) for own in self.pairs]

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        rows = [own.as_json() for own in self.pairs]
        return {"first": self.first, "second": self.second, "pairs": rows, "notes": list(self.notes)}


def compared(
    first: Path, second: Path, suite_named: Callable[[str], Suite], *, draws: int = 1000, seed: int = 0
) -> Compared:
    """Compare two runs, or two folders of runs by suite.

    Args:
        first, second: each a folder of one run, or one whose folders are runs.
        suite_named: returns the suite of a name.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: a folder holds no run, they have no suite in common, or no item.
    """
    one_side, other = runs_in(first), runs_in(second)
    shared = [name for name in one_side if name in other]
    if not shared:
        raise ValueError(
            f"'{first.name}' and '{second.name}' have no suite in common ({', '.join(one_side)}; {', '.join(other)})"
        )
    alone = sorted((set(one_side) | set(other)) - set(shared))
    notes = [f"only one of them has {', '.join(alone)}"] if alone else []
    pairs: list[Pair] = []
    names: list[tuple[str, str]] = []
    for name in shared:
        runs = [scored_again(side[name], suite_named) for side in (one_side, other)]
        names.append((str(runs[0].document["candidate"]["name"]), str(runs[1].document["candidate"]["name"])))
        own, said = pairs_of(name, runs[0], runs[1], suite_named(name), draws, seed)
        pairs += own
        notes += said
    tested = [k for k, own in enumerate(pairs) if own.p is not None]
    adjusted = holm(np.array([pairs[k].p for k in tested], dtype=np.float64)).tolist() if tested else list[float]()
    corrected = dict(zip(tested, adjusted, strict=True))
    told = tuple(Pair(**{**asdict(own), "holm": corrected.get(k)}) for k, own in enumerate(pairs))
    return Compared(
        " / ".join(dict.fromkeys(n for n, _ in names)),
        " / ".join(dict.fromkeys(n for _, n in names)),
        told,
        tuple(notes),
    )


def runs_in(folder: Path) -> dict[str, Path]:
    """Find the runs of a folder: name of the suite to the run's folder.

    Raises:
        ValueError: there is none, or two of one suite.
    """
    from chiasm.bench.running import result_of

    if (folder / RESULT).is_file():
        return {result_of(folder)["suite"]: folder}
    found: dict[str, Path] = {}
    for place in sorted(folder.glob(f"*/{RESULT}")):
        name = result_of(place.parent)["suite"]
        if name in found:
            raise ValueError(f"'{folder.name}' holds two runs of '{name}': name the folder of the one that is meant")
        found[name] = place.parent
    if not found:
        raise ValueError(f"'{folder.name}' holds no {RESULT}: name the --out of a finished chiasm bench")
    return found


def pairs_of(
    name: str, first: Benched, second: Benched, suite: Suite, draws: int, seed: int
) -> tuple[list[Pair], list[str]]:
    """Compare every figure of two runs of a suite, on the items that both have.

    A figure that judges groups counts those of which all items stand in both runs: one side of a pair is no set.
    """
    marks = [run.marks[ITSELF] for run in (first, second)]
    places = [{item.digest: k for k, item in enumerate(own.items)} for own in marks]
    both = [digest for digest in places[0] if digest in places[1]]
    if not both:
        raise ValueError(f"the two runs of '{name}' have no item in common: run them on the same files")
    ours, theirs = (own.take(np.array([place[d] for d in both])) for own, place in zip(marks, places, strict=True))
    alone = [np.array([digest not in other for digest in own], dtype=bool) for own, other in (places, places[::-1])]
    left_out = np.concatenate([own.units[rows] for own, rows in zip(marks, alone, strict=True)])
    lost = [int(rows.sum()) for rows in alone]
    notes = [f"{name}: {lost[0]:,} and {lost[1]:,} items stand in one run only and are left out"] if any(lost) else []
    weights = weights_of(ours, draws, seed)
    pairs = []
    for figure in suite.figures(ours.items):
        rows = counted(figure, ours, left_out)
        pairs.append(pair_of(name, figure, ours.take(rows), theirs.take(rows), weights[:, rows]))
    return pairs, notes


def pair_of(name: str, figure: Figure, ours: Marks, theirs: Marks, weights: Any) -> Pair:
    """Compare one figure."""
    values = one(figure, ours), one(figure, theirs)
    _, low, high, _ = difference(figure, theirs, ours, weights)
    terms = figure.terms(ours), figure.terms(theirs)
    gained = dropped = 0
    test, p, n, units = "none", None, len(ours.items), len(ours.members)
    if terms[0] is not None and terms[1] is not None:
        there = np.isfinite(terms[0]) & np.isfinite(terms[1])
        apart = (terms[1] - terms[0])[there]
        sums = sums_of_units(terms[1] - terms[0], ours, there)
        n, units = len(apart), len(sums)
        gained, dropped = int((apart > 0).sum()), int((apart < 0).sum())
        if n and set(np.unique(apart)) <= {-1.0, 0.0, 1.0} and units == n:
            test, p = "McNemar, exact", mcnemar(gained, dropped)
        elif n:
            test, p = "signs of groups flipped", sign_flips(sums)
    return Pair(
        name, figure.id, figure.label, n, units, *values, values[1] - values[0], low, high, gained, dropped, test, p
    )


PAIR_HEADINGS = ("suite", "figure", "items", "first", "second", "difference (95 %)", "p", "p (Holm)")


def cells_of_pair(own: Pair) -> list[str]:
    """A pair as the cells of a table."""
    return [
        own.suite, own.label, f"{own.n:,}" + (f" in {own.units:,}" if own.units < own.n else ""), number(own.first),
        number(own.second), f"{number(own.difference)} ({ends(own.low, own.high)})", p_told(own.p), p_told(own.holm),
    ]  # fmt: skip


def p_told(p: float | None) -> str:
    """A p value as text."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def as_markdown(own: Compared) -> str:
    """The table in Markdown."""
    rows = [PAIR_HEADINGS, ["---"] * len(PAIR_HEADINGS), *map(cells_of_pair, own.pairs)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", *_legend(own)]) + "\n"


def as_latex(own: Compared) -> str:
    """The table in LaTeX, with booktabs."""
    rows = [" & ".join(map(_latex, row)) + r" \\" for row in (PAIR_HEADINGS, *map(cells_of_pair, own.pairs))]
    body = "\n".join(rows[1:])
    legend = "\n".join(f"% {line}" for line in _legend(own))
    head = f"{legend}\n\\begin{{tabular}}{{llrrrrrr}}\n\\toprule\n{rows[0]}\n\\midrule\n"
    return f"{head}{body}\n\\bottomrule\n\\end{{tabular}}\n"


def as_csv(own: Compared) -> str:
    """The table as CSV in full precision."""
    out = StringIO()
    fields = list(Pair.__dataclass_fields__)
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(pair.as_json() for pair in own.pairs)
    return out.getvalue()


WRITERS: dict[str, Callable[[Compared], str]] = {".md": as_markdown, ".tex": as_latex, ".csv": as_csv}
"""Ending of a file to what writes it."""


def require_writer(path: Path) -> Callable[[Compared], str]:
    """Return what writes a file of this ending.

    Raises:
        ValueError: another ending.
    """
    if path.suffix not in WRITERS:
        raise ValueError(f"'{path.name}' must end in {', '.join(WRITERS)}: the table is written as one of them")
    return WRITERS[path.suffix]


def _legend(own: Compared) -> list[str]:
    tests: Sequence[str] = list(dict.fromkeys(pair.test for pair in own.pairs if pair.p is not None))
    said = f"First: {own.first}. Second: {own.second}. Differences: second less first, groups of items drawn."
    return [
        said,
        f"Tests: {'; '.join(tests)}; Holm over {sum(p.p is not None for p in own.pairs)} of them."
        if tests
        else "No test.",
        *own.notes,
    ]


def _latex(text: str) -> str:
    signs = {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
    }
    signs |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$"}
    return "".join(signs.get(sign, sign) for sign in text)
