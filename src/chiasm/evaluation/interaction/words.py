"""What the parts mean, in sentences: of each pair, and beside the verdict of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.evaluation.interaction.interaction import BOUNDS, FEWEST_PATIENTS, FEWEST_RAREST, TOO_FEW
from chiasm.evaluation.interaction.modality_states import CLUSTERS, PREDICTIONS
from chiasm.evaluation.verdict import CANNOT_TELL, DOES_NOT_PAY, PAYS

LITTLE = 0.1  # of what both tell: a smaller share is called little
Row = Mapping[Any, Any]


def why_not(row: Row, why: str) -> str:
    """Why nothing is said of a pair."""
    if why != TOO_FEW:
        return why
    return (
        f"too few to say: {row['patients']:,} tested patients have both and a known outcome, {row['rarest']:.0f} of "
        f"its rarest state, and it takes {FEWEST_PATIENTS} and {FEWEST_RAREST}"
    )


def says(row: Row) -> str:
    """What the parts of a pair mean for a model that combines both; a share is named where its interval allows it."""
    first, second = row["first"], row["second"]
    if row["basis"] == BOUNDS:
        most = row["synergy_high"]
        if most <= LITTLE * row["entropy"]:
            return f"only both of '{first}' and '{second}' tell {most:.3f} bits at most: pairs are not worth collecting"
        return f"only both may tell up to {most:.3f} bits: outcomes of patients who have both would say how much"
    if not row["told"]:
        return f"'{first}' and '{second}' tell no more than they do of shuffled outcomes"
    better, other, gain = _gained(row)
    whole = row["together"]
    if row[f"{gain}_low"] > LITTLE * whole:
        what = f"'{other}' beside '{better}' tells {100 * row[gain] / whole:.0f} % of it: there is something to combine"
        if not _alone(row):
            what += ", of which neither says anything without the other"
        return what
    if row[f"{gain}_high"] < LITTLE * whole:
        if row["redundant"] > row[_own(row, better)]:
            return f"redundant: '{other}' repeats what '{better}' tells, so that there is little to combine"
        return f"'{better}' tells nearly all of it, so that there is little to combine"
    return f"whether '{other}' tells a tenth of it beside '{better}' cannot be told from these patients"


def foremost(rows: Sequence[Row]) -> list[Row]:
    """Of each pair and label the row whose states tell most together; the others stand in the table."""
    found: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        pair = (row["first"], row["second"], row["outcome"])
        if pair not in found or row["together"] > found[pair]["together"]:
            found[pair] = row
    return list(found.values())


def beside_verdict(rows: Sequence[Row], outcome: str) -> list[str]:
    """What the parts say beside the verdict of a trial; empty where they neither explain it nor speak against it."""
    told = [row for row in rows if row["told"]]
    if not told:
        return ["no pair of modalities tells more than it does of shuffled outcomes: nothing here explains the verdict"]
    found = []
    by_pair: dict[tuple[str, str, str], list[Row]] = {}
    for row in told:
        by_pair.setdefault((row["first"], row["second"], row["outcome"]), []).append(row)
    for (first, second, what), own in by_pair.items():
        best = max(own, key=lambda row: row["together"])
        _, _, gain = _gained(best)
        more, pair = best[f"{gain}_low"] > LITTLE * best["together"], f"'{first}' and '{second}' of {what}"
        if more and outcome in (DOES_NOT_PAY, CANNOT_TELL):
            found.append(
                f"the verdict is '{outcome}', yet {best[gain]:.3f} bits of what {pair} tell are lost to who reads the "
                "better one alone: no combined recipe of the trial has shown that it reaches them"
            )
        elif outcome == DOES_NOT_PAY and best[f"{gain}_high"] < LITTLE * best["together"]:
            found.append(f"the verdict is '{outcome}', which the parts explain: {best['says']} ({pair})")
        elif outcome == PAYS and best[f"{gain}_high"] < LITTLE * best["together"]:
            found.append(f"the verdict is '{outcome}', although by these states {best['says']} ({pair})")
    return found


def hidden_from_single(rows: Sequence[Row]) -> list[str]:
    """Pairs that tell by clusters what no prediction of one modality shows: a sum of predictions cannot reach it."""
    by = {(row["first"], row["second"], row["outcome"], row["states_by"]): row for row in rows}
    found = []
    for (first, second, what, way), row in by.items():
        plain = by.get((first, second, what, PREDICTIONS))
        if way != CLUSTERS or plain is None or not row["told"] or math.isnan(plain["together"]):
            continue
        if row["synergy_low"] > max(plain["together_high"], LITTLE * row["together"]):
            found.append(
                f"'{first}' and '{second}' tell {row['synergy']:.3f} bits of {what} together that models of each alone "
                "do not see: it takes a recipe that reads both at once"
            )
    return found


def _gained(row: Row) -> tuple[str, str, str]:
    """The modality that tells more, the other one, and the column of what the other adds to it."""
    if row["first_alone"] >= row["second_alone"]:
        return row["first"], row["second"], "adds_second"
    return row["second"], row["first"], "adds_first"


def _own(row: Row, modality: str) -> str:
    return "first_alone" if modality == row["first"] else "second_alone"


def _alone(row: Row) -> bool:
    """True if either may tell something without the other: a part but the synergy may be a tenth of the whole."""
    parts = ("redundant", "first_alone", "second_alone")
    return bool(max(row[f"{name}_high"] for name in parts) >= LITTLE * row["together"])
