"""Source cohorts: what is refused of them, what a trial with them adds, and who is never scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api.external_trial import require_comparable
from chiasm.api.source_checks import partly_shared
from chiasm.api.sources import opened_sources
from chiasm.cohort import Cohort
from chiasm.cohort.lending import shared_parts

QUICK = chiasm.Protocol(folds=2, repeats=1, draws=100)


def cohort(
    seed: int,
    n: int = 60,
    mark: str = "a",
    target: chiasm.Target | None = None,
    outcome: str = "number",
    columns: str = "abcdef",
    name: str = "",
) -> Cohort:
    """Two modalities of three columns, and outcomes of every kind that go with the first column of each."""
    rng = np.random.default_rng(seed)
    x = pd.DataFrame(rng.normal(size=(n, 6)), [f"{mark}{seed}-{k}" for k in range(n)], list(columns))
    link = (x.iloc[:, 0] + x.iloc[:, 3]).to_numpy()
    case = link + rng.logistic(size=n) > 0
    patients = {
        "number": link + rng.normal(size=n),
        "word": np.where(case, "yes", "no"), "third": np.where(case, "yes", "never"),
        "time": rng.exponential(np.exp(-link)), "died": rng.random(n) < 0.7,
    }  # fmt: skip
    values = {"m": x.iloc[:, :3], "o": x.iloc[:, 3:]}
    wanted = target or chiasm.Regression("number")
    return chiasm.cohort_from_frames(
        pd.DataFrame(patients, x.index), values, target=wanted, name=name or f"{mark}{seed}"
    )


OWN = cohort(0, name="own")
LENT = cohort(1, 150, name="lent")


def with_rows_of(own: Cohort, other: Cohort, *, named: bool) -> Cohort:
    """The other cohort with three patients of this one, with their identifiers or with their values."""
    frames = {name: pd.DataFrame(other.raw(name)) for name in other.modalities}
    for name, frame in frames.items():
        if named:
            frames[name] = frame.rename(index=dict(zip(other.ids[:3], own.ids[:3], strict=True)))
        else:
            frame.iloc[:3] = own.raw(name).iloc[:3].to_numpy()
    assert other.outcome is not None
    patients = pd.DataFrame({"number": other.outcome.value}, frames["m"].index)
    return chiasm.cohort_from_frames(patients, frames, target=chiasm.Regression("number"), name="mixed")


WORDS, MILLIGRAM = chiasm.Classification("word"), chiasm.Regression("number", "mg")
REFUSED: dict[str, tuple[Callable[[], tuple[Cohort, Cohort]], str]] = {
    "kind": (
        lambda: (OWN, cohort(1, target=WORDS)), "is of kind 'classification' and that of 'own' of kind 'regression'"
    ),
    "classes": (
        lambda: (cohort(0, target=WORDS), cohort(1, target=chiasm.Classification("third"))),
        "the classes of the source cohort 'a1' are 'never', 'yes' and those of 'a0' 'no', 'yes'",
    ),
    "unit": (
        lambda: (
            cohort(0, target=chiasm.Survival("time", "died", unit="months")),
            cohort(1, target=chiasm.Survival("time", "died", unit="days")),
        ),
        "is in 'days' and that of 'a0' in 'months': convert its column",
    ),
    "unit of a number": (
        lambda: (cohort(0, target=MILLIGRAM), cohort(1, target=chiasm.Regression("number", "g"))),
        "is in 'g' and that of 'a0' in 'mg'",
    ),
    "no target": (lambda: (OWN, LENT.with_target(None, None)), "'lent' has no target: name one of kind 'regression'"),
    "modality": (lambda: (OWN.with_modalities(["m"]), LENT.with_modalities(["o"])), "none of the modalities 'm'"),
    "column": (lambda: (OWN, cohort(1, columns="uvwxyz")), "no column of 'm', 'o', by name"),
    "itself": (lambda: (OWN, OWN), "'own' is the cohort itself"),
    "identifiers": (
        lambda: (OWN, with_rows_of(OWN, LENT, named=True)), "3 patients of the source cohort 'mixed' have identif"
    ),
    "values": (
        lambda: (OWN, with_rows_of(OWN, LENT, named=False)), "3 patients of the source cohort 'mixed' have the val"
    ),
    "few": (lambda: (OWN, cohort(1, 8)), "'a1': 8 patients have a known outcome and a modality"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_borrowed_from_is_refused_before_anything_is_written(wrong: str, tmp_path: Path) -> None:
    made, said = REFUSED[wrong]
    own, lent = made()
    for run in (
        lambda: chiasm.evaluate(own, ["late-fusion"], QUICK, sources=[lent], out=tmp_path / "run", jobs=1),
        lambda: chiasm.fit(own, "transfer", sources=[lent]),
    ):
        with pytest.raises((chiasm.Unsupported, chiasm.LeakageError), match=said) as refused:
            run()
        assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()
        assert not any(str(name) in str(refused.value) for name in own.ids)


def test_a_source_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(chiasm.CohortError, match=r"source cohort '.*nowhere.toml': there is no such file"):
        chiasm.evaluate(OWN, ["late-fusion"], QUICK, sources=[tmp_path / "nowhere.toml"], jobs=1)


def test_a_source_that_is_named_twice_counts_once() -> None:
    assert [own.name for own in opened_sources(OWN, [LENT, LENT])] == ["lent"]


def test_whatever_stands_in_one_alone_is_not_shared_and_told() -> None:
    part = cohort(1, columns="abxdyz", name="part")
    assert shared_parts(OWN, part) == {"m": ("a", "b"), "o": ("d",)}
    said = [(note.modality, note.what) for note in partly_shared(OWN, part)]
    assert said == [
        ("m", "the source cohort 'part' shares 2 of 3 columns"),
        ("o", "the source cohort 'part' shares 1 of 3 columns"),
    ]
    assert partly_shared(OWN, LENT) == []


def test_a_cohort_whose_patients_stand_in_a_source_is_no_external_one() -> None:
    with pytest.raises(chiasm.LeakageError, match="3 patients of 'mixed' stand in the source cohort 'lent' too"):
        require_comparable(OWN.with_lenders([LENT]), with_rows_of(LENT, cohort(2, 40), named=False))


def test_every_training_set_keeps_the_sources_whole_and_they_are_part_of_the_fingerprint() -> None:
    both = OWN.with_lenders([LENT])
    for part in (
        both.subset([0, 1]),
        both.with_modalities(["m"]),
        both.with_target(None, None),
        both.without("m", np.array([0])),
    ):
        assert part.lenders == (LENT,)
    assert both.fingerprint != OWN.fingerprint == both.with_lenders([]).fingerprint
    other = replace(LENT, name="other").subset(range(100))
    assert OWN.with_lenders([LENT, other]).fingerprint == OWN.with_lenders([other, LENT]).fingerprint
