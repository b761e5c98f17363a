"""Evidence of a trial, computed from its predictions, and the verdict that follows from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.evaluation.contrasts import UNKNOWN, Contrast, Values, chosen, contrast, whole_values, within_values
from chiasm.evaluation.sentences import Circumstances, contrast_sentence, sentence_of
from chiasm.evaluation.trial import Trial
from chiasm.evaluation.verdict import CANNOT_TELL, Evidence, Verdict, above_zero, decide, patients_to_settle
from chiasm.evaluation.within import Strata, fifth_strata, pattern_strata, sparse_patterns
from chiasm.fitting.sides import BEST_AVAILABLE, COMBINED, SINGLE, side_of
from chiasm.metrics.table import primary_label
from chiasm.targets import Outcome
from chiasm.targets.stratify import fewest

Inner = Mapping[tuple[str, int, str], float]  # (recipe, repeat, fold) -> mean primary metric over its inner folds
PRESENCE = "presence"
FEWEST_PATIENTS = 30
FEWEST_EVENTS = 10


@dataclass(frozen=True)
class Judging:
    """A trial with the inner scores by which the recipes of its sides are picked."""

    trial: Trial
    inner: Inner

    @cached_property
    def sides(self) -> dict[str, str]:
        return {row["name"]: side_of(row) for row in self.trial.document["recipes"]}

    def ranked(self, side: str, key: tuple[int, str]) -> list[str]:
        """Rank the recipes of a side by inner score in this outer fold, best first; unscored last, ties as named."""

        def score(name: str) -> float:
            value = self.inner.get((name, *key), -math.inf)
            return value if value == value else -math.inf

        return sorted((name for name, own in self.sides.items() if own == side), key=lambda name: -score(name))

    def picks(self, side: str, place: int = 0) -> list[str] | None:
        """Return each fold's recipe at this place of the side's inner ranking; None if the side has too few recipes."""
        ranked = [self.ranked(side, key) for key in self.trial.folds]
        return [names[place] for names in ranked] if all(len(names) > place for names in ranked) else None

    def whole(self, picks: Sequence[str]) -> Values:
        """Compute the primary metric of the recipe picked in each fold, over all its tested patients."""
        kept: dict[str, Values] = self.__dict__.setdefault("_whole", {})
        for name in set(picks) - set(kept):
            frames = [self.trial.frames[name][key] for key in self.trial.folds]
            folds = list(self.trial.folds.values())
            kept[name] = whole_values(self.trial.kind, folds, frames, self.trial.classes, self.trial.draws)
        return chosen([kept[name] for name in picks])

    def frames(self, picks: Sequence[str]) -> list[pd.DataFrame]:
        """Return the predictions of the recipe picked in each fold."""
        return [self.trial.frames[name][key] for name, key in zip(picks, self.trial.folds, strict=True)]

    def apart(self, ours: Values, theirs: Values) -> Contrast:
        protocol = self.trial.document["protocol"]
        return contrast(ours, theirs, n_test=protocol["n_test"], n_train=protocol["n_train"])

    def always(self, name: str) -> list[str]:
        return [name] * len(self.trial.folds)

    @cached_property
    def several(self) -> NDArray[np.bool_]:
        """Mask (N,) of the patients who have two modalities or more."""
        return np.asarray(self.trial.outcomes["modalities"].to_numpy() >= 2)

    @cached_property
    def strata(self) -> tuple[list[Strata], bool]:
        """Strata of each fold's patients with two modalities or more, and True if they are fifths of `presence`.

        The strata are modality patterns, or fifths of what `presence` predicts where the patterns are too sparse.
        """
        trial, patterns = self.trial, self.trial.outcomes["pattern"].to_numpy(object)
        columns, numbers = trial.target.answers(trial.classes), trial.target.number_columns(trial.classes)
        folds = list(trial.folds.values())
        own = [pattern_strata(patterns[f.patients], self.several[f.patients], len(columns)) for f in folds]
        if not sparse_patterns(own) or PRESENCE not in trial.frames or not numbers:
            return own, False
        said = [trial.frames[PRESENCE][key][numbers].to_numpy(np.float64) for key in trial.folds]
        return [fifth_strata(p, self.several[f.patients]) for p, f in zip(said, folds, strict=True)], True

    def combining(self, picks: Sequence[str]) -> Contrast:
        """Contrast the picked combined recipes with `best-available`, within strata."""
        trial, folds = self.trial, list(self.trial.folds.values())
        values = []
        for frames in (self.frames(picks), self.frames(self.always(BEST_AVAILABLE))):
            values.append(within_values(trial.kind, folds, frames, trial.classes, trial.draws, self.strata[0]))
        kept = [k for k in range(len(values[0])) if k not in self.too_rare]
        if not kept:
            return UNKNOWN
        return self.apart([values[0][k] for k in kept], [values[1][k] for k in kept])

    def learned_from(self) -> list[Outcome]:
        """Return, for each fold, the outcomes of its training patients who have two modalities or more."""
        found = []
        outcome = self.trial.all_outcomes
        for fold in self.trial.folds.values():
            mask = self.several & outcome.known
            mask[fold.patients] = False
            found.append(outcome.take(np.flatnonzero(mask)))
        return found

    @cached_property
    def too_rare(self) -> tuple[int, ...]:
        """Labels that are too rare, in the median fold, among the training patients who have two modalities."""
        if not self.trial.target.has_labels:
            return ()
        sizes = np.median([fewest(outcome.value) for outcome in self.learned_from()], axis=0)  # (K,)
        return tuple(np.flatnonzero(sizes < FEWEST_EVENTS).tolist())

    def too_few(self) -> str:
        """Explain why too few training patients have two modalities to learn combining from; "" if enough do."""
        trial, training = self.trial, self.learned_from()
        patients = int(np.median([len(outcome.value) for outcome in training]))
        total = int(np.median([len(trial.outcomes) - len(fold.patients) for fold in trial.folds.values()]))
        have = f"{patients:,} of {total:,} training patients have two modalities"
        if patients < FEWEST_PATIENTS:
            return f"{have}, too few to learn from (fewer than {FEWEST_PATIENTS})"
        if trial.target.has_labels:  # a label that is too rare is left out, and the others may do
            every = len(self.too_rare) == len(trial.classes)
            told = f"{have}, and each label is too rare among them to learn from (fewer than {FEWEST_EVENTS})"
            return told if every else ""
        least = int(np.median([trial.target.rarest(own, len(trial.classes)) for own in training]))
        if least < FEWEST_EVENTS:
            rare = trial.target.rare.format(n=least)
            return f"{have}, {rare}, too few to learn from (fewer than {FEWEST_EVENTS})"
        return ""

    def evidence(self, singles: Sequence[str], combined: Sequence[str], leaks: Sequence[str]) -> Evidence:
        """Compute the contrasts between these picks."""
        trial = self.trial
        c, s, b = self.whole(combined), self.whole(singles), self.whole(self.always(BEST_AVAILABLE))
        total, combining, next_total, next_combining = self.apart(c, s), self.combining(combined), UNKNOWN, UNKNOWN
        other = self.picks(COMBINED, 1) if total.same or combining.same else None
        if other is not None:
            next_total = self.apart(self.whole(other), s) if total.same else UNKNOWN
            next_combining = self.combining(other) if combining.same else UNKNOWN
        beyond = self.apart(c, self.whole(self.always(PRESENCE))) if PRESENCE in trial.frames else UNKNOWN
        fixed = self.apart(self.whole(self.always(often(combined))), self.whole(self.always(often(singles))))
        return Evidence(
            total, self.apart(b, s), combining, beyond, fixed, next_total, next_combining, tuple(leaks),
            self.too_few(), trial.document["protocol"]["margin"],
        )  # fmt: skip


def placed(finding: Mapping[str, Any]) -> str:
    """Describe a finding in words, with the modality that it concerns and the name by which it is accepted."""
    of = finding["modality"]
    name = f"'{finding['finding']}:{of}'" if of else f"'{finding['finding']}'"
    return f"{finding['what']} (" + (f"modality '{of}', " if of else "") + f"finding {name})"


def often(picks: Sequence[str]) -> str:
    """Return the recipe picked most often; ties go to the first."""
    return Counter(picks).most_common(1)[0][0]


def reach_verdict(trial: Trial, inner: Inner) -> Verdict | None:
    """Reach the verdict of a trial; None where it has no single or no combined recipe.

    In each outer fold the single and the combined recipe with the best score on inner folds are picked. The leaks that
    were found and not accepted are read from the document of the trial.
    """
    judging = Judging(trial, inner)
    singles, combined = judging.picks(SINGLE), judging.picks(COMBINED)
    if singles is None or combined is None:
        return None
    found = [row for row in trial.document.get("findings", ()) if row["leak"]]
    leaks = [placed(row) for row in found if row["accepted"] is None]
    evidence = judging.evidence(singles, combined, leaks)
    outcome, why = decide(evidence)
    tested = np.unique(np.concatenate([fold.patients for fold in trial.folds.values()]))
    undecided = tuple(c for c in (evidence.total, evidence.combining) if not above_zero(c))
    settle = None
    if outcome == CANNOT_TELL and why in ("total", "combining"):
        settle = patients_to_settle(undecided, evidence.margin, len(tested))
    around = Circumstances(
        primary_label(trial.kind),
        dict(Counter(singles)),
        dict(Counter(combined)),
        len(trial.folds),
        len(tested),
        int(judging.several[tested].sum()),
        trial.document["cohort"].get("units"),
        judging.strata[1],
        settle,
        tuple(trial.classes[k] for k in judging.too_rare),
        tuple((row["what"], row["accepted"]) for row in found if row["accepted"] is not None),
    )
    return Verdict(
        outcome, *evidence.total.numbers, evidence.coverage.numbers, evidence.combining.numbers,
        often(singles), often(combined), tuple(leaks), sentence_of(outcome, why, evidence, around),
        evidence.beyond_presence.numbers, evidence.fixed.numbers, dict(Counter(singles)), dict(Counter(combined)),
        why, around.several, settle, evidence.margin,
    )  # fmt: skip


def named_contrasts(trial: Trial, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Judge each pair of recipes named beforehand: their difference, its outcome by the interval, and a sentence."""
    judging, found = Judging(trial, {}), []
    margin, metric = trial.document["protocol"]["margin"], primary_label(trial.kind)
    for recipe, against in pairs:
        apart = judging.apart(judging.whole(judging.always(recipe)), judging.whole(judging.always(against)))
        outcome, sentence = contrast_sentence(recipe, against, apart, metric, margin)
        numbers = {
            key: value if math.isfinite(value) else None
            for key, value in zip(("difference", "low", "high"), apart.numbers, strict=True)
        }
        found.append({"recipe": recipe, "against": against, "outcome": outcome, **numbers, "sentence": sentence})
    return found
