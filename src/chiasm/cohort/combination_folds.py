"""Folds of combinations: each is tested by models that have seen its parts, in others, and never the whole."""

from __future__ import annotations

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
    table: pd.DataFrame, factors: Sequence[str], group: NDArray[np.str_] | None, unscored: Callable[[Bools], str]
) -> tuple[Texts, pd.DataFrame, pd.DataFrame]:
    """Give each combination a fold of its own, if each of its factors stands in another one.

    Args:
        table: one row a patient, with a column of words for each factor.
        group: (n,) who a row is of; "" for nobody else's.
        unscored: says why a fold of these patients could not be scored, "" where it can.

    Returns:
        (n,) the fold, a combination or `train` for never tested; the proof, one row a fold and factor: its `value`, in
        how many `combinations` and how many `rows` of training it stands, and `whole`, rows of training that have all;
        and the combinations that are not tested, each with `why`.

    Raises:
        ValueError: unfit factors, a group in several combinations, or no combination that can be tested.
    """
    require_factors(table, factors)
    words = table[list(factors)].to_numpy(dtype=object)  # (n, F)
    combined = [tuple(row) for row in words.tolist()]
    levels = {row: place for place, row in enumerate(sorted(set(combined), key=lambda row: (_named(row), row)))}
    names, own = [_named(row) for row in levels], np.array([levels[row] for row in combined])
    if group is not None:
        held = pd.Series(own).groupby(pd.Series(group)).nunique()
        across = int((held[held.index != ""] > 1).sum())
        if across:
            raise ValueError(
                f"{count(across, 'group')} of patients stand in several combinations, so that no fold for each of them "
                "keeps a group on one side: hold out one combination at a time"
            )
    fold = np.full(len(table), NEVER_TESTED, dtype=object)
    proof, untested, lonely = [], [], 0
    for number, name in enumerate(names):
        tested = own == number
        own_rows = _proof(words, tested, factors, ~tested)
        lone = [f"{row['factor']} '{row['value']}'" for row in own_rows if not row["rows"]]
        lonely += bool(lone)
        why = f"{lone[0]} stands in no other combination" if lone else unscored(tested)
        if why:
            untested.append({"combination": name, "rows": int(tested.sum()), "why": why})
            continue
        fold[tested] = name
        proof += [{"fold": name, **row} for row in own_rows]
    if not proof:
        raise ValueError(
            f"none of the {len(names):,} combinations of {', '.join(factors)} can be tested: {lonely:,} have a part "
            f"that stands in no other one, and {len(names) - lonely:,} could not be scored; choose columns of few "
            "levels that are crossed with each other, and not the outcome"
        )
    return fold.astype(str), pd.DataFrame(proof), pd.DataFrame(untested, columns=["combination", "rows", "why"])


def held_out_fold(
    table: pd.DataFrame,
    factors: Sequence[str],
    held_out: Sequence[str],
    *,
    group: NDArray[np.str_] | None,
    training: str = "all",
    size: int | None = None,
    seed: int = 0,
) -> tuple[Texts, pd.DataFrame]:
    """Hold out one combination: (n,) `test`, `train` or `unused`, and the proof as in `combination_folds`.

    Args:
        held_out: the value of each factor.
        training: "all" who are neither of the combination nor of a group that is tested; "related" or "unrelated", the
            two sets of equal size of `compositional_split`, which is what a pair of trials compares.
        size: rows of such a set; as many as the smaller one has if not given.

    Raises:
        ValueError: as `compositional_split`; another `training`, or a size of all.
    """
    if training not in TRAINING:
        raise ValueError(f"training is {', '.join(TRAINING)}, not '{training}'")
    if training == "all" and size is not None:
        raise ValueError("a size is that of related or unrelated training: name one of them, or leave the size out")
    lone = np.array([f"\0{row}" for row in range(len(table))])
    column = "\0group"
    whole = table.assign(**{column: lone if group is None else np.where(group == "", lone, group)})
    split = compositional_split(
        whole, held_out, factors=factors, group=column, size=size, seed=seed, unrelated=training != "all"
    )
    fold = np.full(len(table), UNUSED, dtype=object)
    fold[{"all": split.free, "related": split.related, "unrelated": split.unrelated}[training]] = NEVER_TESTED
    fold[split.test] = "test"
    words = table[list(factors)].to_numpy(dtype=object)
    tested = fold == "test"
    proof = [{"fold": "test", **row} for row in _proof(words, tested, factors, fold == NEVER_TESTED)]
    return fold.astype(str), pd.DataFrame(proof)


def _named(row: Sequence[str]) -> str:
    """The name of a combination; a part that reads like a combination itself stands in quotation marks."""
    return BETWEEN.join(f"'{part}'" if BETWEEN in part else part for part in row)


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
