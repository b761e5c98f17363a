"""Folds of combinations: each is tested by models that have seen its parts, in others, and never the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.compositional import compositional_split, require_factors
from chiasm.cohort.splits import NEVER_TESTED
from chiasm.cohort.unused import UNUSED
from chiasm.errors import count

Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
BETWEEN = " + "
TRAINING = ("all", "related", "unrelated")
"""Who is learned from: everyone else; those who share a factor with what is held out; as many who share none."""


def combination_folds(
    table: pd.DataFrame,
    factors: Sequence[str],
    group: NDArray[np.str_] | None,
    unscored: Callable[[Bools], str],
    known: Bools | None = None,
) -> tuple[Texts, pd.DataFrame, pd.DataFrame]:
    """Give each combination a fold of its own, if each of its factors stands in another one.

    Args:
        table: one row a patient, with a column of words for each factor.
        group: (n,) who a row is of; "" for nobody else's.
        unscored: says why a fold of these patients could not be scored, "" where it can.
        known: (n,) whose outcome is known: nobody else is learned from, and counts in the proof. None: all.

    Returns:
        (n,) the fold, a combination or `train` for never tested; the proof, one row a fold and factor: its `value`, in
        how many `combinations` and how many `rows` of training it stands, and `whole`, rows of training that have all;
        and the combinations that are not tested, each with `why`.

    Raises:
        ValueError: unfit factors, a group in several combinations, or no combination that can be tested.
    """
    require_factors(table, factors)
    combined = list(map(tuple, table[list(factors)].to_numpy(dtype=object).tolist()))
    parts = sorted(set(combined), key=lambda row: (_named(row), row))
    place = {row: number for number, row in enumerate(parts)}
    own = np.array([place[row] for row in combined])
    if group is not None:
        held = pd.Series(own).groupby(pd.Series(group)).nunique()
        across = int((held[held.index != ""] > 1).sum())
        if across:
            raise ValueError(
                f"{count(across, 'group')} of patients stand in several combinations, so that no fold for each of them "
                "keeps a group on one side: hold out one combination at a time"
            )
    learned = np.ones(len(own), dtype=bool) if known is None else known
    sizes = Counter(own[learned].tolist())
    rows_with, combinations_with = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    for number, size in sizes.items():
        for part in enumerate(parts[number]):
            rows_with[part] += size
            combinations_with[part] += 1
    others = "combination" if learned.all() else "combination of a known outcome"
    fold = np.full(len(own), NEVER_TESTED, dtype=object)
    proof, untested, lonely = [], [], 0
    for number, row in enumerate(parts):
        name, tested, size = _named(row), own == number, sizes[number]
        own_rows = [
            {
                "fold": name,
                "factor": factor,
                "value": row[k],
                "combinations": combinations_with[k, row[k]] - (size > 0),
                "rows": rows_with[k, row[k]] - size,
            }
            for k, factor in enumerate(factors)
        ]
        lone = [f"{each['factor']} '{each['value']}'" for each in own_rows if not each["rows"]]
        lonely += bool(lone)
        why = f"{lone[0]} stands in no other {others}" if lone else unscored(tested)
        if why:
            untested.append({"combination": name, "rows": int(tested.sum()), "why": why, "lone": bool(lone)})
            continue
        fold[tested] = name
        proof += own_rows
    if not proof:
        scarce = Counter(each["why"] for each in untested if not each["lone"])
        why = f" ({scarce.most_common(1)[0][0]})" if scarce else ""
        raise ValueError(
            f"none of the {len(parts):,} combinations of {', '.join(factors)} can be tested: {lonely:,} have a part "
            f"that stands in no other one, and {len(parts) - lonely:,} could not be scored{why}; choose columns of few "
            "levels that are crossed with each other, and not the outcome"
        )
    left = Counter(_named(parts[number]) for number in own[learned & (fold == NEVER_TESTED)].tolist())
    found = pd.DataFrame(proof)
    found["whole"] = [left[name] for name in found["fold"]]
    return fold.astype(str), found, pd.DataFrame(untested, columns=["combination", "rows", "why"])


def held_out_fold(
    table: pd.DataFrame,
    factors: Sequence[str],
    held_out: Sequence[str],
    *,
    group: NDArray[np.str_] | None,
    training: str = "all",
    size: int | None = None,
    seed: int = 0,
    known: Bools | None = None,
) -> tuple[Texts, pd.DataFrame]:
    """Hold out one combination: (n,) `test`, `train` or `unused`, and the proof as in `combination_folds`.

    Args:
        held_out: the value of each factor.
        training: "all" who are neither of the combination nor of a group that is tested; "related" or "unrelated", the
            two sets of equal size of `compositional_split`, which is what a pair of trials compares.
        size: rows of such a set; as many as the smaller one has if not given.
        known: (n,) whose outcome is known, as in `combination_folds`: the sets are drawn of these alone.

    Raises:
        ValueError: as `compositional_split`; another `training`, or a size of all.
    """
    if training not in TRAINING:
        raise ValueError(f"training is {', '.join(TRAINING)}, not '{training}'")
    if training == "all" and size is not None:
        raise ValueError("a size is that of related or unrelated training: name one of them, or leave the size out")
    require_factors(table, factors)
    words = table[list(factors)].astype(str).to_numpy(dtype=object)
    whole = np.array([tuple(row) == tuple(map(str, held_out)) for row in words.tolist()], dtype=bool)
    learned = np.ones(len(table), dtype=bool) if known is None else known
    rows = np.flatnonzero(learned | whole)
    lone = np.array([f"\0{row}" for row in range(len(table))])
    column, groups = "\0group", lone if group is None else np.where(group == "", lone, group)
    split = compositional_split(
        table.assign(**{column: groups}).iloc[rows], held_out, factors=factors, group=column, size=size, seed=seed,
        unrelated=training != "all",
    )  # fmt: skip
    fold = np.full(len(table), UNUSED, dtype=object)
    if training == "all":  # whose outcome is not known may stand there, and teaches nothing
        fold[~np.isin(groups, groups[whole])] = NEVER_TESTED
    else:
        fold[rows[split.related if training == "related" else split.unrelated]] = NEVER_TESTED
    fold[whole] = "test"
    proof = [{"fold": "test", **row} for row in _proof(words, whole, factors, learned & (fold == NEVER_TESTED))]
    return fold.astype(str), pd.DataFrame(proof)


def _named(row: Sequence[str]) -> str:
    """The name of a combination, of no other one: a part that reads like several stands in quotation marks."""
    quoted = ("'" + part.replace("'", "''") + "'" for part in row)
    plain = (BETWEEN not in f" {part} " and not part.startswith("'") for part in row)
    return BETWEEN.join(part if kept else own for part, own, kept in zip(row, quoted, plain, strict=True))


def _proof(
    words: NDArray[np.object_], tested: Bools, factors: Sequence[str], training: Bools
) -> list[dict[str, object]]:
    """Say of each factor of the tested rows where training has it."""
    wanted = words[np.argmax(tested)]
    same = words == wanted
    whole = int(same[training].all(axis=1).sum())
    rows: list[dict[str, object]] = []
    for k, factor in enumerate(factors):
        having = training & same[:, k]
        others = len(set(map(tuple, words[having].tolist())))
        rows.append(
            {"factor": factor, "value": wanted[k], "combinations": others, "rows": int(having.sum()), "whole": whole}
        )
    return rows
