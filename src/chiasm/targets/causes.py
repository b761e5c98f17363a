"""The column of causes: which of its levels mean that there was no event, and what is odd about the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from chiasm.errors import Problem, count, error, nearest, warning
from chiasm.targets.cells import Cells, label_text
from chiasm.targets.target import USUAL_FOLDS

MOST_CAUSES = 12
CENSORED_WORDS = ("0", "censored", "alive", "living")
ODD_CAUSES = ("none", "no", "no event", "ned", "lost", "lost to follow-up", "false", "nan", *CENSORED_WORDS)


def plain(label: object) -> str:
    """A level as it is compared: without capitals and spaces around it."""
    return str(label).strip().casefold()


def censored_words(levels: pd.Series, censored: str) -> frozenset[str]:
    """Levels that mean censored, as `plain` has them; empty where an empty cell does.

    Args:
        censored: the level that the user named; "" for none.
    """
    if censored:
        return frozenset({plain(censored)})
    there = {plain(label) for label in label_text(levels) if label is not None}
    return frozenset(word for word in CENSORED_WORDS if word in there)


def misspelt(cells: Cells, column: str, censored: str) -> list[Problem]:
    """Report a level named by `censored` that nobody has: whom it means would have an event of some cause."""
    levels = {plain(label): str(label) for label in label_text(cells.patients[column]) if label is not None}
    if not censored or not levels or plain(censored) in levels:
        return []
    like = levels.get(nearest(plain(censored), levels), "")
    what = f"nobody has the level '{censored}' of column '{column}', which `censored` names"
    fix = "name the level of who had no event, or leave `censored` out" + (f": is it '{like}'?" if like else "")
    return [error(what, fix, path=cells.path, finding="no-level")]


def ordered_causes(labels: Sequence[str], main: str) -> tuple[str, ...]:
    """Names of the causes, the main one first: the one that is named, else the most frequent of the labels."""
    names, sizes = np.unique(np.array(labels, dtype=str), return_counts=True)
    main = main or (str(names[sizes.argmax()]) if len(names) else "")
    return (main, *(str(name) for name in names if name != main)) if main else ()


def cause_problems(
    column: str, sizes: Mapping[str, int], *, main_named: bool, anyone_censored: bool, path: str | None
) -> list[Problem]:
    """List what makes these causes hard or impossible to learn.

    Args:
        sizes: number of events of each cause, the main one first.
    """
    seen = [name for name, size in sizes.items() if size]
    where, told = f"column '{column}'", ", ".join(f"'{name}'" for name in seen)
    if not seen:
        fix = "check its coding: 0, or the level that `censored` names, is without an event"
        return [error(f"{where} has no event", fix, path=path, finding="no-event")]
    main = next(iter(sizes))
    if main not in seen:
        what = f"{where} has no event of the cause '{main}', which `main` names"
        return [error(what, f"name one of {told}", path=path, finding="no-event")]
    if len(seen) == 1:
        fix = 'nothing competes with it: take kind = "survival", with the event coded as 1, or name what competes'
        return [error(f"{where} has a single cause, {told}", fix, path=path, finding="single-class")]
    if len(seen) > MOST_CAUSES:
        what = f"{where} has {len(seen)} causes, more than {MOST_CAUSES}"
        return [error(what, "group those that matter less into one", path=path, finding="manifest-value")]
    found = []
    if not main_named:
        what = f"no main cause is named: the primary metric is about the most frequent one, '{main}'"
        fix = "name it by `main` in [target], or main=..., if it is another"
        found.append(warning(what, fix, path=path, finding="unnamed-main"))
    if not anyone_censored:
        what, fix = f"{where} has nobody without an event", "name the level of who had none by `censored`"
        found.append(warning(what, fix, path=path, finding="nobody-censored"))
    for name in sizes:
        if plain(name) in ODD_CAUSES:
            fix = "name it by `censored` if it means that there was no event"
            found.append(warning(f"{where} has a cause '{name}'", fix, path=path, finding="odd-cause"))
    for name, size in sizes.items():
        if size < USUAL_FOLDS:
            what = f"{where} has {count(size, 'event')} of the cause '{name}', fewer than {USUAL_FOLDS}"
            fix = "group it with another cause" if name != main else "use fewer folds"
            found.append(warning(what, fix, path=path, finding="few-events"))
    return found
