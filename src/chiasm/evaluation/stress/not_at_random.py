"""Whether a trial's verdict holds if outcomes that were not seen differ from what those seen say of them.

The estimand: the metric of the picked recipes, and the contrasts of the verdict, had every tested patient been followed
up to the last event that was seen (of several labels: had every cell been known), where those who were not differ by
delta standard deviations (`fitting.drawn_outcomes`). At delta = 0 they are missing at random, given the predictions of
the picked combined recipe, the picked single one, `best-available` and `presence`. Recipes are not fitted again: it is
asked how the predictions of this trial would have fared, not what would have been learned.

Each outcome is drawn several times, and the contrasts are joined by Rubin's rules,

    mean = average of the draws      variance = average of ((high - low) / 2 z)^2 + (1 + 1 / m) variance of the means

and judged as the trial's were. The tipping point is the smallest delta on either side at which the outcome of the
verdict is another than at delta = 0.

Sources: those of `fitting.drawn_outcomes`; Rubin 1987, doi:10.1002/9780470316696.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from chiasm.cohort import Unsupported
from chiasm.compute.isolation import seeded
from chiasm.evaluation.beside import NOT_AT_RANDOM, keep
from chiasm.evaluation.contrasts import Contrast, Values
from chiasm.evaluation.estimates import estimate, estimate_of_labels
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.evaluation.judging import PRESENCE, Inner, Judging, placed
from chiasm.evaluation.trial import VALUE_OF, Trial, TrialError, fold_key, load_trial
from chiasm.evaluation.verdict import Evidence, decide
from chiasm.fitting.drawn_outcomes import Unseen
from chiasm.fitting.sides import BEST_AVAILABLE, COMBINED, SINGLE
from chiasm.targets import Outcome

DELTAS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
IMPUTATIONS = 10
DRAWS = 100
FARTHEST = 100  # standard deviations: exp of more has no number
Z = float(stats.norm.ppf(0.975))
CONTRASTS = ("total", "coverage", "combining", "beyond_presence", "fixed")
COLUMNS = (
    "delta", "ratio", "events", "outcome", "why", "combined", "single",
    *(f"{name}{end}" for name in ("difference", *CONTRASTS[1:3]) for end in ("", "_low", "_high")),
)  # fmt: skip


class Judged(NamedTuple):
    """Evidence on outcomes drawn once, with the metrics of the two picks and the number of events."""

    evidence: Evidence
    combined: float
    single: float
    events: float


@dataclass(frozen=True, repr=False)
class NotAtRandom:
    """How a verdict depends on outcomes that were not seen.

    Attributes:
        table: one row a delta, with `COLUMNS`: `ratio` by which it multiplies hazard or odds of what was not seen, mean
            number of events (of labels: cells that are 1), the verdict's outcome and the rule that decided, the metric
            of the picked combined and the picked single recipe, and the contrasts with intervals.
        number: patients who were drawn, or of several labels their cells.
        of: how many there are in all.
        reported: the outcome of the verdict of the trial itself.
        tipping: the smallest delta below zero, and above, at which the outcome is another than at zero; None within the
            range.
        imputations: how often each was drawn.
        sentence: all of it in words.
        asked: the deltas and the seed.
        about: the trial that was asked about.
    """

    table: pd.DataFrame
    number: int
    of: int
    reported: str
    tipping: tuple[float | None, float | None]
    imputations: int
    sentence: str
    asked: dict[str, Any] = field(default_factory=dict)
    about: Trial | None = None

    def __repr__(self) -> str:
        return f"NotAtRandom: {self.sentence}"

    def keep(self, run: Path | str) -> Path:
        """Keep it in the folder of its trial, as `not_at_random.json`, where the page finds it; return the file.

        Raises:
            TrialError: the folder holds no finished trial, or another trial than the one that was asked about.
        """
        folder = Path(run)
        trial = load_trial(folder)
        size = len(trial.outcomes) * (len(trial.classes) if trial.target.has_labels else 1)
        other = self.about is not None and not trial.predictions.equals(self.about.predictions)
        if other or trial.verdict is None or trial.verdict.outcome != self.reported or size < self.of:
            raise TrialError(f"'{folder.name}' holds another trial than the one that was asked about: name its folder")
        return keep(
            folder, NOT_AT_RANDOM, self.table, asked=self.asked, number=self.number, of=self.of,
            reported=self.reported, tipping=list(self.tipping), imputations=self.imputations, sentence=self.sentence,
        )  # fmt: skip


def not_at_random(
    trial: Trial,
    *,
    deltas: Sequence[float] = DELTAS,
    imputations: int = IMPUTATIONS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> NotAtRandom:
    """Draw the outcomes that a trial did not see for each delta, and judge the trial anew.

    Args:
        deltas: in standard deviations; zero is added.
        imputations: how often each outcome is drawn, 2 or more.
        seed: of the draws.
        progress: called with (finished, all) verdicts.

    Raises:
        Unsupported: a trial without a verdict, a target without unseen outcomes among those tested, or nobody of them.
        ValueError: fewer than two imputations, or a delta that is no number or beyond 100.
    """
    asked = tuple(sorted({0.0, *map(float, deltas)}))
    if imputations < 2 or not all(abs(delta) <= FARTHEST for delta in asked):  # NaN is not
        raise ValueError(
            f"imputations are 2 or more, and each delta is a number of {FARTHEST} at most, above or below zero: "
            f"{imputations}, {list(deltas)}"
        )
    inner = inner_of(trial)
    judging = Judging(trial, inner)
    singles, combined = judging.picks(SINGLE), judging.picks(COMBINED)
    if trial.verdict is None or singles is None or combined is None:
        raise Unsupported("the trial has no verdict that could tip: it needs a single recipe and a combined one")
    if not (trial.target.has_times or trial.target.has_labels):
        raise Unsupported(
            "every tested patient has an outcome: who has none was left out of the trial before its folds. Times that "
            "are censored and labels with empty cells can be asked about"
        )
    unseen = _unseen(trial, [combined, singles, judging.always(BEST_AVAILABLE)])
    if not unseen.number:
        raise Unsupported("every outcome was seen: nothing is missing that could differ")
    too_few = judging.too_few()
    leaks = [placed(row) for row in trial.document.get("findings", ()) if row["leak"] and row["accepted"] is None]
    found: list[list[Judged]] = [[] for _ in asked]
    for number in range(imputations):
        rng = np.random.default_rng(seeded(seed, f"imputation {number}"))
        counts = bootstrap_weights(len(trial.outcomes), 1, rng, trial.units)[0].astype(int)
        drawn = unseen.drawn(asked, counts, rng)
        for place, outcome in enumerate(drawn):
            judged = _judged(trial, outcome, inner, singles, combined, leaks)
            found[place].append(judged._replace(evidence=replace(judged.evidence, too_few=too_few)))
            if progress is not None:
                progress(number * len(asked) + place + 1, imputations * len(asked))
    rows = [_row(delta, unseen.unit, own) for delta, own in zip(asked, found, strict=True)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    tipping = tipping_of(table)
    size = int(unseen.rows.sum()) * (len(trial.classes) if trial.target.has_labels else 1)
    said = _said(trial, table, tipping, unseen.number, size)
    settings = {"deltas": list(asked), "seed": seed}
    return NotAtRandom(table, unseen.number, size, trial.verdict.outcome, tipping, imputations, said, settings, trial)


def inner_of(trial: Trial) -> Inner:
    """Read back the inner scores by which the recipes of a trial were picked."""
    return {
        (row["name"], *fold_key((fold["repeat"], fold["fold"]))): math.nan if fold["inner"] is None else fold["inner"]
        for row in trial.document["recipes"]
        for fold in row["folds"]
    }


def tipping_of(table: pd.DataFrame) -> tuple[float | None, float | None]:
    """Return the delta nearest to zero, below it and above, at which the verdict's outcome is another than at zero."""
    (here,) = table.loc[table["delta"] == 0, "outcome"]
    other = table.loc[table["outcome"] != here, "delta"]
    below, above = other[other < 0], other[other > 0]
    return (float(below.max()) if len(below) else None), (float(above.min()) if len(above) else None)


def pooled(found: Sequence[Contrast]) -> Contrast:
    """Join the contrasts of several draws by Rubin's rules; not estimable where one of them is not."""
    means = np.array([own.mean for own in found])
    same = all(own.same for own in found)
    if not np.isfinite(means).all():
        return Contrast(math.nan, math.nan, math.nan, same)
    bounded = [own for own in found if not own.same]
    if same or not all(own.bounded for own in bounded):
        return Contrast(float(means.mean()), math.nan, math.nan, same)
    within = sum(((own.high - own.low) / 2 / Z) ** 2 for own in bounded) / len(found)
    half = Z * math.sqrt(within + (1 + 1 / len(found)) * float(means.var(ddof=1)))
    return Contrast(float(means.mean()), float(means.mean()) - half, float(means.mean()) + half)


def _unseen(trial: Trial, picks: Sequence[Sequence[str]]) -> Unseen:
    """Columns of the model: the mean over repeats of each pick's link, log hazards from the mean of their fold."""
    outcome = trial.all_outcomes
    names = trial.classes if trial.target.has_labels or trial.target.has_causes else ()
    told = [[trial.frames[name][key] for name, key in zip(pick, trial.folds, strict=True)] for pick in picks]
    if PRESENCE in trial.frames:
        told.append([trial.frames[PRESENCE][key] for key in trial.folds])
    width = max(1, len(names))
    links = np.zeros((len(outcome.known), len(told), width))
    often = np.zeros(len(outcome.known))
    for j, fold in enumerate(trial.folds.values()):
        often[fold.patients] += 1
        for p, frames in enumerate(told):
            own = trial.target.links(frames[j], names)[:, :width]
            links[fold.patients, p] += own - (own.mean(axis=0) if trial.target.has_times else 0.0)
    rows = np.asarray((often > 0) & outcome.known)
    return Unseen(trial.target, outcome, links / np.maximum(often, 1)[:, None, None], rows)


def _judged(
    trial: Trial, outcome: Outcome, inner: Inner, singles: Sequence[str], combined: Sequence[str], leaks: Sequence[str]
) -> Judged:
    """Judge the trial with these outcomes."""
    own = replace(trial, outcomes=_table(trial, outcome))
    own.__dict__.update(frames=trial.frames, draws=trial.draws[:DRAWS])  # neither depends on an outcome
    judging = Judging(own, inner)
    evidence = judging.evidence(singles, combined, leaks)
    ours, theirs = (_mean(trial, judging.whole(picks)) for picks in (combined, singles))
    happened = outcome.value == 1 if outcome.main_event is None else outcome.main_event
    return Judged(evidence, ours, theirs, float(np.nansum(happened)))


def _mean(trial: Trial, values: Values) -> float:
    return estimate_of_labels(values).mean if trial.target.has_labels else estimate(*values[0]).mean


def _table(trial: Trial, outcome: Outcome) -> pd.DataFrame:
    """The trial's table of outcomes with these."""
    if trial.target.has_labels:
        columns = {f"{VALUE_OF}{label}": outcome.value[:, k] for k, label in enumerate(trial.classes)}
        return trial.outcomes.assign(**columns)
    cause = {} if outcome.cause is None else {"cause": outcome.cause}
    return trial.outcomes.assign(value=outcome.value, event=outcome.event, **cause)


def _row(delta: float, unit: float, found: Sequence[Judged]) -> tuple[object, ...]:
    names = (*CONTRASTS, "next_total", "next_combining")
    joined = {name: pooled([getattr(own.evidence, name) for own in found]) for name in names}
    first = found[0].evidence
    outcome, why = decide(Evidence(**joined, leaks=first.leaks, too_few=first.too_few, margin=first.margin))
    combined, single, events = (float(np.mean([own[place] for own in found])) for place in (1, 2, 3))
    ends = (number for name in CONTRASTS[:3] for number in joined[name].numbers)
    return delta, math.exp(delta * unit), events, outcome, why, combined, single, *ends


def _said(trial: Trial, table: pd.DataFrame, tipping: tuple[float | None, float | None], number: int, size: int) -> str:
    """The tipping point in words."""
    (here,) = table.loc[table["delta"] == 0].to_dict("records")
    of, what = ("hazard", "patients") if trial.target.has_times else ("odds", "cells")
    unseen = "were censored before the last event" if trial.target.has_times else "of the labels are empty"
    begun = (
        f"{number:,} of {size:,} {what} {unseen}. If they are like the others, given what the models predict, the "
        f"verdict is '{here['outcome']}'"
    )
    if (reported := trial.verdict) is not None and reported.outcome != here["outcome"]:
        begun += f" (as reported, of what was seen alone, '{reported.outcome}')"
    ends = table["delta"].min(), table["delta"].max()
    tips = [
        f"'{row['outcome']}' at {row['delta']:+g} ({of} times {row['ratio']:.2g})"
        for row in table.to_dict("records")
        if row["delta"] in tipping
    ]
    if not tips:
        within = f"from {ends[0]:+g} to {ends[1]:+g} standard deviations"
        return f"{begun}, and stays so {within}: none within the range tips it."
    return f"{begun}; it becomes {' and '.join(tips)}, in standard deviations of what was not seen."
