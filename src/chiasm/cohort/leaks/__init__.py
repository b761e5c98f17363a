"""Leak screen: find data that reveals the outcome, or a test patient, in advance; one idea per file."""

from __future__ import annotations

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.leaks.answers import answer_problems
from chiasm.cohort.leaks.columns import leaking_columns
from chiasm.cohort.leaks.copied import copied_texts
from chiasm.cohort.leaks.known import leaking_knowledge
from chiasm.cohort.leaks.pairs import knowing_pairs
from chiasm.cohort.leaks.presence import presence_problems
from chiasm.cohort.leaks.scores import TOO_GOOD, too_good
from chiasm.cohort.leaks.twins import twin_problems
from chiasm.errors import Problem, count, warning

__all__ = ["TOO_GOOD", "knowing_pairs", "leak_problems", "leaking_columns", "too_good", "twin_problems"]

SHOWN = 5
FIX = "leave out what is known only after the outcome"


def leak_problems(cohort: Cohort) -> list[Problem]:
    """Report columns and pairs of columns that give the outcome away, and modalities whose presence follows it."""
    found = []
    leaking = {name: columns for name in cohort.modalities if (columns := leaking_columns(cohort, name))}
    for name, columns in leaking.items():
        verb = "predicts" if len(columns) == 1 else "predict"
        listed = ", ".join(f"'{column}'" for column in columns[:SHOWN]) + (" ..." if len(columns) > SHOWN else "")
        what = f"{count(len(columns), 'column')} alone {verb} the target almost perfectly: {listed}"
        path = cohort.sources[name].path
        found.append(warning(what, FIX, path=path, modality=name, finding="leaking-column", leak=True))
    for name in leaking_knowledge(cohort):
        what = f"of the knowledge, '{name}' alone predicts the target almost perfectly"
        found.append(warning(what, FIX, path=cohort.path, finding="leaking-column", leak=True))
    found += [*_pair_problems(cohort, leaking), *presence_problems(cohort)]
    return [*found, *answer_problems(cohort), *copied_texts(cohort)]


def _pair_problems(cohort: Cohort, leaking: dict[str, list[str]]) -> list[Problem]:
    found = []
    pairs = knowing_pairs(cohort, leaking)
    for name in dict.fromkeys(first[0] for first, _ in pairs):
        own = [(first[1], second) for first, second in pairs if first[0] == name]
        shown = [
            f"'{column}' and '{other}'" + (f" of '{modality}'" if modality != name else "")
            for column, (modality, other) in own[:SHOWN]
        ]
        listed = ", ".join(shown) + (" ..." if len(own) > SHOWN else "")
        verb = "predicts" if len(own) == 1 else "predict"
        what = f"{count(len(own), 'pair')} of columns together {verb} the target almost perfectly: {listed}"
        path = cohort.sources[name].path
        found.append(warning(what, FIX, path=path, modality=name, finding="paired-columns", leak=True))
    return found
