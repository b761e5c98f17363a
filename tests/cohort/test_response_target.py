"""Responses: read from files, arrays and columns, with what is wrong in them said by row and file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io  # type: ignore[import-untyped]

import chiasm
from chiasm.cohort import Cohort, CohortError
from chiasm.targets import Responses

RNG = np.random.default_rng(0)
REPEATS = RNG.normal(size=(6, 3, 4))
NAMES = ["a", "b", "ç", "d 1", "e", "f"]


def manifest(folder: Path, target: str) -> Path:
    pd.DataFrame({"id": NAMES, "x": range(6)}).to_csv(folder / "x.csv", index=False)
    place = folder / "cohort.toml"
    text = '[patients]\ntable = "items.csv"\nid = "id"\n[target]\nkind = "response"\n' + target
    place.write_text(text + '\n[modalities.x]\nkind = "table"\ntable = "x.csv"\n', encoding="utf-8")
    return place


def items(folder: Path, **columns: Any) -> None:
    pd.DataFrame({"id": NAMES, **columns}).to_csv(folder / "items.csv", index=False)


def of_files(folder: Path) -> Path:
    """A file of each kind, repetitions by channels."""
    files = ["a.npy", "unter ordner/b.csv", "c.mat", "d.txt", "e.npy", ""]
    (folder / "unter ordner").mkdir()
    np.save(folder / files[0], REPEATS[0])
    (folder / files[1]).write_text("\n".join(",".join(f"{x!r}" for x in map(float, row)) for row in REPEATS[1]))
    scipy.io.savemat(folder / files[2], {"rate": REPEATS[2], "other": np.zeros((2, 2))})
    (folder / files[3]).write_text("\n".join(f"{x!r}" for x in map(float, REPEATS[3, 0])))
    np.save(folder / files[4], REPEATS[4, :2])
    items(folder, file=files)
    return manifest(folder, 'column = "file"\nvariable = "rate"')


def test_files_of_every_kind_give_means_and_repetitions(tmp_path: Path) -> None:
    cohort = chiasm.open_cohort(of_files(tmp_path))
    assert isinstance(cohort.target, Responses) and cohort.target.names == ("1", "2", "3", "4")
    outcome = cohort.outcome
    assert outcome is not None and outcome.repeats is not None
    order = [NAMES.index(str(name)) for name in cohort.ids]
    expected = {0: REPEATS[0], 1: REPEATS[1], 2: REPEATS[2], 3: REPEATS[3, :1], 4: REPEATS[4, :2]}
    for row, item in enumerate(order):
        assert outcome.known[row] == (item in expected)
        if item in expected:
            np.testing.assert_allclose(outcome.value[row], expected[item].mean(axis=0))
            held = outcome.repeats[row][~np.isnan(outcome.repeats[row]).any(axis=1)]
            np.testing.assert_allclose(held, expected[item])
    (found,) = [problem for problem in cohort.findings if problem.severity == "warning"]
    assert "column 'file' is missing" in str(found) and "neither trained on nor tested" in found.fix


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda place: place.unlink(), "a file that is not there"),
        (lambda place: np.save(place, np.zeros((2, 5))), "another number of channels than the 4 of most items"),
        (lambda place: np.save(place, np.full(4, np.nan)), "holds a NaN or an infinity"),
        (lambda place: np.save(place, np.array(["a", "b"])), "something other than real numbers"),
        (lambda place: np.save(place, np.array([{}], dtype=object)), "damaged, or holds objects"),
        (lambda place: np.save(place, np.zeros((2, 2, 2))), "no array of channels"),
        (lambda place: np.save(place, np.zeros(0)), "no array of channels"),
        (lambda place: np.save(place, np.full(4, 1e200)), "of a magnitude that nothing measured has"),
        (lambda place: place.write_bytes(b""), "damaged, or holds objects"),
        (lambda place: place.write_bytes(b"\x93NUMPY\x01\x00"), "damaged, or holds objects"),
    ],
)
def test_a_broken_file_is_said_by_its_row_and_never_by_its_values(tmp_path: Path, broken: Any, said: str) -> None:
    place = of_files(tmp_path)
    broken(tmp_path / "a.npy")
    (found,) = [str(own) for own in chiasm.open_cohort(place).findings if own.severity == "error"]
    assert said in found and "items.csv" in found and "row 2" in found
    assert "1e+200" not in found and "a.npy" not in found


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        ("b.mat", lambda place: place.write_bytes(b"MATLAB 5.0" + bytes(200)), "a .mat file that is damaged"),
        ("b.mat", lambda place: scipy.io.savemat(place, {"other": 1.0}), "without the variable 'rate'"),
        ("b.mat", lambda place: scipy.io.savemat(place, {"rate": "text"}), "is of class char"),
        ("b.csv", lambda place: place.write_text("1,2,3,4\n1,2"), "different numbers of values"),
        ("b.csv", lambda place: place.write_text("a,b,c,d\n1,2,3,4"), "something other than numbers"),
        ("b.csv", lambda place: place.write_bytes(b"\xff\xfe\x00"), "no text"),
        ("b.pkl", lambda place: place.write_bytes(b"x"), "ends in none of .npy, .csv, .txt, .mat"),
        ("../b.npy", lambda place: np.save(place, np.zeros(4)), "the path leaves the folder"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(tmp_path: Path, name: str, made: Any, said: str) -> None:
    folder = tmp_path / "cohort"
    folder.mkdir()
    place = of_files(folder)
    made(folder / name)
    items(folder, file=["a.npy", name, "c.mat", "d.txt", "e.npy", ""])
    found = [str(problem) for problem in chiasm.open_cohort(place).findings if problem.severity == "error"]
    assert any(said in text for text in found), found


def test_columns_with_a_prefix_are_channels_and_no_input(tmp_path: Path) -> None:
    values = REPEATS[:, 0].copy()
    cells = {f"voxel_{k}": values[:, k] for k in range(4)}
    cells["voxel_1"] = [*map(str, values[:5, 1]), ""]
    items(tmp_path, **cells)
    cohort = chiasm.open_cohort(manifest(tmp_path, 'prefix = "voxel_"'))
    assert cohort.target is not None and cohort.target.names == ("0", "1", "2", "3")
    assert cohort.outcome is not None and cohort.outcome.known.sum() == 5 and cohort.outcome.repeats is None
    order = [NAMES.index(str(name)) for name in cohort.ids]
    np.testing.assert_allclose(cohort.outcome.value[cohort.outcome.known], values[order][cohort.outcome.known])
    other = chiasm.open_cohort(manifest(tmp_path, 'prefix = "pixel"'))
    assert any("no column starts with 'pixel'" in str(own) for own in other.findings if own.severity == "error")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "[target] names no response"),
        ('column = "file"\nprefix = "v"', "both 'column' and 'prefix'"),
        ('prefix = "v"\nvariable = "x"', "a 'variable' and no files"),
    ],
)
def test_a_target_that_names_too_little_or_too_much_is_refused(tmp_path: Path, keys: str, said: str) -> None:
    items(tmp_path, file="a.npy")
    with pytest.raises(CohortError, match="target") as told:
        chiasm.open_cohort(manifest(tmp_path, keys))
    assert said in str(told.value)


def test_frames_hold_arrays_or_paths_and_a_prediction_is_packed_into_lists(tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", REPEATS[0])
    cells: list[Any] = [str(tmp_path / "own.npy"), *REPEATS[1:]]
    frame = pd.DataFrame({"r": cells}, index=NAMES)
    made: Cohort = chiasm.cohort_from_frames(
        frame, {"x": pd.DataFrame({"v": range(6)}, index=NAMES)}, target=Responses("r")
    )
    assert made.outcome is not None and made.outcome.known.all()
    first = [str(name) for name in made.ids].index("a")
    np.testing.assert_allclose(made.outcome.value[first], REPEATS[0].mean(axis=0))
    wide = pd.DataFrame(np.arange(8.0).reshape(2, 4), columns=Responses.answers("abcd")).assign(pattern="x")
    wide.loc[1, "response_a"] = np.nan
    assert Responses.packed(wide)["response"].tolist() == [[0.0, 1.0, 2.0, 3.0], None]
    with pytest.raises(ValueError, match="a column of files, or the prefix"):
        Responses()


def test_constant_channels_are_said_and_a_response_that_never_differs_is_refused() -> None:
    def problems(value: np.ndarray) -> list[Any]:
        made = chiasm.cohort_from_frames(
            pd.DataFrame({"r": list(value)}, index=NAMES),
            {"x": pd.DataFrame({"v": range(6)}, index=NAMES)},
            target=Responses("r"),
        )
        assert made.target is not None and made.outcome is not None
        return made.target.problems(made.outcome, None)

    (some,) = problems(np.c_[REPEATS[:, 0], np.ones(6)])
    assert some.severity == "warning" and "1 channel of 5 with a single value" in str(some)
    (every,) = problems(np.ones((6, 3)))
    assert every.severity == "error" and "no channel that differs" in str(every)
