"""What is true of the models that a trial picked: total, coverage and combining among further patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, class_names
from chiasm.evaluation.composed import candidates_in
from chiasm.evaluation.references import best_available, ranked_modalities
from chiasm.evaluation.run import Gathered
from chiasm.evaluation.within import pattern_strata, within
from chiasm.metrics.scores import PRIMARY, score


@dataclass(frozen=True)
class Truth:
    """Means over the outer folds; `metric` of every recipe that was asked for."""

    total: float
    coverage: float
    combining: float
    metric: Mapping[str, float]


def truth_of(
    gathered: Gathered,
    models: Mapping[tuple[str, str], Any],
    further: Cohort,
    picks: Mapping[tuple[int, str], tuple[str, str]],
    shown: Sequence[str],
) -> Truth:
    """Each fold's picked models on further patients of the same population, by the definitions of the verdict.

    Args:
        models: (recipe, outer split) to the model that the trial fitted.
        further: patients whom no fold has seen.
        picks: (repeat, fold) to the single and the combined recipe that inner folds picked there.
        shown: recipes whose primary metric is wanted.
    """
    setting = gathered.setting
    target, seen = setting.cohort.target, further.outcome
    assert target is not None and seen is not None and setting.cohort.outcome is not None
    kind, classes, name = target.kind, class_names(target), PRIMARY[target.kind]
    patterns = further.pattern().astype(object)
    several = further.present.sum(axis=1) >= 2
    strata = pattern_strata(patterns, several, max(1, len(classes)))
    unseen = further.with_target(None, None)
    present = {modality: further.present[:, m] for m, modality in enumerate(further.modalities)}
    index = pd.Index(further.ids, name="patient", dtype=object)
    rows: list[tuple[float, float, float]] = []
    metric: dict[str, list[float]] = {recipe: [] for recipe in shown}

    def whole(frame: pd.DataFrame) -> float:
        return float(score(kind, frame, seen, classes, metrics=[name])[name][0])

    def inside(frame: pd.DataFrame) -> float:
        return float(within(kind, frame, seen, classes, strata)[0])

    for split in setting.splits:
        single, fused = picks[split.repeat, split.fold]
        best = ranked_modalities(candidates_in(setting, gathered.fits, gathered.own, split))
        asked = {*shown, single, fused, *(one.recipe for _, one in best)}
        frames = {recipe: models[recipe, split.key].predict(unseen) for recipe in sorted(asked)}
        ranked = [(modality, replace(one, frame=frames[one.recipe])) for modality, one in best]
        train = setting.cohort.outcome.take(split.train)
        b = best_available(kind, ranked, present, train, classes, index, patterns)
        own = {recipe: whole(frame) for recipe, frame in frames.items()}
        rows.append((own[fused] - own[single], whole(b) - own[single], inside(frames[fused]) - inside(b)))
        for recipe in shown:
            metric[recipe].append(own[recipe])
    total, coverage, combining = np.mean(rows, axis=0)
    return Truth(total, coverage, combining, {recipe: float(np.mean(values)) for recipe, values in metric.items()})
