"""Genotypes of VCF and PLINK are copies of a named allele; the same genotypes are the same block."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import cyvcf2
import numpy as np
import pandas as pd
import pytest
from bed_reader import to_bed

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.dialect import Form
from chiasm.cohort.tables import Table
from read_here import read_here

HEADER = """##fileformat=VCFv4.2
##contig=<ID=1>
##contig=<ID=chrX>
##FILTER=<ID=LOW,Description="low">
##FORMAT=<ID=GT,Number=1,Type=String,Description="call">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="dosage">
"""
CALLS = (
    "1\t10\trs1\tA\tC\t.\tPASS\t.\tGT:DS\t0/1:0.9\t./.:.\t1|1:2",
    "1\t20\t.\tA\tC,G\t.\t.\t.\tGT:DS\t1/2:1,1\t0/.:0,0.25\t2/2:0,2",
    "chrX\t30\trs3\tA\tCT\t.\tLOW\t.\tGT:DS\t1:1\t0/1:1.5\t.:.",
)


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the files in this process, but for a test that asks for `elsewhere`."""
    if "elsewhere" not in request.fixturenames:
        read_here(monkeypatch)


@pytest.fixture
def elsewhere() -> None:
    """Ask for the process in which the files are read."""


def vcf(path: Path, *records: str, samples: str = "a\tb\tc") -> Path:
    text = f"{HEADER}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{samples}\n" + "\n".join(records) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith("gz") else text.encode())
    return path


def plink(path: Path, values: Any, alleles: list[tuple[str, str]], samples: str = "abc", **properties: Any) -> Path:
    n = len(alleles)
    own = {
        "fid": ["f"] * len(samples),
        "iid": list(samples),
        "chromosome": ["1"] * n,
        "bp_position": [10 * (k + 1) for k in range(n)],
        "sid": [f"rs{k + 1}" for k in range(n)],
        "allele_1": [counted for _, counted in alleles],
        "allele_2": [reference for reference, _ in alleles],
    }
    to_bed(path, np.array(values, np.float64), properties={**own, **properties}, num_threads=1)
    return path


def block(path: Path, **form: Any) -> tuple[pd.DataFrame, Table]:
    table = Table(path, path.name, Form(**form))
    table.inspect()
    return table.frame().set_index("sample"), table


def refused(path: Path, what: str, **form: Any) -> None:
    with pytest.raises(CohortError, match=what) as fault:
        block(path, **form)
    assert len(fault.value.problems) == 1 and fault.value.problems[0].fix


def written_again(path: Path, name: str, mode: str) -> Path:
    """Write a VCF as BCF (`wb`) or packed in blocks (`wz`), as bcftools does."""
    source = cyvcf2.VCF(str(path))
    writer = cyvcf2.Writer(str(path.with_name(name)), source, mode)
    for record in source:
        writer.write_record(record)
    writer.close()
    return path.with_name(name)


@pytest.mark.parametrize("name", ["g.vcf", "g.vcf.gz", "blocks.vcf.gz", "g.bcf"])
def test_calls_are_copies_of_the_last_allele_of_the_name(name: str, tmp_path: Path) -> None:
    path = vcf(tmp_path / ("g.vcf.gz" if name == "g.vcf.gz" else "g.vcf"), *CALLS)
    if name not in ("g.vcf", "g.vcf.gz"):
        path = written_again(path, name, "wb" if name.endswith(".bcf") else "wz")
    found, table = block(path)
    assert list(found.index) == ["a", "b", "c"]
    right = {
        "1:10:A:C": [1, np.nan, 2],  # missing; phased
        "1:20:A:C": [1, np.nan, 0],  # one of two other alleles; a half call is missing
        "1:20:A:G": [1, np.nan, 2],
        "X:30:A:CT": [2, 1, np.nan],  # there once, and counted twice; missing
    }
    pd.testing.assert_frame_equal(found, pd.DataFrame(right, index=found.index), check_dtype=False)
    said = {own.finding: own.what for own in table.findings}
    assert said == {
        "half-calls": "1 call with one of two alleles missing, and read as missing",
        "filtered-variants": "1 variant that failed a filter of the file, and read all the same",
    }


def test_dosages_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    found, _ = block(vcf(tmp_path / "g.vcf", *CALLS), field="DS")
    assert found["1:10:A:C"].tolist()[::2] == [np.float32(0.9), 2.0] and np.isnan(found["1:10:A:C"]["b"])
    assert found["1:20:A:G"].tolist() == [1.0, 0.25, 2.0]
    refused(vcf(tmp_path / "h.vcf", "1\t1\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\t0/0"), "no variant", field="DS")
    refused(vcf(tmp_path / "h.vcf", "1\t1\t.\tA\tC\t.\t.\t.\tDS\t3\t0\t0"), "above 2", field="DS")


def test_names_may_be_the_identifiers_of_variants(tmp_path: Path) -> None:
    found, _ = block(vcf(tmp_path / "g.vcf", *CALLS), names="id")
    assert list(found.columns) == ["rs1", "1:20:A:C", "1:20:A:G", "rs3"]
    again = "1\t99\trs1\tA\tC\t.\t.\t.\tGT\t0/0\t0/0\t0/0"
    refused(vcf(tmp_path / "g.vcf", *CALLS, again), "1 variant by a name that another has; take names", names="id")
    refused(vcf(tmp_path / "g.vcf", *CALLS, CALLS[0]), "1 variant by a name that another has; drop duplicates")


def test_what_is_no_call_of_two_copies_is_left_out_and_counted(tmp_path: Path) -> None:
    others = (
        "1\t40\t.\tA\t.\t.\t.\t.\tGT\t0/0\t0/0\t0/0",
        "1\t50\t.\tA\tC\t.\t.\t.\tDS\t1\t1\t1",
        "1\t60\t.\tA\tC\t.\t.\t.\tGT\t0/1/1\t0/1\t0/0",
        "1\t70\t.\tA\t*,C\t.\t.\t.\tGT\t1/2\t0/2\t0/0",
    )
    found, table = block(vcf(tmp_path / "g.vcf", *others))
    assert list(found.columns) == ["1:70:A:C"] and found["1:70:A:C"].tolist() == [1, 1, 0]
    (note,) = table.findings
    assert note.what == "variants are left out: 1 with more than two copies, 1 without GT, 1 without another allele"


def test_a_block_of_a_gvcf_is_left_out_and_failed_no_filter(tmp_path: Path) -> None:
    others = (
        "1\t40\t.\tA\t<NON_REF>\t.\tLOW\t.\tGT\t0/0\t0/0\t0/0",
        "1\t50\t.\tA\t*\t.\tLOW\t.\tGT\t0/1\t0/0\t0/0",
        "1\t60\t.\tA\tC,<NON_REF>\t.\tPASS\t.\tGT\t0/1\t0/0\t1/1",
    )
    found, table = block(vcf(tmp_path / "g.vcf", *others))
    assert list(found.columns) == ["1:60:A:C"] and found["1:60:A:C"].tolist() == [1, 0, 2]
    assert [own.what for own in table.findings] == ["variants are left out: 2 without another allele"]


def test_a_dosage_of_a_chromosome_that_is_there_once_counts_twice(tmp_path: Path) -> None:
    mixed = "chrX\t10\t.\tA\tC\t.\t.\t.\tGT:DS\t1:0.9\t0/1:1.1\t0:0.25"
    once = "chrX\t20\t.\tA\tC\t.\t.\t.\tGT:DS\t1:1\t0:0\t0:0.5"
    usual = "1\t10\t.\tA\tC\t.\t.\t.\tGT:DS\t.:0.9\t0/1:1.1\t0/0:0"
    found, table = block(vcf(tmp_path / "g.vcf", mixed, once, usual), field="DS")
    np.testing.assert_allclose(found["X:10:A:C"], [1.8, 1.1, 0.5], rtol=1e-6)
    assert found["X:20:A:C"].tolist() == [2.0, 0.0, 1.0] and table.findings == []
    np.testing.assert_allclose(found["1:10:A:C"], [0.9, 1.1, 0], rtol=1e-6)
    alone = "chrX\t10\t.\tA\tC\t.\t.\t.\tDS\t0.9\t1.1\t0.25"
    found, table = block(vcf(tmp_path / "h.vcf", alone), field="DS")
    np.testing.assert_allclose(found["X:10:A:C"], [0.9, 1.1, 0.25], rtol=1e-6)
    assert [own.finding for own in table.findings] == ["dosages-of-one-copy"]
    refused(vcf(tmp_path / "i.vcf", mixed.replace("1:0.9", "1:1.8")), "above 1 of a chromosome", field="DS")


def test_vcf_and_plink_of_the_same_genotypes_are_the_same_block(tmp_path: Path) -> None:
    records = (
        "1\t10\trs1\tA\tC\t.\t.\t.\tGT\t0/1\t./.\t1/1\t0/0\t0/0",
        "1\t20\trs2\tG\tT\t.\t.\t.\tGT\t0/0\t0|1\t1|1\t./.\t0/1",
        "chrX\t30\trs3\tC\tA\t.\t.\t.\tGT\t1\t0/1\t0\t.\t1/1",
    )
    values = [[1, 0, 2], [np.nan, 1, 1], [2, 2, 0], [0, np.nan, np.nan], [0, 1, 2]]
    of_vcf, _ = block(vcf(tmp_path / "g.vcf", *records, samples="a\tb\tc\td\te"))
    of_plink, _ = block(
        plink(tmp_path / "p.bed", values, [("A", "C"), ("G", "T"), ("C", "A")], "abcde", chromosome=["1", "1", "23"])
    )
    pd.testing.assert_frame_equal(of_vcf, of_plink)
    assert of_plink["X:30:C:A"].tolist()[:3] == [2, 1, 0]


def test_a_block_of_genotypes_is_a_modality(tmp_path: Path) -> None:
    plink(tmp_path / "geno.bed", [[0, 1], [np.nan, np.nan], [2, 1]], [("A", "C"), ("G", "T")], "abx")
    pd.DataFrame({"id": ["a", "b", "c"], "y": [1.5, 2.5, 3.5]}).to_csv(tmp_path / "p.csv", index=False)
    manifest = (
        '[patients]\ntable = "p.csv"\nid = "id"\n[target]\nkind = "regression"\ncolumn = "y"\n[modalities.snps]\n'
    )
    (tmp_path / "cohort.toml").write_text(f'{manifest}kind = "omics"\ntable = "geno.bed"\n')
    cohort = chiasm.open_cohort(tmp_path)
    assert cohort.present[:, 0].tolist() == [True, False, False]  # without a call, and without a sample
    assert cohort.raw("snps").to_dict("list") == {"1:10:A:C": [0.0], "1:20:G:T": [1.0]}
    assert [own.finding for own in cohort.findings] == ["unknown-identifiers"]
    (tmp_path / "cohort.toml").write_text(f'{manifest}kind = "omics"\ntable = "geno.bed"\ncolumns = ["1:20:G:T"]\n')
    assert list(chiasm.open_cohort(tmp_path).raw("snps").columns) == ["1:20:G:T"]
    (tmp_path / "cohort.toml").write_text(f'{manifest}kind = "table"\ntable = "geno.bed"\n')
    with pytest.raises(CohortError, match='kind = "omics"'):
        chiasm.open_cohort(tmp_path)
    (tmp_path / "cohort.toml").write_text(f'{manifest}kind = "omics"\ntable = "geno.bed"\nfield = "GP"\n')
    with pytest.raises(CohortError, match="GT"):
        chiasm.open_cohort(tmp_path)


def test_a_repeated_sample_of_plink_is_an_error(tmp_path: Path) -> None:
    plink(tmp_path / "geno.bed", [[0], [1], [2]], [("A", "C")], "aab")
    pd.DataFrame({"id": ["a", "b"]}).to_csv(tmp_path / "p.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.snps]\nkind = "omics"\ntable = "geno.bed"\n'
    )
    assert "repeated-identifier" in [own.finding for own in chiasm.check_cohort(tmp_path)]


def test_a_monomorphic_variant_of_plink_is_left_out(tmp_path: Path) -> None:
    found, table = block(plink(tmp_path / "p.bed", [[0, 0], [0, 1], [0, 2]], [("A", "0"), ("G", "T")]))
    assert list(found.columns) == ["1:20:G:T"] and found["1:20:G:T"].tolist() == [0, 1, 2]
    assert [own.what for own in table.findings] == ["variants are left out: 1 without another allele"]


@pytest.mark.parametrize("name", ["g.vcf", "g.vcf.gz", "g.bcf", "g.bed"])
def test_what_is_damaged_or_something_else_is_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for suffix in (".bim", ".fam"):
        (tmp_path / f"g{suffix}").write_text("1 x 0 1 A C\n")
    for content in (b"id,x\n1,2\n", b"\0" * 500, b"##fileformat=VCFv4.2\n"):
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        refused(path, "is not a")


def test_what_is_cut_or_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    whole = vcf(tmp_path / "g.vcf", *CALLS)
    whole.write_bytes(whole.read_bytes()[:-12])
    refused(whole, "damaged")
    packed = vcf(tmp_path / "g.vcf.gz", *CALLS)
    packed.write_bytes(packed.read_bytes()[:-30])
    refused(packed, "damaged")
    blocks = bytes.fromhex("1f8b08040000000000ff060042430200")  # packed in blocks, and without the last
    packed.write_bytes(blocks + b"\1" * 60)
    refused(packed, "its end is missing")
    bed = plink(tmp_path / "p.bed", [[0, 1], [1, 1], [2, 1]], [("A", "C"), ("G", "T")])
    bed.write_bytes(bed.read_bytes()[:-1])
    refused(bed, "damaged")
    (tmp_path / "p.bim").unlink()
    refused(bed, r"its \.bim file is not beside it")
    sites = HEADER + "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t1\t.\tA\tC\t.\t.\t.\n"
    (tmp_path / "s.vcf").write_text(sites)
    refused(tmp_path / "s.vcf", "holds no sample")


def test_more_genotypes_than_a_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.cohort.genotypes.GENOTYPE_CELLS", 5)
    refused(vcf(tmp_path / "g.vcf", *CALLS), "holds over 5 genotypes")
    refused(plink(tmp_path / "p.bed", [[0, 1]] * 3, [("A", "C"), ("G", "T")]), "over 5 in all")


@pytest.mark.usefixtures("elsewhere")
def test_a_vcf_is_read_in_a_process_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found, _ = block(vcf(tmp_path / "g.vcf", CALLS[0].replace("1\t10", "2\t10")))  # a contig that no header names
    assert list(found.columns) == ["2:10:A:C"]
    assert capfd.readouterr() == ("", "")  # of which the library writes to the screen


@pytest.mark.parametrize(("name", "package"), [("g.vcf", "cyvcf2"), ("p.bed", "bed-reader")])
def test_a_missing_package_is_named(name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vcf(tmp_path / "g.vcf", *CALLS)
    plink(tmp_path / "p.bed", [[0], [1], [2]], [("A", "C")])
    monkeypatch.setattr("chiasm.cohort.own_process.find_spec", lambda name: None)
    with pytest.raises(chiasm.Unsupported, match=rf'need {package}: pip install "chiasm\[genotypes\]"'):
        block(tmp_path / name)
