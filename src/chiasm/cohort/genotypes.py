"""Read genotypes, patients by variants, from VCF, BCF or PLINK: how many copies of an allele each patient has.

A column is named `chromosome:position:reference:counted`, and counts the copies, 0 to 2, of the allele that stands
last: ALT of a VCF, A1 of PLINK. A variant of several other alleles is a column for each. So the same genotypes are the
same block from either.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.annotated_file import Annotated
from chiasm.cohort.dialect import Form
from chiasm.cohort.genotype_process import DOSAGES, LIMIT, NO_SAMPLES
from chiasm.cohort.grid import GridError, Note
from chiasm.cohort.own_process import ask, require_package
from chiasm.cohort.table_bytes import require_bounded
from chiasm.errors import count
from chiasm.limits import GENOTYPE_CELLS, GIGABYTE, TABLE_BYTES, LimitError, require_regular

VARIANTS = (".vcf", ".vcf.gz", ".bcf")
PLINK = (".bed",)
GENOTYPES = (*VARIANTS, *PLINK)
SAMPLE = "sample"
CHROMOSOMES = {"23": "X", "24": "Y", "25": "X", "26": "MT", "M": "MT", "XY": "X"}  # the numbers of PLINK
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # of a file packed in blocks
PLINK_START = b"\x6c\x1b\x01"
FEWER = "keep fewer variants, by linkage or by region"


def read_genotypes(path: Path, form: Form) -> Annotated:
    """Read the copies of each counted allele, NaN where a call is missing or half missing; rows are samples.

    Phase counts for nothing. A chromosome that is there once (X, Y and MT of a man) counts its call twice, as PLINK
    stores it; so does its dosage, where a call beside it says that it is there once.

    Args:
        path: `.vcf`, `.vcf.gz`, `.bcf`, or `.bed` of PLINK with its `.bim` and `.fam` beside it.
        form: its `field` is GT, or DS for the dosages of an imputation; its `names` say how columns are called.

    Raises:
        GridError: a damaged file, one without samples or variants, or two variants of one name.
        LimitError: over a limit.
        Unsupported: cyvcf2 or bed-reader is missing.
    """
    if path.name.lower().endswith(PLINK):
        if form.field == "DS":
            raise GridError("holds no dosages", 'take field = "DS" out: PLINK keeps calls')
        samples, values, variants, notes = _plink(path)
    else:
        samples, values, variants, notes = _vcf(path, form.field or "GT")
    if not len(variants):
        raise GridError("holds no variant that is read", "".join(f"{own.what}; " for own in notes) + "check the file")
    names = [_named(*own, by_identifier=form.names == "id") for own in variants]
    twice = pd.Index(names).duplicated()
    if twice.any():
        what = f"{count(int(twice.sum()), 'variant')} by a name that another has"
        fix = "take names by position" if form.names == "id" else "drop duplicates, as by bcftools norm -d exact"
        raise GridError(what, fix)
    frame = pd.DataFrame(values, columns=names)
    frame.insert(0, SAMPLE, pd.Series(list(samples), dtype=object))
    return Annotated(frame, SAMPLE, tuple(names), notes)


def _named(
    chromosome: str, position: int, identifier: str, reference: str, counted: str, *, by_identifier: bool
) -> str:
    if by_identifier and identifier not in ("", "."):
        return identifier
    plain = chromosome[3:] if chromosome.lower().startswith("chr") else chromosome
    return f"{CHROMOSOMES.get(plain.upper(), plain)}:{position}:{reference}:{counted}"


Found = tuple[Sequence[str], NDArray[np.float64], list[tuple[str, int, str, str, str]], tuple[Note, ...]]


def _vcf(path: Path, field: str) -> Found:
    require_package("cyvcf2", "VCF and BCF files", "genotypes")
    size = require_regular(path, TABLE_BYTES)
    with path.open("rb") as file:
        start = file.read(16)
        file.seek(max(0, size - len(END)))
        if start[:4] == END[:4] and start[12:14] == b"BC" and file.read() != END:
            raise GridError("is cut off: its end is missing", "copy the file again")
    if not path.name.lower().endswith(".bcf"):
        require_bounded(path, start[:2] == END[:2])
    found = ask("genotype_process.py", path, field, GENOTYPE_CELLS)
    if found.code == LIMIT:
        raise LimitError(f"holds over {GENOTYPE_CELLS:,} genotypes", FEWER)
    if found.code == NO_SAMPLES:
        raise GridError("holds no sample", "name a file with the genotypes of samples, not one of sites alone")
    if found.code == DOSAGES:
        what = "holds dosages below 0 or above 2, or above 1 of a chromosome that is there once"
        raise GridError(what, 'correct them, or take field = "DS" out')
    if found.code:
        raise GridError("is not a VCF or BCF file, or is damaged", "write it again, as by bcftools view")
    own = found.header
    keys = ("chromosomes", "positions", "identifiers", "references", "alleles")
    variants = list(zip(*(own[key] for key in keys), strict=True))
    samples = own["samples"]
    values = np.frombuffer(found.rest, dtype="<f4").reshape(len(variants), len(samples)).T.astype(np.float64)
    notes = []
    if own["left_out"]:
        said = ", ".join(f"{number:,} {reason}" for reason, number in sorted(own["left_out"].items()))
        notes.append(
            Note(f"variants are left out: {said}", "write them where they are meant to count", "variants-left-out")
        )
    if own["halves"]:
        what = f"{count(own['halves'], 'call')} with one of two alleles missing, and read as missing"
        notes.append(Note(what, "call them again, where many are", "half-calls"))
    if own["unsure"]:
        what = f"{count(own['unsure'], 'variant')} of X, Y or MT with dosages of which no call says whether of one copy"
        notes.append(Note(f"{what} or two, and read as they stand", "write GT beside DS", "dosages-of-one-copy"))
    if own["filtered"]:
        what = f"{count(own['filtered'], 'variant')} that failed a filter of the file, and read all the same"
        notes.append(Note(what, "drop them, as by bcftools view -f PASS,.", "filtered-variants"))
    return samples, values, variants, tuple(notes)


def _plink(path: Path) -> Found:
    require_package("bed_reader", "PLINK files", "genotypes")
    from bed_reader import open_bed  # type: ignore[import-untyped]

    size = require_regular(path, TABLE_BYTES)
    beside = {suffix: path.with_suffix(suffix) for suffix in (".bim", ".fam")}
    for suffix, file in beside.items():
        if not file.is_file():
            raise GridError(f"its {suffix} file is not beside it", "copy the .bed, .bim and .fam of one name together")
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise GridError(f"its {suffix} file is a link out of its folder", "copy the file itself")
        require_regular(file, GIGABYTE)
    with path.open("rb") as content:
        start = content.read(3)
    if start != PLINK_START:
        raise GridError("is not a file of PLINK in the order of variants", "write it again, by plink --make-bed")
    damaged = GridError(
        "or its .bim or .fam is damaged, or they do not belong together", "write them again, by plink --make-bed"
    )
    try:
        with open_bed(path, fam_filepath=beside[".fam"], bim_filepath=beside[".bim"], num_threads=1) as file:
            samples, n = [str(name) for name in file.iid], len(file.iid)
            columns = (file.chromosome, file.bp_position, file.sid, file.allele_2, file.allele_1)
            listed = [(str(c), int(p), str(i), str(r), str(a)) for c, p, i, r, a in zip(*columns, strict=True)]
            if size != 3 + (n + 3) // 4 * len(listed):
                raise damaged
            if n * len(listed) > GENOTYPE_CELLS:
                raise LimitError(
                    f"holds {n:,} samples of {len(listed):,} variants, over {GENOTYPE_CELLS:,} in all", FEWER
                )
            kept = [at for at, own in enumerate(listed) if own[4] not in ("0", ".")]
            values = np.asarray(file.read(index=np.s_[:, kept], dtype="float64"))
    except (GridError, LimitError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException:  # a panic of Rust is no Exception; messages quote paths and cells
        raise damaged from None
    notes: tuple[Note, ...] = ()
    if len(kept) < len(listed):
        what = f"variants are left out: {len(listed) - len(kept):,} without another allele"
        notes = (Note(what, "write them where they are meant to count", "variants-left-out"),)
    return samples, values, [listed[at] for at in kept], notes
