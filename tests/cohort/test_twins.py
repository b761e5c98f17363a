"""One person under two identifiers is found by what they share, and patients who are merely alike are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chiasm.cohort.leaks.near import near_pairs
from leaky_cohorts import Bench


def identical(b: Bench) -> None:
    for frame in (b.labs, b.genes):
        frame.iloc[:5] = frame.iloc[5:10].to_numpy()


def near(b: Bench) -> None:
    for frame in (b.labs, b.genes):
        frame.iloc[:5] = frame.iloc[5:10].to_numpy() + b.rng.normal(0, 1e-6, (5, frame.shape[1]))


def one_absent(b: Bench) -> None:
    b.genes.iloc[:5] = b.genes.iloc[5:10].to_numpy()
    b.labs = b.labs.iloc[5:]


def measured_again(b: Bench) -> None:
    b.genes.iloc[:5] = b.genes.iloc[5:10].to_numpy()
    b.labs.iloc[:5] = b.labs.iloc[5:10].to_numpy() + b.rng.normal(0, 0.3, (5, b.labs.shape[1]))


def bags(b: Bench) -> None:
    tokens = {name: b.rng.normal(size=(4, 8)) for name in b.ids}
    for k in range(5):
        tokens[b.ids[k]] = tokens[b.ids[k + 5]][::-1]  # the same tokens in another order
    b.more["slide"] = tokens


PLANTS = [
    (identical, "identical-patients"),
    (near, "near-duplicates"),
    (one_absent, "identical-modality"),
    (measured_again, "identical-modality"),
    (bags, "near-duplicates"),
]


@pytest.mark.parametrize(("plant", "name"), PLANTS, ids=lambda value: getattr(value, "__name__", value))
def test_one_person_under_two_identifiers_is_found(plant: Callable[[Bench], None], name: str) -> None:
    bench = Bench()
    plant(bench)
    found = bench.found()
    assert set(found) == {name} and found[name].leak
    assert found[name].what.startswith("10 patients") and found[name].row == 2


@pytest.mark.parametrize(("plant", "name"), PLANTS, ids=lambda value: getattr(value, "__name__", value))
def test_records_of_one_group_are_known_to_belong_together(plant: Callable[[Bench], None], name: str) -> None:
    bench = Bench()
    plant(bench)
    bench.patients["person"] = [f"person {k % 5 if k < 10 else k}" for k in range(bench.n)]
    bench.options = {"group": "person"}
    assert not bench.found()


def test_patients_alike_in_what_many_share_are_no_leak() -> None:
    """Age and sex, a mutation or two, a blood group: two patients have the same by chance."""
    bench = Bench()
    bench.labs = bench.labs.iloc[:, :0].assign(
        age=bench.rng.integers(50, 70, bench.n), sex=bench.rng.integers(0, 2, bench.n)
    )
    mutated = (bench.rng.random((bench.n, 40)) < 0.03).astype(float)
    bench.genes = bench.genes.iloc[:, :0].assign(**{f"gene_{k}": mutated[:, k] for k in range(40)})
    found = bench.found()
    assert set(found) <= {"identical-patients"} and not any(problem.leak for problem in found.values())


def test_relatives_of_a_patient_are_not_the_patient() -> None:
    """A correlation of .99 in every gene is far from the same measurement."""
    bench = Bench()
    bench.genes.iloc[:5] = 0.99 * bench.genes.iloc[5:10].to_numpy() + 0.1 * bench.rng.normal(size=(5, 10))
    assert not bench.found()


def test_rows_of_zeros_in_wide_counts_are_not_one_patient() -> None:
    bench = Bench()
    counts = bench.rng.lognormal(size=(bench.n, 30))
    counts[:20] = 0
    bench.genes = bench.genes.iloc[:, :0].assign(**{f"gene_{k}": counts[:, k] for k in range(30)})
    assert not any(problem.leak for problem in bench.found().values())


def test_near_rows_are_those_that_a_comparison_of_all_finds() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 12))
    values[:40] = values[40:80] + rng.normal(0, 1e-3, (40, 12))
    apart = np.sqrt(((values[:, None] - values[None]) ** 2).mean(axis=2))
    expected = {(a, b) for a, b in zip(*np.nonzero(apart <= 2e-3), strict=True) if a < b}
    assert {tuple(pair) for pair in near_pairs(values, 2e-3).tolist()} == expected and len(expected) == 40


def test_identifiers_that_differ_in_case_are_a_leak_unless_they_are_one_group() -> None:
    bench = Bench()
    names = [*bench.ids[:-1], bench.ids[0].upper()]
    bench.patients.index = bench.labs.index = bench.genes.index = names  # type: ignore[assignment]
    assert bench.found()["look-alike-identifiers"].leak
