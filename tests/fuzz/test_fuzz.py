"""A minute of fuzzing in `make nightly`, and what it found before: each input as small as it could be made."""

from __future__ import annotations

from pathlib import Path

import fuzz_cohorts
import fuzz_target
import fuzz_targets
import pytest

import fuzz
import reference_readers  # noqa: F401  first: it skips this module, or finds the benchmarks

# a TIFF of 17 empty tags, whose next page is in the midst of them: tifffile goes round for ever
CIRCLE = b"II*\0\x08\0\0\0\x11\0" + bytes(9) + b"\x10" + bytes(190) + b"\x10\0\0\0"
SECONDS = 60.0  # of all targets together
FOUND: dict[str, list[bytes]] = {
    "leads": [b"time\r,I\n0,1\n"],  # _csv.Error: new-line character seen in unquoted field
    "slide": [CIRCLE],
    "manifest": [fuzz_cohorts.MANIFEST.replace(b"p.csv", b"p" * 400)],  # OSError: file name too long
}


@pytest.mark.parametrize("name", FOUND)
def test_what_broke_the_law_once_keeps_it(name: str, tmp_path: Path) -> None:
    for data in FOUND[name]:
        fuzz.attempt(name, data, tmp_path)


def test_what_breaks_the_law_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path) -> None:
        raise KeyError(path.read_bytes())

    monkeypatch.setitem(fuzz_targets.TARGETS, "note", fuzz_target.Target(".txt", lambda folder: [b"a"], wrong))
    with pytest.raises(fuzz.BrokenLawError, match="note: KeyError"):
        fuzz.attempt("note", b"a", tmp_path)
    monkeypatch.setattr(fuzz, "MOST_SECONDS", -1.0)
    with pytest.raises(fuzz.BrokenLawError, match="took"):
        fuzz.attempt("dna", b">a\nACGT\n", tmp_path)


@pytest.mark.parametrize("name", ["note", "dna", "leads", "mol", "csv.gz"])
def test_a_few_inputs_are_read_or_refused(name: str, tmp_path: Path) -> None:
    tried, read = fuzz.fuzz(name, 0.2, 0, tmp_path, least=12)
    assert tried >= 12 and read


@pytest.mark.parametrize("name", ["csv.gz", "parquet", "sheet"])
def test_a_sound_table_is_read_where_its_cohort_is_checked_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checksum draws which cohorts are checked, and a workbook holds the time at which it was packed."""
    target = fuzz_targets.TARGETS[name]
    for drawn in (0, 1):
        monkeypatch.setattr(fuzz_cohorts, "crc32", lambda data, drawn=drawn: drawn)
        assert fuzz.attempt(name, target.mend(target.seeds(tmp_path)[0]), tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_every_input_is_read_or_refused(name: str, tmp_path: Path) -> None:
    tried, _ = fuzz.fuzz(name, SECONDS / len(fuzz_targets.TARGETS), 1, tmp_path)
    assert tried > 3
