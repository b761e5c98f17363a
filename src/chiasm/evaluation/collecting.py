"""Whether a modality is worth its price: what it would add for patients who lack it, before it is collected for them.

For patients who have the modalities P and lack m, the gain is how much more of the outcome is explained with m:

    gain(m | P) = E(P + m) - E(P),    E = 1 - loss / loss of the training prior

E is the scaled Brier score (integrated up to the last horizon for survival; Kattan and Gerds 2018), for numbers R2
against the training mean; E(nothing) = 0. It is estimated on those who have P and m, whatever else they have: a model
of the training folds predicts each tested patient twice, with P + m and with P alone, as if there were nothing else.
Losses are pooled over these patients, and the gain has the wider of two intervals (`explained.more_explained`). So it
is no difference of scores that a trial prints, which are of all tested patients.

With `worth`, what it is worth for one patient to know the outcome for certain, in the currency of the price,

    net gain = worth * gain - cost,    break-even = cost / gain

so that a modality is worth collecting where `worth` lies above the break-even. This is the net benefit of cost
effectiveness (Stinnett and Mullahy 1998), linear in the share explained as the effect.

Assumed: patients who have m are like those who lack it, given P. What a model would gain that learns from more
patients, from m beside something that nobody has yet, or that makes more of m than the one asked, is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.evaluation.contrasts import UNKNOWN, Contrast
from chiasm.evaluation.estimates import MAX_MISSING
from chiasm.evaluation.explained import Compared, more_explained
from chiasm.evaluation.fits import Execute, said_of, with_horizons, without_values
from chiasm.evaluation.folded import Folded, folded
from chiasm.evaluation.protocol import Protocol, Split
from chiasm.fitting.sides import reads_of
from chiasm.metrics.scores import estimable

FEWEST_PATIENTS = 30
FEWEST_TRAINED = 20  # patients with both, in the training set of a fold
EVERY_SET_UP_TO = 4  # modalities
MOST_SETS = 128  # of modalities, each of which is a prediction in every fold
Gain = tuple["Question", Contrast, int]
"""A question, its gain, and the number of test folds that tell of it."""


@dataclass(frozen=True)
class Question:
    """Whether patients who have the modalities `have`, and no other, should have `add` collected.

    `asked` is how many of the cohort are such patients, whatever is known of their outcome; `patients` how many with a
    known outcome have both, and perhaps others: they answer.
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


def questions(cohort: Cohort, used: Cohort | None = None) -> list[Question]:
    """List what can be asked of a cohort: each modality, added to each set of others.

    With more than four modalities only the sets are asked about that patients have, or would have less one modality.
    Questions that most patients raise come first, then those that most can answer.

    Args:
        used: the patients of known outcome, who answer; None takes all.
    """
    used = cohort if used is None else used
    names = cohort.modalities
    rows, count = np.unique(cohort.present, axis=0, return_counts=True)
    of_pattern = {frozenset(np.array(names)[row].tolist()): int(n) for row, n in zip(rows, count, strict=True)}
    found = {}
    every = [frozenset(own) for size in range(len(names)) for own in combinations(names, size)]
    for pattern in every if len(names) <= EVERY_SET_UP_TO else of_pattern:
        for m in names:
            have = pattern - {m}
            patients = int(_have(used, [*have, m]).sum())
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
    frames: list[pd.DataFrame | None] = []
    with without_values(asked.recipe, split):
        seed = seeded(asked.seed, split.key)
        model = asked.recipe.fit(train, seed=seed, checkpoint=None, device=asked.device)
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
        cohort: encoded, with a target; patients of unknown outcome ask and do not answer.
        recipe: what predicts; it must predict any subset of the modalities that it reads. Of others nothing is asked.
        execute: how training sets are run in parallel.
        progress: called with (finished, all) training sets.

    Returns:
        Each question with its gain, and the number of test folds. A fold tells of a question where somebody tested has
        both, and 20 patients who were trained on; the gain is not estimable where over a fifth of the folds do not
        tell of it, or fewer than 30 patients, or too few of them have an event or a class.

    Raises:
        Unsupported: no target, one modality that the recipe reads, or over 128 sets of modalities.
    """
    read = reads_of(recipe, cohort)
    if len(read) < 2:
        raise Unsupported(f"'{recipe.name}' reads {len(read)} modality of the cohort: there is nothing to add to it")
    cohort = cohort.with_modalities(read)
    known = folded(cohort, protocol, seed)
    used, splits = known.cohort, known.splits
    asked = questions(cohort, used)
    answered = [own for own in asked if own.answered]
    sets = tuple(sorted({own.both for own in answered} | {own.have for own in answered if own.have}))
    if len(sets) > MOST_SETS:
        raise Unsupported(
            f"what the patients of this cohort have is answered by {len(sets)} sets of its {len(used.modalities)} "
            f"modalities, each a prediction in every fold, over {MOST_SETS}: take modalities out of the manifest"
        )
    splits = splits if answered else ()
    found: dict[str, list[pd.DataFrame | None]] = {}
    progress(0, len(splits))
    context = _Asked(used, recipe, seed, device, sets)
    for done, (key, frames) in enumerate(execute(_predict_sets, context, splits, jobs), start=1):
        found[key] = frames
        progress(done, len(splits))
    of_set = {own: [found[split.key][place] for split in splits] for place, own in enumerate(sets)}
    trained = {own.both: [int(_have(used.subset(split.train), own.both).sum()) for split in splits] for own in answered}
    told = {own: _gain(own, known, of_set, trained[own.both]) for own in answered}
    return [(own, *told.get(own, (UNKNOWN, 0))) for own in asked], len(splits)


def _gain(
    question: Question,
    known: Folded,
    of_set: Mapping[tuple[str, ...], Sequence[pd.DataFrame | None]],
    trained: Sequence[int],
) -> tuple[Contrast, int]:
    """Compare what is explained with and without the modality, of the patients who have all that is needed."""
    parts, of_trained = [], []
    for number, (fold, both) in enumerate(zip(known.folds, of_set[question.both], strict=True)):
        if both is None or trained[number] < FEWEST_TRAINED:
            continue
        own = fold.take(np.isin(known.cohort.ids[fold.patients], both.index.to_numpy().astype(str)))
        less = of_set[question.have][number] if question.have else None
        parts.append(Compared(own, both, None if less is None else less.loc[both.index]))
        of_trained.append(trained[number])
    if len(parts) < (1 - MAX_MISSING) * len(known.folds):
        return UNKNOWN, len(parts)
    rows = np.unique(np.concatenate([part.fold.patients for part in parts]))
    target, tested = known.target, known.outcome.take(rows)
    if len(rows) < FEWEST_PATIENTS or not estimable(target.kind, tested, len(target.names)):
        return UNKNOWN, len(parts)
    n_test = float(np.mean([len(part.fold.patients) for part in parts]))
    gain = more_explained(target, tested, parts, known.draws, n_test=n_test, n_train=float(np.mean(of_trained)))
    return gain, len(parts)
