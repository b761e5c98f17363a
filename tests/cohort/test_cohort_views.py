"""Subsets, order and fingerprints: views of one cohort, whatever the order of its file."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.cohort import (
    Classification,
    CohortError,
    Outcome,
    Regression,
    cohort_from_frames,
    open_cohort,
    synthetic_cohort,
)
from examples import examples


def small(order: np.ndarray, extra: bool = False, reverse: bool = False):
    rng = np.random.default_rng(0)
    ids = np.array([f"{i:02d}" for i in range(12)])
    patients = pd.DataFrame({"y": rng.integers(0, 2, 12), "g": rng.integers(0, 4, 12)}, index=ids)
    frames = {
        "a": pd.DataFrame(rng.normal(size=(12, 3)), index=ids, columns=list("uvw")).iloc[:9],
        "b": pd.DataFrame({"s": rng.choice(["u", "v"], 12)}, index=ids).iloc[3:],
    }
    if extra:
        patients["unrelated"] = 1e9
    if reverse:
        frames = dict(reversed(list(frames.items())))
    frames = {name: frame.iloc[np.argsort(order[: len(frame)])] for name, frame in frames.items()}
    return cohort_from_frames(patients.iloc[order], frames, Classification("y"), group="g")


@settings(max_examples=examples(30), deadline=None)
@given(st.permutations(range(12)), st.booleans(), st.booleans())
def test_row_order_modality_order_and_unrelated_columns_change_nothing(order, extra, reverse):
    one, other = small(np.arange(12)), small(np.array(order), extra, reverse)
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.present, other.present)
    np.testing.assert_array_equal(one.outcome.value, other.outcome.value)
    np.testing.assert_array_equal(one.group, other.group)
    for modality in one.modalities:
        pd.testing.assert_frame_equal(one.raw(modality), other.raw(modality))
    assert one.fingerprint == other.fingerprint
    assert other.ids[other.order].tolist() == [f"{i:02d}" for i in order]


def test_the_same_for_the_rows_of_a_file(cohort_folder):
    one = open_cohort(cohort_folder.manifest)
    before = {modality: one.raw(modality) for modality in ("clinical", "rna")}
    expected = one.fingerprint
    shuffled = cohort_folder.clinical().sample(frac=1, random_state=0)
    cohort_folder.write_clinical(shuffled)
    rna = pd.read_parquet(cohort_folder.path / "rna.parquet").sample(frac=1, random_state=1)
    rna.to_parquet(cohort_folder.path / "rna.parquet", index=False)
    other = open_cohort(cohort_folder.manifest)
    assert other.ids[other.order].tolist() == shuffled["case_id"].tolist()
    np.testing.assert_array_equal(one.outcome.value, other.outcome.value)
    for modality, frame in before.items():
        pd.testing.assert_frame_equal(frame, other.raw(modality))
    assert expected == other.fingerprint


def test_the_fingerprint_knows_content_subset_and_target(cohort_folder):
    cohort = open_cohort(cohort_folder.manifest)
    seen = {cohort.fingerprint, cohort.subset(np.arange(39)).fingerprint, cohort.with_modalities(["rna"]).fingerprint}
    flipped = Outcome(cohort.outcome.value, ~cohort.outcome.event, cohort.outcome.known)
    seen.add(cohort.with_target(cohort.target, flipped).fingerprint)
    seen.add(cohort.with_target(None, None).fingerprint)
    seen.add(cohort.with_target(replace(cohort.target, times=(12.0,)), cohort.outcome).fingerprint)
    bag = np.load(cohort_folder.path / "slides" / "001.npy")
    bag[-1, -1] += 1
    np.save(cohort_folder.path / "slides" / "001.npy", bag)
    seen.add(open_cohort(cohort_folder.manifest).fingerprint)
    cohort_folder.set_cell(2, "age", "99")
    seen.add(open_cohort(cohort_folder.manifest).fingerprint)
    assert len(seen) == 8


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.integers(0, 11), unique=True, max_size=12))
def test_a_subset_keeps_the_order_of_ids(rows):
    cohort = small(np.arange(12)[::-1])
    part = cohort.subset(np.array(rows, dtype=int))
    mask = np.isin(np.arange(12), rows)
    assert part.ids.tolist() == cohort.ids[mask].tolist() == cohort.subset(mask).ids.tolist()
    assert part.ids[part.order].tolist() == sorted(part.ids.tolist(), reverse=True)
    np.testing.assert_array_equal(part.present, cohort.present[mask])
    for modality in part.modalities:
        expected = cohort.raw(modality)
        assert part.raw(modality).equals(expected[expected.index.isin(part.ids)])


def test_rows_that_are_no_subset_are_refused():
    cohort = small(np.arange(12))
    with pytest.raises(ValueError, match="stands twice"):
        cohort.subset(np.array([1, 1]))
    with pytest.raises(IndexError, match="outside the cohort of 12"):
        cohort.subset(np.array([12]))
    with pytest.raises(ValueError, match="mask has shape"):
        cohort.subset(np.ones(3, dtype=bool))


def test_fewer_modalities_same_patients():
    cohort = small(np.arange(12)).with_modalities(["b"])
    assert len(cohort) == 12 and cohort.modalities == ("b",)
    assert set(cohort.pattern()) == {"", "b"}
    with pytest.raises(ValueError, match=r"no modality 'bb': did you mean 'b'\?"):
        cohort.raw("bb")


def test_frames_and_files_of_equal_content_have_one_fingerprint(cohort_folder):
    cohort = open_cohort(cohort_folder.manifest)
    clinical = cohort_folder.clinical().set_index("case_id")
    clinical = clinical.astype({"months": float, "died": int, "age": float})
    rna = pd.read_parquet(cohort_folder.path / "rna.parquet").set_index("case_id")
    bags = {path.stem: np.load(path) for path in (cohort_folder.path / "slides").iterdir()}
    frames = cohort_from_frames(
        clinical,
        {"clinical": clinical[["age", "sex"]], "rna": rna, "slide": bags},
        cohort.target,
        site="site",
        kinds={"rna": "omics"},
    )
    pd.testing.assert_frame_equal(frames.raw("rna"), cohort.raw("rna"))
    np.testing.assert_array_equal(frames.raw("slide")[2], cohort.raw("slide")[2])
    np.testing.assert_array_equal(frames.present, cohort.present)


def test_a_cohort_travels_to_another_process():
    import multiprocessing

    cohort = synthetic_cohort("unique", 40)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(len, (cohort,)) == 40


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=["p", "q"])
UNFIT = {
    "a column twice": ({"m": FRAME.set_axis(["a", "a"], axis=1)}, "modality 'm': column 'a' stands twice; rename one"),
    "a number and its text": ({"m": FRAME.set_axis([1, "1"], axis=1)}, "modality 'm': column '1' stands twice"),
    "a name with a sign": ({"m+n": FRAME}, "'m+n' cannot name a modality; use text of letters, digits"),
    "a name that is no text": ({1: FRAME}, "1 cannot name a modality; use text"),
    "a list": ({"m": [1, 2]}, "modality 'm': kind 'bag' does not fit what was given; a frame is a table"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_frames_that_are_no_modality_are_refused_by_name(name):
    modalities, message = UNFIT[name]
    with pytest.raises(CohortError) as refused:
        cohort_from_frames(FRAME, modalities)
    assert message in str(refused.value)


def test_an_unknown_kind_is_answered_with_the_nearest():
    with pytest.raises(CohortError, match="unknown kind 'omic'; did you mean 'omics'"):
        cohort_from_frames(FRAME, {"m": FRAME}, kinds={"m": "omic"})


def test_an_outcome_column_that_stands_twice_is_refused():
    with pytest.raises(CohortError, match="patients: column 'a' stands twice"):
        cohort_from_frames(FRAME.set_axis(["a", "a"], axis=1), {"m": FRAME}, Regression("a"))


def test_a_cohort_whose_arrays_came_in_shared_memory_is_fingerprinted() -> None:
    cohort = synthetic_cohort("redundant", n=30)
    head = cohort.subset(range(10)).fingerprint  # some digests are known by now, others not
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(cohort, protocol=5, buffer_callback=buffers.append)
    shared = pickle.loads(data, buffers=[memoryview(bytes(buffer.raw())) for buffer in buffers])  # read-only
    assert shared.subset(range(10)).fingerprint == head and shared.fingerprint == cohort.fingerprint
