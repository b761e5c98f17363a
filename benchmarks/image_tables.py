"""The part of the page that `images.py` writes: its table, and what its intervals say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import not_run, part, rows_of

NAME = "images"
SHARES = (1, 10, 100)
BEFORE = ("raw", "vgg16", "rocket", "untrained", "scratch")
TRIED = ("mae", "simclr", "spark", "dino", "byol", "moco", "swav")  # of the methods
COHORTS = ("chest-xray", "adrenal-ct", "ptbxl-ecg", "blood-cells-bccd")
LINES = tuple(
    f"{cohort}/{way}"
    for way in (*BEFORE, *TRIED)
    for cohort in COHORTS
    if not (way == "rocket" and cohort != "ptbxl-ecg")
    and not (way == "vgg16" and cohort in ("ptbxl-ecg", "adrenal-ct"))
)
HEAD = (
    "| | 1 % | 10 % | 100 % | less raw at 10 % | CPU minutes of pretraining | effective rank |\n"
    "|---|---|---|---|---|---|---|"
)
INTRODUCTION = """## Did pretraining on our own images pay?

`python benchmarks/images.py`, its results in `benchmarks/results/images.jsonl`; this part of the page is written by
`--table`. Area under the curve of tested items with 1, 10 and 100 % of the labels in training, means over five draws of
labels; ways, networks and intervals are described in the script. A dash: fewer than 20 labels, or not asked.
"""


def less(rows: dict[str, dict[str, Any]], line: str, other: str) -> dict[str, dict[str, float]]:
    """A way less another, by share of labels: of either line, where one of them knew both."""
    name, _, way = line.partition("/")
    found: dict[str, dict[str, float]] = rows[line]["differences"].get(other, {})
    if found or f"{name}/{other}" not in rows:
        return found
    turned = rows[f"{name}/{other}"]["differences"].get(way, {})
    return {
        share: {"mean": -value["mean"], "low": -value["high"], "high": -value["low"]} for share, value in turned.items()
    }


def cell(value: dict[str, float] | None, sign: str = "") -> str:
    """A figure with its interval."""
    if value is None:
        return "-"
    return f"{value['mean']:{sign}.3f} ({value['low']:{sign}.3f} to {value['high']:{sign}.3f})"


def concluded(rows: dict[str, dict[str, Any]], other: str, words: str) -> str:
    """A sentence: where a method is better than something, where worse, by intervals that leave out zero."""
    told: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    for line in rows:
        if line.partition("/")[2] in TRIED:
            for share, value in less(rows, line, other).items():
                kind = "better" if value["low"] > 0 else "worse" if value["high"] < 0 else "open"
                told[kind].append(f"`{line}` at {share} %")
    number = sum(map(len, told.values()))
    if not number:
        return f"Beside {words} nothing was measured."
    better = f": {', '.join(told['better'])}" if told["better"] else ""
    return (
        f"Beside {words}: better in {len(told['better'])} of {number} comparisons{better}; worse in "
        f"{len(told['worse'])}, not told apart in {len(told['open'])}."
    )


def verdict(rows: dict[str, dict[str, Any]]) -> str:
    """The answer, by the intervals beside raw pixels and the released network."""
    won, lost, number = 0, 0, 0
    for line, row in rows.items():
        if line.partition("/")[2] not in TRIED:
            continue
        for share in row["values"]:
            own = [found[share] for other in ("raw", "vgg16") if share in (found := less(rows, line, other))]
            if own:
                number += 1
                won += all(value["low"] > 0 for value in own)
                lost += any(value["high"] < 0 for value in own)
    answer = "yes" if number and won == number else "in some places" if won else "no"
    return (
        f"Did pretraining on our own images pay? {answer.capitalize()}: beside raw pixels, and VGG16 where it was run, "
        f"intervals lie above zero for all in {won} of {number} comparisons, and below for one in {lost}."
    )


def write_part(results: Path, page: Path) -> str:
    """Write the table and what follows from it between the marks of the page, and return them."""
    rows = rows_of(results)
    rows = {line: rows[line] for line in LINES if line in rows}
    text = INTRODUCTION
    for name in COHORTS:
        own = {line.partition("/")[2]: row for line, row in rows.items() if line.startswith(f"{name}/")}
        if not own:
            continue
        first = next(iter(own.values()))
        text += (
            f"\n`{name}`: {first['trained']:,} items in training; {first['tested']:,} items of {first['groups']:,} "
            f"groups (images, people or smears) tested.\n\n{HEAD}"
        )
        for way, row in own.items():
            values = [cell(row["values"].get(str(share))) for share in SHARES]
            beside = cell(less(rows, f"{name}/{way}", "raw").get("10"), "+")
            minutes = f"{row['pretraining_seconds'] / 60:.1f}" if "pretraining_seconds" in row else "-"
            rank = f"{row['rank']:.1f}" if "rank" in row else "-"
            text += f"\n| `{way}` | {' | '.join(values)} | {beside} | {minutes} | {rank} |"
        text += "\n"
    said = {
        "raw": "raw pixels",
        "vgg16": "VGG16",
        "untrained": "the same network untrained",
        "scratch": "training on labels alone",
    }
    sentences = [concluded(rows, other, words) for other, words in said.items()]
    return part(
        page, NAME, "\n\n".join([text, *sentences, verdict(rows)]) + "\n" + "\n".join(not_run(LINES, rows)) + "\n"
    )
