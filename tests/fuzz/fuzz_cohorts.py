"""Targets that are read as part of a cohort: the manifest, tables of every format, genotypes, folders of records."""

from __future__ import annotations

import base64
import gzip
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from zlib import crc32

import fuzz_paths  # noqa: F401
import numpy as np
import pandas as pd
import test_genotypes
import test_record_folders
import test_spreadsheets
import test_table_formats
from fuzz_process import forks
from fuzz_target import Target, made, texts

from chiasm import check_cohort
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.tables import Table
from chiasm.errors import CohortError

ROWS = range(24)
MANIFEST = b"""\
name = "x"
[patients]
table = "p.csv"
id = "id"
[target]
kind = "survival"
time = "t"
event = "e"
times = [2.0, 4.0]
[modalities.labs]
kind = "table"
table = "a.csv"
columns = ["u", "v"]
[modalities.bag]
kind = "bag"
path = "b/{id}.npy"
[accept]
"leaking-column" = "known"
"""
ONE = b"""\
[patients]
table = "p.csv"
id = "id"
[modalities.own]
kind = "KIND"
table = "NAME"
"""
PLAIN = "id,u,v\n" + "".join(f"p{k},{k * 0.37:.2f},{'ab'[k % 2]}\n" for k in ROWS)
FRAME = pd.DataFrame({"id": [f"p{k}" for k in ROWS], "u": np.arange(24) / 3, "v": ["a", "b"] * 12})
LABELS = {"u": {0.0: "none", 1.0: "some", 2.0: "much", 9.0: "unknown"}}


def checked(folder: Path, mangled: Path) -> None:
    """Open a cohort, read what it holds, and check every fourth; each problem has its words."""
    opened, problems = read_manifest(folder)
    if opened is not None and not crc32(mangled.read_bytes()) % 4:
        problems = [*problems, *check_cohort(opened)]
    elif opened is not None:
        for name in opened.modalities:
            opened.raw(name)
    if not all(problem.what and problem.fix for problem in problems) or (opened is None and not problems):
        raise AssertionError("a problem without words")
    if errors := [problem for problem in problems if problem.severity == "error"]:
        raise CohortError(errors)


def cohort(name: str, path: Path) -> None:
    """A cohort of which one file is the mangled one."""
    folder = path.parent / "cohort"
    (folder / "b").mkdir(parents=True, exist_ok=True)
    own = name.encode() if name.startswith("a.") else b"a.csv"
    (folder / "cohort.toml").write_bytes(MANIFEST.replace(b"a.csv", own))
    (folder / "p.csv").write_text("id,t,e\n" + "".join(f"p{k},{k + 1}.5,{k % 2}\n" for k in ROWS))
    (folder / "a.csv").write_text(PLAIN)
    for k in ROWS:
        np.save(folder / "b" / f"p{k}.npy", np.full((2, 3), k, np.float32))
    shutil.copyfile(path, folder / name)
    checked(folder, path)


def beside(name: str, kind: str, ids: str, others: dict[str, bytes], path: Path, place: str = "") -> None:
    """Patients without an outcome, and one modality, whose table or folder holds the mangled file and `others`."""
    folder = path.parent / "cohort"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "cohort.toml").write_bytes(ONE.replace(b"KIND", kind.encode()).replace(b"NAME", name.encode()))
    (folder / "p.csv").write_text("id\n" + "".join(f"{own}\n" for own in ids.split()))
    for other, content in others.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content)
    shutil.copyfile(path, folder / (place or name))
    checked(folder, path)


def alone(path: Path) -> None:
    """A table without a cohort, whose columns are not named as those of the others are."""
    found = Table(path, path.name)
    found.inspect()
    found.frame()
    found.texts_of(found.columns[:3])


def forked(attempt: Callable[[Path], object], path: Path) -> None:
    with forks():
        attempt(path)


def tables(folder: Path) -> list[bytes]:
    crossed = PLAIN.replace("\n", "\r\n")
    return [
        PLAIN.encode(), PLAIN.replace(",", ";").replace(".", ",").encode(), PLAIN.encode("utf-16"), crossed.encode(),
    ]  # fmt: skip


def parquet(packed: str | None, path: Path) -> None:
    FRAME.to_parquet(path, compression=packed)  # type: ignore[call-overload]


def statistics(suffix: str) -> Target:
    """A table of SPSS, Stata or SAS, with labels where the format has them."""
    import pyreadstat

    name = f"a{suffix}"
    coded = FRAME.assign(u=np.arange(24) % 3 * 1.0)
    makers: list[Callable[[Path], object]] = [partial(test_table_formats.WRITERS[suffix], FRAME)]
    if suffix in (".sav", ".zsav"):
        ranges = {"u": [{"lo": 2.0, "hi": 3.0}]}
        makers += [
            lambda path: pyreadstat.write_sav(
                coded, path, variable_value_labels=LABELS, missing_ranges=ranges, compress=suffix == ".zsav"
            )
        ]
    if suffix == ".dta":
        makers += [
            partial(pyreadstat.write_dta, coded, variable_value_labels={"u": {0: "none", 1: "some", 2: "much"}}),
            lambda path: FRAME.to_stata(path, write_index=False, version=117),
        ]
    attempt = alone if suffix == ".por" else partial(beside, name, "table", " ".join(FRAME["id"]), {})
    return Target(suffix, made(name, *makers), partial(forked, attempt))


def sas() -> Target:
    packed = (test_table_formats.SAS_MISSING, test_table_formats.SAS)
    sound = [gzip.decompress(base64.b64decode(text)) for text in packed]
    return Target(".sas7bdat", texts(*sound), partial(forked, alone))


def part_of_workbook(part: str) -> Target:
    """One XML part of a workbook, which is packed again with it."""

    def packed(path: Path) -> None:
        file = workbook(path.with_name("a.xlsx"))
        parts = {own: zipfile.ZipFile(file).read(own) for own in zipfile.ZipFile(file).namelist()}
        parts[part] = path.read_bytes()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as again:
            for own, data in parts.items():
                again.writestr(own, data)
        cohort("a.xlsx", file)

    return Target(".xml", lambda folder: [zipfile.ZipFile(workbook(folder / "a.xlsx")).read(part)], packed)


def workbook(path: Path) -> Path:
    return test_spreadsheets.book(path, [["id", "u", "v"], *FRAME.to_numpy().tolist()], other=[["x"], [1]])


def ods(path: Path) -> None:
    """What another program calls a workbook."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        packed.writestr("content.xml", "<office:document-content/>")


def compressed(data: bytes) -> bytes:
    return gzip.compress(data, 1)


DOSES = [[0.0, 1.0], [2.0, float("nan")], [1.0, 0.0]]
ALLELES = [("A", "C"), ("G", "T")]


def vcf(path: Path) -> None:
    test_genotypes.vcf(path, *test_genotypes.CALLS)


def binary(mode: str, path: Path) -> None:
    vcf(path.with_name("plain.vcf"))
    test_genotypes.written_again(path.with_name("plain.vcf"), path.name, mode)


def plink(suffix: str) -> Target:
    """One of the three files of PLINK, beside the others."""

    def files(folder: Path) -> dict[str, bytes]:
        test_genotypes.plink(folder / "g.bed", DOSES, ALLELES)
        return {f"g{own}": (folder / f"g{own}").read_bytes() for own in (".bed", ".bim", ".fam")}

    kept: dict[str, bytes] = {}

    def attempt(path: Path) -> None:
        if not kept:
            (path.parent / "plink").mkdir(exist_ok=True)
            kept.update(files(path.parent / "plink"))
        beside("g.bed", "omics", "a b c", kept, path, f"g{suffix}")

    return Target(suffix, lambda folder: [files(folder)[f"g{suffix}"]], attempt)


def genotypes(name: str, *makers: Callable[[Path], object]) -> Target:
    suffix = name.removeprefix("g")
    return Target(suffix, made(name, *makers), partial(forked, partial(beside, name, "omics", "a b c", {})))


def folder_of(tables: dict[str, str], mangled: str, ids: str) -> Target:
    """A folder of records of which one table is the mangled one."""
    others = {f"records/{name}.csv": text.encode() for name, text in tables.items()}
    attempt = partial(beside, "records", "events", ids, others, place=f"records/{mangled}.csv")
    return Target(".csv", texts(tables[mangled].encode()), attempt)


OMOP = {**test_record_folders.OMOP, "concept": test_record_folders.CONCEPT}
MIMIC = test_record_folders.MIMIC
COHORTS: dict[str, Target] = {
    "manifest": Target(".toml", texts(MANIFEST), partial(cohort, "cohort.toml")),
    "csv": Target(".csv", tables, partial(cohort, "a.csv")),
    "csv.gz": Target(".csv.gz", tables, partial(cohort, "a.csv.gz"), compressed),
    "parquet": Target(
        ".parquet",
        made("a.parquet", *(partial(parquet, packed) for packed in ("snappy", "zstd", None))),
        partial(cohort, "a.parquet"),
    ),
    "xlsx": Target(".xlsx", made("a.xlsx", workbook, ods), partial(cohort, "a.xlsx")),
    "sheet": part_of_workbook("xl/worksheets/sheet1.xml"),
    "book": part_of_workbook("xl/workbook.xml"),
    "styles": part_of_workbook("xl/styles.xml"),
    **{suffix[1:]: statistics(suffix) for suffix in (".sav", ".zsav", ".por", ".dta", ".xpt")},
    "sas7bdat": sas(),
    "vcf": genotypes("g.vcf", vcf),
    "vcf.gz": genotypes("g.vcf.gz", partial(binary, "wz"), vcf),
    "bcf": genotypes("g.bcf", partial(binary, "wb"), partial(binary, "wbu")),
    **{suffix[1:]: plink(suffix) for suffix in (".bed", ".bim", ".fam")},
    "omop": folder_of(OMOP, "measurement", "007 8 9"),
    "concepts": folder_of(OMOP, "concept", "007 8 9"),
    "visits": folder_of(OMOP, "visit_occurrence", "007 8 9"),
    "mimic": folder_of(MIMIC, "hosp/labevents", "10 11"),
    "stays": folder_of(MIMIC, "hosp/admissions", "10 11"),
    "diagnoses": folder_of(MIMIC, "hosp/diagnoses_icd", "10 11"),
}
