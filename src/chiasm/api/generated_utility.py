"""What training on synthetic patients is worth on real ones, beside training on as many real ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.api.encoding import encode
from chiasm.cohort import Cohort, CohortError, Outcome, Unsupported, class_names
from chiasm.cohort.frames import cohort_from_frames
from chiasm.errors import FindingWarning, count
from chiasm.generation.records import Records
from chiasm.generation.rows import OUTCOME, Rows
from chiasm.metrics.scores import PRIMARY, score
from chiasm.metrics.table import METRICS
from chiasm.protocols import Model
from chiasm.recipes import registry
from chiasm.shown import interval

DRAWS = 1000
LEAST = 5  # events, or members of a class, among those who are tested
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Utility:
    """The primary metric on real patients who were held out, of a recipe fitted to real and to synthetic patients.

    Args:
        recipe, metric: names; `chance` is the metric's value where nothing is known.
        patients: how many were trained on, of either kind. tested: how many real ones were tested.
        real, synthetic, difference: value, and the ends of the 95 % interval over tested patients.
        kept: share of the real model's gain over chance that the synthetic one has; None where the interval of the
            real one's reaches chance.
        why: why there is no number; empty where there is.
    """

    recipe: str
    metric: str
    chance: float
    patients: int
    tested: int
    real: tuple[float, float, float] | None = None
    synthetic: tuple[float, float, float] | None = None
    difference: tuple[float, float, float] | None = None
    kept: float | None = None
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        return asdict(self)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Say it in a sentence."""
        if self.real is None or self.synthetic is None or self.difference is None:
            return (f"Utility is not told: {self.why}.",)
        kept = (
            f"{self.kept:.0%} of the gain over {self.chance:g} is kept"
            if self.kept is not None
            else f"training on real ones is not above {self.chance:g} for sure, and no share of it is told"
        )
        return (
            f"On {count(self.tested, 'real patient')} held out, {self.recipe} trained on {self.patients:,} synthetic "
            f"patients has {self.metric} {interval(*self.synthetic)}, and on as many real ones "
            f"{interval(*self.real)}: {kept}.",
        )


def utility_of(
    train: Cohort,
    held: Cohort,
    made: Rows,
    recipe: str,
    seed: int,
    *,
    written: Cohort | None = None,
    records: Mapping[str, Records] | None = None,
) -> Utility:
    """Fit a recipe to synthetic and to as many real patients, and score both on real patients who were held out.

    Args:
        recipe: its name; empty: late fusion, or of one modality the search of `single`.
        written: the synthetic patients as a cohort, where they have pictures; None: it is made of `made`.
        records: modality of events to the records of the synthetic patients.
    """
    target = train.target
    assert target is not None and train.outcome is not None and held.outcome is not None
    name = recipe or ("late-fusion" if len(train.modalities) > 1 else f"single:{train.modalities[0]}")
    many = min(len(train), len(made))
    metric = next(own for own in METRICS[target.kind] if own.id == PRIMARY[target.kind])
    seen = held.subset(held.outcome.known & held.present.any(1))
    whole = Utility(name, metric.label, metric.chance, many, len(seen))
    chosen = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(train))[:many]
    try:
        first = np.arange(many)
        drawn = {modality: own.take(first) for modality, own in (records or {}).items()}
        own = synthetic_cohort_of(made.take(first), train, drawn) if written is None else written.subset(first)
        cohorts = [train.subset(chosen), own]
        if drawn and written is None:
            *cohorts, seen = (encode(own).cohort for own in (*cohorts, seen))
        fitted: list[Model] = []
        for own in cohorts:
            (made_recipe,) = registry.resolve([name], own)
            fitted.append(made_recipe.fit(own, seed=seed))
        classes = [class_names(own.target) for own in cohorts if own.target is not None]
        if classes[0] != classes[1]:
            return _without(whole, "the synthetic patients lack a class that the real ones have")
        found = _scores(fitted, seen, cohorts, metric.id, seed)
    except (Unsupported, CohortError) as refused:
        return _without(whole, str(refused).splitlines()[0])
    real, synthetic = found
    if not np.isfinite(real[0]) or not np.isfinite(synthetic[0]):
        return _without(whole, f"{len(seen):,} patients held out are too few to score")
    gain = float((synthetic[0] - metric.chance) / (real[0] - metric.chance))
    return Utility(
        name, metric.label, metric.chance, many, len(seen), _interval(real), _interval(synthetic),
        _interval(synthetic - real), gain if _interval(real)[1] > metric.chance else None,
    )  # fmt: skip


def synthetic_cohort_of(made: Rows, like: Cohort, records: Mapping[str, Records] | None = None) -> Cohort:
    """Synthetic patients as a cohort in memory, with the target and the kinds of another one."""
    index = pd.Index([f"synthetic-{row}" for row in range(len(made))], dtype=object)
    blocks = {
        name: own.set_axis(index, axis=0)[made.present[name]] for name, own in made.blocks.items() if name != OUTCOME
    }
    for name, records_of_it in (records or {}).items():
        events = records_of_it.frame()
        blocks[name] = events.set_axis(index[events.pop("row").to_numpy()], axis=0)
    patients = made.blocks.get(OUTCOME, pd.DataFrame(index=range(len(made)))).set_axis(index, axis=0)
    return cohort_from_frames(
        patients, blocks, like.target, kinds={name: like.kinds[name] for name in blocks},
        groups={name: own for name, own in like.feature_groups.items() if name in blocks},
        categories={name: own for name, own in made.declared.items() if own}, name=f"{like.name}, synthetic",
    )  # fmt: skip


def _scores(models: list[Model], held: Cohort, trained: list[Cohort], metric: str, seed: int) -> list[Floats]:
    """Metric of each model, the value first and then bootstrap draws of the tested patients, the same for both."""
    target, outcome = held.target, held.outcome
    assert target is not None and outcome is not None
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    drawn = rng.multinomial(len(held), np.full(len(held), 1 / len(held)), size=DRAWS)
    weights = np.concatenate([np.ones((1, len(held))), drawn.astype(np.float64)])
    found = []
    for model, own in zip(models, trained, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FindingWarning)  # of real values that no synthetic patient had
            frame = model.predict(held.with_target(None, None)).loc[list(held.ids)].drop(columns="pattern")
        before: Outcome | None = own.outcome
        values = score(
            target.kind, frame, outcome, class_names(target), weights, before, [metric], min_events=LEAST
        )[metric]  # fmt: skip
        found.append(np.asarray(values, dtype=np.float64))
    return found


def _interval(values: Floats) -> tuple[float, float, float]:
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return float(values[0]), float(low), float(high)


def _without(whole: Utility, why: str) -> Utility:
    return Utility(whole.recipe, whole.metric, whole.chance, whole.patients, whole.tested, why=why.rstrip("."))
