"""Identifiers that meet nobody are an error with the rule under which they would meet, and for how many."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Classification, CohortError, cohort_from_frames
from chiasm.cohort.meeting import rule_of_meeting

N = 30
RNA = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=["g0", "g1", "g2"])


def plain(i: int) -> str:
    return f"Pa{i + 100}"


# spelling of the patients, that of the modality, and words of the rule
SPELLINGS: dict[str, tuple[Callable[[int], str], Callable[[int], str], str]] = {
    "a sample of a patient": (plain, lambda i: f"{plain(i)}-01A", "separator"),
    "a barcode of several parts": (lambda i: f"TCGA-AB-{i:04d}", lambda i: f"TCGA-AB-{i:04d}-01A-11R", "separator"),
    "patients are samples": (lambda i: f"{plain(i)}-01A", plain, "separator"),
    "a sample, in another case": (plain, lambda i: f"{plain(i).upper()}-01A", "separator"),
    "points for hyphens": (lambda i: f"X-{i}-A", lambda i: f"X.{i}.A", "sign"),
    "underscores for hyphens": (lambda i: f"X-{i}", lambda i: f"X_{i}", "sign"),
    "a long hyphen": (lambda i: f"X-{i}", lambda i: f"X\u2013{i}", "sign"),
    "case": (plain, lambda i: plain(i).lower(), "case"),
    "leading zeros": (lambda i: f"{i:03d}", str, "zeros"),
    "zeros inside": (lambda i: f"P{i:03d}", lambda i: f"P{i}", "zeros"),
    "decimals": (lambda i: f"{i}", lambda i: f"{i}.0", "7 for 7.0"),
    "no-break space": (lambda i: f"P {i}", lambda i: f"P\u00a0{i}", "spaces"),
    "no-break space around": (plain, lambda i: f"\u2060{plain(i)}", "spaces"),
    "a byte order mark": (plain, lambda i: f"\ufeff{plain(i)}", "spaces"),
    "a zero width space": (plain, lambda i: f"{plain(i)}\u200b", "spaces"),
    "spaces inside": (lambda i: f"P {i}", lambda i: f"P{i}", "spaces"),
    "NFD": (lambda i: f"M\u00fcller{i}", lambda i: unicodedata.normalize("NFD", f"M\u00fcller{i}"), "NFC"),
    "wide digits": (lambda i: f"P{i}", lambda i: unicodedata.normalize("NFKC", f"P{i}").translate(
        {ord(str(d)): 0xFF10 + d for d in range(10)}), "width"),
    "quotation marks": (plain, lambda i: f"'{plain(i)}'", "quotation"),
    "the ending of a file": (plain, lambda i: f"{plain(i)}.bam", "ending"),
    "a prefix": (lambda i: f"{i + 100}", lambda i: f"PAT{i + 100}", "before the number"),
    "case and zeros": (lambda i: f"p{i:03d}", lambda i: f"P{i}", "case"),
}  # fmt: skip


def cohort(own: list[str], other: list[str]) -> chiasm.Cohort:
    patients = pd.DataFrame({"y": ["a", "b"] * (N // 2), "age": np.arange(N) % 7}, index=own)
    return cohort_from_frames(
        patients, {"rna": RNA.set_axis(other, axis=0)}, Classification("y"), kinds={"rna": "omics"}
    )


def on_disk(folder: Path, own: list[str], other: list[str]) -> Path:
    patients = pd.DataFrame({"id": own, "y": ["a", "b"] * (N // 2), "age": np.arange(N) % 7})
    patients.to_csv(folder / "patients.csv", index=False)
    RNA.assign(id=other).to_csv(folder / "rna.csv", index=False)
    (folder / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        '[modalities.clin]\nkind = "table"\ncolumns = ["age"]\n[modalities.rna]\nkind = "omics"\ntable = "rna.csv"\n'
    )
    return folder / "cohort.toml"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_error_names_the_rule_and_for_how_many_they_would_meet(spelling: str, tmp_path: Path) -> None:
    own, other, words = SPELLINGS[spelling]
    ids, keys = [own(i) for i in range(N)], [other(i) for i in range(N)]
    with pytest.raises(CohortError) as raised:
        cohort(ids, keys)
    (problem,) = [own for own in raised.value.problems if own.finding == "identifiers-meet-nobody"]
    assert problem.modality == "rna" and f"{N} patients" in problem.fix and words in problem.fix
    if spelling == "decimals":
        return  # a CSV file reads 7.0 and 7 as they are written, and the test below has them
    with pytest.raises(
        CohortError, match=f"rna.csv, modality 'rna': none of its {N} identifiers is a patient's"
    ) as raised:
        chiasm.open_cohort(on_disk(tmp_path, ids, keys))
    assert words in str(raised.value)
    assert not any(name in str(raised.value) for name in (ids[7], keys[7]) if len(name) > 3)


def test_a_frame_without_an_index_is_told_apart() -> None:
    ids = [plain(i) for i in range(N)]
    patients = pd.DataFrame({"y": ["a", "b"] * (N // 2)}, index=ids)
    with pytest.raises(CohortError, match=r"'id' holds those of 30 patients: make it the index, by set_index"):
        cohort_from_frames(patients, {"rna": RNA.assign(id=ids)}, Classification("y"))
    with pytest.raises(CohortError, match="only count rows: make the column of identifiers the index"):
        cohort_from_frames(patients, {"rna": RNA}, Classification("y"))
    with pytest.raises(CohortError, match="the patients' only count rows"):
        cohort_from_frames(patients.reset_index(drop=True), {"rna": RNA.set_axis(ids, axis=0)}, Classification("y"))


def test_files_whose_names_almost_meet_are_an_error(tmp_path: Path) -> None:
    manifest = on_disk(tmp_path, [plain(i) for i in range(N)], [plain(i) for i in range(N)])
    (tmp_path / "ecg").mkdir()
    for i in range(N):
        (tmp_path / "ecg" / f"{plain(i).lower()}.csv").write_text("time,I [mV]\n0,1\n")
    manifest.write_text(manifest.read_text() + '[modalities.ecg]\nkind = "ecg"\npath = "ecg/{id}.csv"\n')
    with pytest.raises(CohortError, match=r"ecg/\{id\}.csv, modality 'ecg'.*30 patients in one case"):
        chiasm.open_cohort(manifest)


def test_a_join_on_another_column_that_meets_nobody_is_an_error(tmp_path: Path) -> None:
    manifest = on_disk(tmp_path, [plain(i) for i in range(N)], [plain(i) for i in range(N)])
    manifest.write_text(manifest.read_text().replace('table = "rna.csv"', 'table = "rna.csv"\non = "ward"'))
    frame = pd.read_csv(tmp_path / "patients.csv").assign(ward=[f"W-{i}" for i in range(N)])
    frame.to_csv(tmp_path / "patients.csv", index=False)
    RNA.assign(ward=[f"w_{i}" for i in range(N)]).to_csv(tmp_path / "rna.csv", index=False)
    with pytest.raises(CohortError, match="none of its 30 identifiers is a patient's"):
        chiasm.open_cohort(manifest)


def test_strangers_that_would_meet_are_said_and_do_not_stop(tmp_path: Path) -> None:
    ids = [plain(i) for i in range(N)]
    keys = [*ids[:20], *(name.lower() for name in ids[20:])]
    for problems in (chiasm.check_cohort(cohort(ids, keys)), chiasm.check_cohort(on_disk(tmp_path, ids, keys))):
        (problem,) = [own for own in problems if own.finding == "unknown-identifiers"]
        assert problem.severity == "warning" and "10 patients more would meet in one case" in problem.fix


def test_other_patients_meet_under_no_rule() -> None:
    assert rule_of_meeting(["anna", "bert"], ["carl", "dora"]) is None
    assert rule_of_meeting([], ["carl"]) is None
