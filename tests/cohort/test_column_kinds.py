"""A number in a table is a number whatever its dtype or notation, or an error with its row; never a category."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import chiasm
from chiasm.cohort import Classification, Cohort, CohortError, Regression, Survival, cohort_from_frames
from chiasm.cohort.cells import tidy
from chiasm.cohort.column_kinds import columns_of
from chiasm.encoders import TableEncoder
from chiasm.readers.record.events import EventReader

N = 40
IDS = [f"p{i:03d}" for i in range(N)]


def ages() -> np.ndarray:
    return np.round(np.random.default_rng(0).normal(60, 9, N), 1)


def patients() -> pd.DataFrame:
    return pd.DataFrame({"y": ["a" if i % 3 else "b" for i in range(N)]}, index=IDS)


def with_column(values: Any, kind: str = "table", **options: Any) -> Cohort:
    sex = ["m" if i % 2 else "f" for i in range(N)]
    frame = pd.DataFrame({"age": values}, index=IDS)
    frame = frame.assign(sex=sex) if kind == "table" else frame
    return cohort_from_frames(patients(), {"clin": frame}, Classification("y"), kinds={"clin": kind}, **options)


def found(cohort: Cohort | Path, finding: str) -> list[chiasm.Problem]:
    return [problem for problem in chiasm.check_cohort(cohort) if problem.finding == finding]


DTYPES = {
    "objects": lambda x: pd.Series(x, dtype=object),
    "decimals": lambda x: pd.Series([Decimal(str(value)) for value in x], dtype=object),
    "decimal128": lambda x: pd.Series([Decimal(str(v)) for v in x], dtype=pd.ArrowDtype(pa.decimal128(8, 2))),
    "arrow doubles": lambda x: pd.Series(x, dtype=pd.ArrowDtype(pa.float64())),
    "text": lambda x: pd.Series([str(value) for value in x], dtype=object),
    "text with spaces": lambda x: pd.Series([f" {value} " for value in x], dtype=object),
    "StringDtype": lambda x: pd.Series([str(value) for value in x], dtype="string"),
    "arrow text": lambda x: pd.Series([str(value) for value in x], dtype="string[pyarrow]"),
    "categories of numbers": lambda x: pd.Series(pd.Categorical(x)),
    "categories of text": lambda x: pd.Series(pd.Categorical([str(value) for value in x])),
    "Float64": lambda x: pd.Series(x, dtype="Float64"),
    "sparse": lambda x: pd.Series(pd.arrays.SparseArray(x)),
    "numbers and text": lambda x: pd.Series([value if i % 2 else str(value) for i, value in enumerate(x)]),
    "numpy scalars": lambda x: pd.Series([np.float64(value) for value in x], dtype=object),
    "scientific": lambda x: pd.Series([f"{value:.17e}" for value in x]),
    "plus signs": lambda x: pd.Series([f"+{value}" for value in x]),
}


@pytest.mark.parametrize("kind", ["table", "omics"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_are_numbers_whatever_holds_them(dtype: str, kind: str) -> None:
    column = DTYPES[dtype](ages())
    raw = with_column(column.array, kind).raw("clin")
    np.testing.assert_array_equal(raw["age"].to_numpy(), with_column(ages(), kind).raw("clin")["age"].to_numpy())
    assert raw["age"].dtype == (np.float64 if kind == "table" else np.float32)


def test_fractions_truth_and_whole_numbers_are_numbers() -> None:
    frame = pd.DataFrame(
        {
            "fraction": [Fraction(1, 2)] * 3,
            "truth": pd.array([True, None, False], dtype=object),
            "written": ["True", "FALSE", " true"],
            "Int64": pd.array([1, None, 3], dtype="Int64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "mixed": pd.array([True, 2.5, None], dtype=object),
            "uint8": np.array([1, 2, 3], dtype=np.uint8),
            "float16": np.array([1, 2, 3], dtype=np.float16),
            "None": pd.array([1, None, 2], dtype=object),
            "NA": pd.array(["1", pd.NA, "2"], dtype=object),
        }
    )
    read = tidy(frame)
    assert set(read.dtypes) == {np.dtype(np.float64)}
    assert read["written"].tolist() == [1.0, 0.0, 1.0] and read["fraction"].tolist() == [0.5] * 3
    assert read["truth"].isna().tolist() == [False, True, False] == read["NA"].isna().tolist()


def test_a_transposed_frame_and_a_frame_of_one_row_keep_their_numbers() -> None:
    frame = pd.DataFrame({"age": ages(), "sex": ["m", "f"] * (N // 2)}, index=IDS)
    one = frame.loc["p003"].to_frame().T
    for other in (frame.T.T, frame.astype(object)):
        pd.testing.assert_frame_equal(tidy(other), tidy(frame))
    pd.testing.assert_frame_equal(tidy(one), tidy(frame.loc[["p003"]]))


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
def test_predictions_from_objects_equal_those_from_floats_bit_for_bit() -> None:
    cohort = with_column(ages())
    model = chiasm.fit(cohort, "single:clin")
    expected = model.predict(cohort)
    for dtype in ("objects", "text", "decimals", "categories of numbers"):
        pd.testing.assert_frame_equal(
            model.predict(with_column(DTYPES[dtype](ages()).array)), expected, check_exact=True
        )


STRANGE = [
    "-", "<5", ".", "na?", "1,234", "12,5", "45%", ">89", "61.2 y", "ND", "n.d.", "5*", "5 H", "5.2 (H)", "≥ 3", "~60",
    "(5.2)", "−5", "1 234,5", "€5", "unknown", "#VALUE!", "12.5.", "1e", "0x1F", "1_000", "٣٫٥", "½", "see note", "..",
    "6O", "5.2.1", "1/2", "2+", "1;2", "not done", "1'234", "60 years",
]  # fmt: skip


@pytest.mark.parametrize("cell", STRANGE)
def test_one_cell_that_is_no_number_is_an_error_with_its_row(cell: str, tmp_path: Path) -> None:
    column = [str(value) for value in ages()]
    column[6] = cell
    frames = found(with_column(column), "numbers-in-text")
    written = found(on_disk(tmp_path, column), "numbers-in-text")
    for (problem,) in (frames, written):
        assert problem.severity == "error" and problem.row == 8 and "1 row" in problem.what
        assert "'age'" in problem.what and f"'{cell}'" not in str(problem)
        assert problem.fix.startswith("1 with a ") and ": " in problem.fix


def on_disk(folder: Path, column: Any, *, more: str = "", **other: Any) -> Path:
    frame = pd.DataFrame({"id": IDS, "age": column, "sex": ["m", "f"] * (N // 2), **other})
    frame.assign(y=patients()["y"].to_numpy()).to_csv(folder / "patients.csv", index=False)
    columns = '"age", "sex"' + "".join(f', "{name}"' for name in other)
    (folder / "cohort.toml").write_text(
        f'[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        f'[modalities.clin]\nkind = "table"\ncolumns = [{columns}]\n{more}'
    )
    return folder / "cohort.toml"


def test_neither_a_fit_nor_a_trial_reads_such_a_column_as_words() -> None:
    column = [str(value) for value in ages()]
    column[6] = "-"
    cohort = with_column(column)
    for run in (
        lambda: chiasm.fit(cohort, "single:clin"),
        lambda: chiasm.evaluate(cohort, ["single:clin"]),
        lambda: chiasm.recipes.registry.make_recipe("single:clin").fit(cohort, seed=0),
    ):
        with pytest.raises(CohortError, match=r"row 8.*'age' holds numbers"):
            run()


def test_numbers_below_a_limit_of_detection_are_no_words_even_where_most_are() -> None:
    column = ["<0.5" if i % 4 else str(value) for i, value in enumerate(ages())]
    (problem,) = found(with_column(column), "numbers-in-text")
    assert problem.severity == "error" and "30 rows" in problem.what


def test_what_stands_beside_numbers_is_told_by_kind_and_count_with_what_to_do() -> None:
    strange = ["<5,2", "≥ 90", "12,5", "1,25", "3,5", "45%", "n.d.", "ND", "see the note", "31.12.2021"]
    column = [strange[i] if i < len(strange) else str(value) for i, value in enumerate(ages())]
    (problem,) = found(with_column(column), "numbers-in-text")
    parts = problem.fix.split("; ")
    beginnings = ["2 with a bound", "3 with a decimal comma", "1 with a unit", "2 with a usual sign", "1 with a date"]
    assert [part.split(",")[0].split(" or ")[0][: len(own)] for part, own in zip(parts, beginnings, strict=False)] == (
        beginnings
    )
    assert 'decimal=","' in problem.fix and "na_values" in problem.fix and "1 with a word" in problem.fix
    assert not any(cell in problem.fix for cell in ("5,2", "12,5", "45", "note", "2021")), "no cell is quoted"


def test_a_few_numbers_among_missing_marks_are_no_words() -> None:
    column = ["ND" if i % 8 else str(value) for i, value in enumerate(ages())]
    assert [problem.severity for problem in found(with_column(column), "numbers-in-text")] == ["error"]


WORDS = {
    "stages": ["I", "IIa", "IIb", "III"],
    "with digits": ["T1", "T2", "T3a", "N0"],
    "bands of age": ["0-9", "10-19", "20-29", "90+"],
    "grades": ["2a", "2b", "3a", "1"],
    "yes or no": ["yes", "no", "Yes", "yes"],
    "words": ["left", "right", "both", "none of them"],
}


@pytest.mark.parametrize("words", WORDS)
def test_words_stay_words(words: str) -> None:
    cohort = with_column([WORDS[words][i % 4] for i in range(N)])
    assert not [problem for problem in chiasm.check_cohort(cohort) if problem.severity == "error"]
    assert set(cohort.raw("clin")["age"]) == set(WORDS[words])


def test_codes_that_look_like_numbers_are_words_where_their_owner_says_so(tmp_path: Path) -> None:
    codes = [("250.00", "410.1", "V10", "1")[i % 4] for i in range(N)]
    assert [problem.severity for problem in found(on_disk(tmp_path, codes), "numbers-in-text")] == ["error"]
    told = on_disk(tmp_path, codes, more='categories = ["age"]\n')
    assert found(told, "numbers-in-text") == []
    assert {"V10", "1"} <= set(chiasm.open_cohort(told).raw("clin")["age"])
    numeric = with_column([i % 4 for i in range(N)], categories={"clin": ["age"]})
    assert set(numeric.raw("clin")["age"]) == {"0", "1", "2", "3"}
    assert (
        found(on_disk(tmp_path, codes, more='categories = ["aeg"]\n'), "missing-column")[0].fix == "did you mean 'age'?"
    )


def test_a_row_has_the_same_digest_whatever_rows_it_is_hashed_with() -> None:
    column = [("10", "high", "low", "20")[i % 4] for i in range(N)]
    cohort = with_column(column, categories={"clin": ["age"]})
    together = cohort.sources["clin"].digests(np.arange(N))
    fresh = with_column(column, categories={"clin": ["age"]}).sources["clin"]
    assert [fresh.digests(np.array([i]))[0] for i in range(N)] == together.tolist()


DATES = {
    "timestamps": pd.date_range("2020-01-01", periods=N).to_series().array,
    "with a zone": pd.date_range("2020-01-01", periods=N, tz="Europe/Berlin").to_series().array,
    "dates": pd.array([date(2020, 1, 1) + timedelta(days=i) for i in range(N)], dtype=object),
    "durations": pd.to_timedelta(np.arange(N), unit="D").to_series().array,
    "periods": pd.period_range("2017-01", periods=N, freq="M").to_series().array,
    "ISO": [f"2020-01-{1 + i % 28:02d}" for i in range(N)],
    "German": [f"{1 + i % 28}.1.2020" for i in range(N)],
    "American": [f"{1 + i % 12}/{1 + i % 28}/20" for i in range(N)],
    "words": [f"{1 + i % 28} Mar 2020" for i in range(N)],
    "times": [f"{i % 24}:30" for i in range(N)],
    "ISO durations": [f"P{i}D" for i in range(N)],
    "eight digits": [20200101 + i % 28 for i in range(N)],
}


@pytest.mark.parametrize("dates", DATES)
def test_dates_and_durations_are_refused(dates: str) -> None:
    (problem,) = found(with_column(DATES[dates]), "date-column")
    assert problem.severity == "error" and "'age'" in problem.what and "days since" in problem.fix


OUTCOMES = {
    **DATES,
    "timestamps among objects": pd.date_range("2020-01-01", periods=N).astype(object),
    "durations among objects": pd.to_timedelta(np.arange(1, N + 1), unit="D").astype(object),
    "eight digits as text": [str(value) for value in DATES["eight digits"]],
}


@pytest.mark.parametrize("target", [Survival("t", event="e"), Regression("t")], ids=["survival", "regression"])
@pytest.mark.parametrize("dates", OUTCOMES)
def test_dates_and_durations_are_no_outcomes(dates: str, target: Any) -> None:
    """A model of nanoseconds since 1970, or of 20,200,131, would be trained without a word."""
    outcomes = pd.DataFrame({"t": OUTCOMES[dates], "e": [i % 2 for i in range(N)]}, index=IDS)
    cohort = cohort_from_frames(outcomes, {"clin": pd.DataFrame({"age": ages()}, index=IDS)}, target)
    problem = cohort.findings[0]
    assert (problem.severity, problem.row) == ("error", 2) and "column 't' " in problem.what and "date" in str(problem)
    assert cohort.outcome is not None and not cohort.outcome.known.any()


def test_a_missing_date_among_numbers_is_a_missing_number_and_no_date() -> None:
    outcomes = pd.DataFrame({"t": pd.Series([pd.NaT, *range(1, N)], dtype=object, index=IDS)})
    (problem,) = cohort_from_frames(outcomes, {"clin": with_column(ages()).raw("clin")}, Regression("t")).findings
    assert (problem.severity, problem.what) == ("warning", "column 't' is missing")


@pytest.mark.parametrize("write", [lambda times: times, lambda times: times.astype(str), lambda times: times.dt.date])
def test_events_with_times_are_read_in_frames_and_files(write: Any, tmp_path: Path) -> None:
    hours = np.tile([0.0, 24.0], N)
    times = pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, unit="h"))
    rows = pd.DataFrame({"time": write(times).array, "code": "LAB//K", "numeric_value": 1.5}, index=np.repeat(IDS, 2))
    frames = cohort_from_frames(patients(), {"labs": rows}, Classification("y"), kinds={"labs": "events"})
    manifest = on_disk(tmp_path, ages(), more='[modalities.labs]\nkind = "events"\ntable = "labs.csv"\n')
    rows.rename_axis("id").to_csv(tmp_path / "labs.csv")
    for cohort in (frames, chiasm.open_cohort(manifest)):
        assert EventReader().read(cohort.raw("labs")[3]).hours.tolist() == [0.0, 24.0]


def test_years_are_numbers_and_no_dates() -> None:
    assert found(with_column([1950 + i for i in range(N)]), "date-column") == []


@pytest.mark.parametrize(
    "values",
    [[[1, 2]] * N, [{"a": 1}] * N, [b"x"] * N, np.full(N, 1 + 2j), [np.zeros(2)] * N],
    ids=["lists", "dicts", "bytes", "complex", "arrays"],
)
def test_cells_that_are_no_value_are_refused(values: Any) -> None:
    with pytest.raises(CohortError, match="'age' holds something that is neither a number nor a word in 40 rows"):
        with_column(pd.Series(list(values), index=IDS) if isinstance(values, list) else values)


def test_what_says_nothing_or_may_be_two_things_is_said() -> None:
    height = np.where(np.arange(N) % 5 == 0, 1.0, 100.0) * np.random.default_rng(1).normal(1.7, 0.08, N)
    columns = {
        "many-levels": [f"ward {i % 25}" for i in range(N)],
        "identifier-column": [f"MRN{i * 37}" for i in range(N)],
        "text-column": [f"the patient came in on foot and left without any complaint {i}" for i in range(N)],
        "mixed-units": height,
        "spelt-differently": [("case", "Case", "control", "con trol")[i % 4] for i in range(N)],
    }
    for finding, values in columns.items():
        (problem,) = found(with_column(values), finding)
        assert problem.severity == "warning" and "'age'" in problem.what
    assert found(with_column(np.arange(N)), "identifier-column") and found(
        with_column(np.arange(1, N + 1)), "identifier-column"
    )
    for values in (ages(), np.random.default_rng(0).lognormal(0, 2, N), np.arange(N) % 7 + 1):
        assert not found(with_column(values), "mixed-units") and not found(with_column(values), "identifier-column")


def test_words_that_a_model_does_not_keep_are_counted_and_never_named(tmp_path: Path) -> None:
    clinics = [f"clinic{i % 12}" for i in range(N)]  # of three or four patients each
    for cohort in (with_column(clinics), chiasm.open_cohort(on_disk(tmp_path, clinics))):
        (problem,) = found(cohort, "rare-words")
        assert problem.severity == "warning" and problem.modality == "clin" and "clinic" not in str(problem)
        assert "column 'age' has 12 words, and 12 of them" in problem.what and "fewer than 5 patients" in problem.what
        assert "categories" in problem.fix and "`columns`" in problem.fix
        kept = TableEncoder().fit(cohort.raw("clin"))
        assert kept.categories is not None and kept.categories["age"] == (), "the encoder follows the same rule"
    several = ["large"] * 10 + [f"clinic{i % 12}" for i in range(N - 10)]
    (problem,) = found(with_column(several), "rare-words")
    assert "has 13 words, and 12 of them" in problem.what
    assert not found(with_column(clinics, categories={"clin": ["age"]}), "rare-words")
    assert not found(on_disk(tmp_path, clinics, more='categories = ["age"]\n'), "rare-words")
    assert not found(with_column([f"clinic{i % 8}" for i in range(N)]), "rare-words"), "8 levels of 5 patients"
    assert not found(with_column([f"MRN{i * 37}" for i in range(N)]), "rare-words"), "said of an identifier already"


def test_rare_words_are_counted_among_the_patients_of_the_cohort() -> None:
    """As a model counts them: rows of the table that are of nobody, or of patients left out, are no patients."""
    cohort = with_column([f"clinic{i % 2}" for i in range(20)] + [f"other{i % 10}" for i in range(20)])
    (problem,) = found(cohort, "rare-words")
    assert "has 12 words, and 10 of them" in problem.what
    assert not found(cohort.subset(np.arange(20)), "rare-words")


def test_words_that_the_folds_of_a_trial_lose_are_told_of_too() -> None:
    """A model of all patients keeps 11 words of five and six patients; four fifths of them are four of each."""
    n = 60
    frame = pd.DataFrame({"clinic": [f"c{i % 11}" for i in range(n)]}, index=[f"p{i}" for i in range(n)])
    outcome = pd.DataFrame({"y": ["a" if i % 3 else "b" for i in range(n)]}, index=frame.index)
    (problem,) = found(cohort_from_frames(outcome, {"clin": frame}, Classification("y")), "rare-words")
    assert "11 words, and about 11 of them" in problem.what and "training patients of a fold" in problem.what
    kept = [TableEncoder().fit(frame[:training]).categories or {} for training in (n, 48)]
    assert len(kept[0]["clinic"]) == 11 > len(kept[1]["clinic"]), "the finding is true of both"


def test_every_kind_of_column_is_told() -> None:
    frame = tidy(
        pd.DataFrame(
            {
                "number": ages(), "category": ["m", "f"] * (N // 2), "date": DATES["ISO"], "identifier": IDS,
                "text": [f"the patient came in on foot and left without any complaint {i}" for i in range(N)],
                "constant": ["x"] * N,
            }
        )
    )  # fmt: skip
    assert {own.name: own.kind for own in columns_of(frame)} == {name: name for name in frame.columns}
