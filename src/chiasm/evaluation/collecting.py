"""Whether a modality is worth its price: what it would add for patients who lack it, before it is collected for them.

For patients who have the modalities P and lack m, the gain is how much more of the outcome is explained with m:

    gain(m | P) = E(P + m) - E(P),    E = 1 - loss / loss of the training prior

E is the scaled Brier score (integrated up to the last horizon for survival; Kattan and Gerds 2018), for numbers R2
against the training mean; E(nothing) = 0. It is estimated on those who have P and m, whatever else they have: a model
of the training folds predicts each tested patient twice, with P + m and with P alone, as if there were nothing else.
The gain has the wider of two intervals, by folds and by drawn patients (`contrasts.contrast`).

With `worth`, what it is worth for one patient to know the outcome for certain, in the currency of the price,

    net gain = worth * gain - cost,    break-even = cost / gain

so that a modality is worth collecting where `worth` lies above the break-even. This is the net benefit of cost
effectiveness (Stinnett and Mullahy 1998), linear in the share explained as the effect.

Assumed: patients who have m are like those who lack it, given P. What a model would gain that learns from more
patients, from m beside something that nobody has yet, or that makes more of m than the one asked, is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.evaluation.contrasts import UNKNOWN, Contrast, contrast, whole_values
from chiasm.evaluation.fits import Execute, said_of, with_horizons
from chiasm.evaluation.intervals import Counts, TestFold, patient_draws
from chiasm.evaluation.protocol import Protocol, Split, plan, with_repeats
from chiasm.evaluation.run import kept_together, require_clusters, usable
from chiasm.metrics.scores import estimable
from chiasm.metrics.table import EXPLAINED
from chiasm.targets import Target

FEWEST_PATIENTS = 30
EVERY_SET_UP_TO = 4  # modalities
MOST_SETS = 128  # of modalities, each of which is a prediction in every fold
Gain = tuple["Question", Contrast]


@dataclass(frozen=True)
class Question:
    """Whether patients who have the modalities `have`, and no other, should have `add` collected.

    `asked` is how many of the cohort are such patients; `patients` how many have both, and perhaps others: they answer.
    """

    have: tuple[str, ...]
    add: str
    asked: int
    patients: int

    @property
    def both(self) -> tuple[str, ...]:
        return tuple(sorted({*self.have, self.add}))

    @property
    def answered(self) -> bool:
        """True if enough patients have both."""
        return self.patients >= FEWEST_PATIENTS


def questions(cohort: Cohort) -> list[Question]:
    """List what can be asked of a cohort: each modality, added to each set of others.

    With more than four modalities only the sets are asked about that patients have, or would have less one modality.
    Questions that most patients raise come first, then those that most can answer.
    """
    names = cohort.modalities
    rows, count = np.unique(cohort.present, axis=0, return_counts=True)
    of_pattern = {frozenset(np.array(names)[row].tolist()): int(n) for row, n in zip(rows, count, strict=True)}
    found = {}
    every = [frozenset(own) for size in range(len(names)) for own in combinations(names, size)]
    for pattern in every if len(names) <= EVERY_SET_UP_TO else of_pattern:
        for m in names:
            have = pattern - {m}
            patients = int(_have(cohort, [*have, m]).sum())
            found[have, m] = Question(tuple(sorted(have)), m, of_pattern.get(have, 0), patients)
    return sorted(found.values(), key=lambda own: (-own.asked, -own.patients, len(own.have), own.have, own.add))


def _have(cohort: Cohort, names: Sequence[str]) -> NDArray[np.bool_]:
    """True for the patients who have all of these modalities, (B,)."""
    return np.asarray(cohort.present[:, [cohort.modalities.index(name) for name in names]].all(axis=1))


@dataclass(frozen=True)
class _Asked:
    """What is fitted in each fold, and the sets of modalities that are predicted from."""

    cohort: Cohort
    recipe: Any
    seed: int
    device: str
    sets: tuple[tuple[str, ...], ...]


def _predict_sets(asked: _Asked, split: Split) -> tuple[str, list[pd.DataFrame | None]]:
    """Fit on a training set; predict with each set of modalities the tested patients who have them, None for nobody."""
    train, test = with_horizons(asked.cohort.subset(split.train)), asked.cohort.subset(split.test)
    model = asked.recipe.fit(train, seed=asked.seed, checkpoint=None, device=asked.device)
    frames: list[pd.DataFrame | None] = []
    for own in asked.sets:
        alone = test.subset(_have(test, own)).with_modalities(own).with_target(None, None)
        frames.append(said_of(model, alone).loc[list(alone.ids)] if len(alone) else None)
    return split.key, frames


def gains(
    cohort: Cohort,
    recipe: Any,
    protocol: Protocol,
    *,
    seed: int,
    jobs: int,
    device: str,
    execute: Execute,
    progress: Callable[[int, int], None],
) -> tuple[list[Gain], int]:
    """Estimate the gain of each question on the folds of a trial.

    Args:
        cohort: encoded, with a target.
        recipe: what predicts; it must predict any subset of the modalities.
        execute: how training sets are run in parallel.
        progress: called with (finished, all) training sets.

    Returns:
        Each question with its gain, not estimable where fewer than 30 patients have all that it needs, or too few of
        them have an event or a class; and the number of test folds.

    Raises:
        Unsupported: no target, one modality, or over 128 sets of modalities.
    """
    used, _ = usable(cohort)
    assert used.target is not None
    if len(used.modalities) < 2:
        raise Unsupported("the cohort has one modality: there is nothing to add to it")
    protocol = with_repeats(protocol, used)
    require_clusters(used, protocol)
    used = kept_together(used, protocol)
    asked = questions(used)
    answered = [own for own in asked if own.answered]
    sets = tuple(sorted({own.both for own in answered} | {own.have for own in answered if own.have}))
    if len(sets) > MOST_SETS:
        raise Unsupported(
            f"what the patients of this cohort have is answered by {len(sets)} sets of its {len(used.modalities)} "
            f"modalities, each a prediction in every fold, over {MOST_SETS}: take modalities out of the manifest"
        )
    splits = plan(used, protocol, seed) if answered else []
    found: dict[str, list[pd.DataFrame | None]] = {}
    progress(0, len(splits))
    context = _Asked(used, recipe, seed, device, sets)
    for done, (key, frames) in enumerate(execute(_predict_sets, context, splits, jobs), start=1):
        found[key] = frames
        progress(done, len(splits))
    folds = [_test_fold(used, split) for split in splits]
    draws = patient_draws(folds, len(used), protocol.draws, seed)
    # A pooled metric is wanted within each fold, so that folds show how much it varies: each is a repeat of its own.
    folds = [replace(fold, repeat=number) for number, fold in enumerate(folds)]
    of_set = {own: [found[split.key][place] for split in splits] for place, own in enumerate(sets)}
    unknown = [(own, UNKNOWN) for own in asked if not own.answered]
    told = [(own, _gain(own, used, folds, of_set, draws)) for own in answered]
    place = {own: number for number, own in enumerate(asked)}
    return sorted([*told, *unknown], key=lambda pair: place[pair[0]]), len(splits)


def _test_fold(cohort: Cohort, split: Split) -> TestFold:
    assert cohort.outcome is not None
    groups = None if cohort.group is None else cohort.group[split.test]
    tested, trained = cohort.outcome.take(split.test), cohort.outcome.take(split.train)
    return TestFold(split.repeat, split.fold, split.test, tested, trained, groups)


def _gain(
    question: Question,
    cohort: Cohort,
    folds: Sequence[TestFold],
    of_set: Mapping[tuple[str, ...], Sequence[pd.DataFrame | None]],
    draws: Counts,
) -> Contrast:
    """Contrast what is explained with and without the modality, of the patients who have all that is needed."""
    kept, ours, theirs = [], [], []
    for number, (fold, both) in enumerate(zip(folds, of_set[question.both], strict=True)):
        if both is None:
            continue
        kept.append(fold.take(np.isin(cohort.ids[fold.patients], both.index.to_numpy().astype(str))))
        ours.append(both)
        less = of_set[question.have][number] if question.have else None
        if less is not None:
            theirs.append(less.loc[both.index])
    target = cohort.target
    if target is None or not kept or not _enough(kept, cohort, target):
        return UNKNOWN
    kind, names = target.kind, target.names
    more = whole_values(kind, kept, ours, names, draws, EXPLAINED[kind])
    if question.have:
        fewer = whole_values(kind, kept, theirs, names, draws, EXPLAINED[kind])
    else:  # the prior explains nothing of what it is compared with
        fewer = [(0.0 * point, 0.0 * drawn) for point, drawn in more]
    sizes = [(len(fold.patients), fold.n_train) for fold in kept]
    n_test, n_train = np.mean(sizes, axis=0)
    return contrast(more, fewer, n_test=float(n_test), n_train=float(n_train))


def _enough(folds: Sequence[TestFold], cohort: Cohort, target: Target) -> bool:
    """Whether the tested patients allow an estimate, each of them counted once."""
    rows = np.unique(np.concatenate([fold.patients for fold in folds]))
    assert cohort.outcome is not None
    tested = cohort.outcome.take(rows)
    return len(rows) >= FEWEST_PATIENTS and estimable(target.kind, tested, len(target.names))
