"""Findings have names, and are accepted by them with a reason; what was not found cannot be accepted."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import chiasm
from chiasm.cohort.accepted import settle, unmade
from chiasm.cohort.leaks import TOO_GOOD, too_good
from chiasm.errors import error, warning
from leaky_cohorts import Bench

SOURCE = Path(chiasm.__file__).parent
MANIFEST = """
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "classification"
column = "ill"
[modalities.labs]
kind = "table"
columns = ["marker"]
"""


def written(folder: Path, accept: str) -> Path:
    rows = [f"{k},{k % 2},{k % 2 + k / 1000}" for k in range(60)]
    (folder / "patients.csv").write_text("\n".join(["id,ill,marker", *rows]))
    (folder / "cohort.toml").write_text(MANIFEST + accept)
    return folder / "cohort.toml"


def test_every_problem_of_the_check_is_made_with_a_name() -> None:
    nameless = []
    for file in [*(SOURCE / "cohort").rglob("*.py"), *(SOURCE / "encoders").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or file.name == "errors.py":
                continue
            named = any(keyword.arg == "finding" for keyword in node.keywords)
            made = node.func.id in ("error", "warning") or (node.func.id == "Problem" and len(node.args) < 7)
            if made and not named:
                nameless.append(f"{file.name}:{node.lineno}")
    assert nameless == []


def test_an_accepted_finding_stays_listed_and_no_longer_counts_as_a_leak(tmp_path: Path) -> None:
    cohort = chiasm.open_cohort(written(tmp_path, '[accept]\nleaking-column = "measured at admission"'))
    problems = chiasm.check_cohort(cohort)
    (finding,) = settle(problems, cohort.accepted)
    assert finding.problem.leak and finding.reason == "measured at admission" and not finding.leak
    assert [problem.finding for problem in problems] == ["leaking-column"]


def test_a_finding_is_accepted_for_one_modality_alone() -> None:
    found = [warning("w", "f", modality=name, finding="leaking-column", leak=True) for name in ("labs", "genes")]
    one, other = settle(found, {"leaking-column:labs": "known at admission"})
    assert one.reason == "known at admission" and other.reason is None
    assert not one.leak and other.leak
    both = settle(found, {"leaking-column:labs": "first", "leaking-column": "second"})
    assert [own.reason for own in both] == ["first", "second"]


def test_an_error_is_never_accepted() -> None:
    problem = error("w", "f", finding="single-class")
    assert settle([problem], {"single-class": "why not"})[0].reason is None
    assert len(unmade([problem], {"single-class": "why not"})) == 1


@pytest.mark.parametrize("name", ["leaking-colum", "leaking-column:genes", "near-duplicates"])
def test_a_finding_that_was_not_made_cannot_be_accepted(tmp_path: Path, name: str) -> None:
    problems = chiasm.check_cohort(written(tmp_path, f'[accept]\n"{name}" = "reason"'))
    (wrong,) = [problem for problem in problems if problem.severity == "error"]
    expected = f"a finding is accepted that was not made: '{name}'; the check made leaking-column; "
    assert str(wrong) == expected + "take it out or correct the name"


def test_an_unmade_finding_is_refused_in_one_sentence_before_a_trial() -> None:
    cohort = replace(chiasm.synthetic_cohort("unique", 60), accepted={"leaking-column": "known"})
    with pytest.raises(chiasm.CohortError, match="accepted that was not made: 'leaking-column'") as refused:
        chiasm.evaluate(cohort, ["late-fusion"], jobs=1)
    assert "\n" not in str(refused.value)


def test_what_only_a_trial_can_find_may_be_accepted_beforehand(tmp_path: Path) -> None:
    path = written(tmp_path, '[accept]\nleaking-column = "known"\n"too-good:labs" = "a definition"')
    assert [problem.severity for problem in chiasm.check_cohort(path)] == ["warning"]
    finding = settle([too_good("labs", "AUROC", 0.9912)], chiasm.open_cohort(path).accepted)[0]
    assert finding.reason == "a definition" and finding.problem.leak and "AUROC 0.991" in finding.problem.what
    assert TOO_GOOD == 0.98


@pytest.mark.parametrize(
    ("accept", "what"),
    [
        ('leaking-column = " "', "accepted without a reason"),
        ("leaking-column = true", "value of the wrong type"),
        ('"Leaking Column" = "reason"', "by what is no name"),
    ],
)
def test_a_table_of_accepted_findings_that_cannot_be_one_is_refused(tmp_path: Path, accept: str, what: str) -> None:
    with pytest.raises(chiasm.CohortError, match=what):
        chiasm.open_cohort(written(tmp_path, f"[accept]\n{accept}"))


def test_what_is_accepted_goes_along_and_is_no_part_of_the_data() -> None:
    bench = Bench(n=60)
    plain = bench.cohort()
    bench.options = {"accept": {"leaking-column": "reason"}}
    cohort = bench.cohort()
    assert cohort.fingerprint == plain.fingerprint
    for view in (cohort.subset([1, 2, 3]), cohort.with_modalities(["labs"]), cohort.merged(plain)):
        assert view.accepted == {"leaking-column": "reason"}
    bench.options = {"accept": {"leaking-column": ""}}
    with pytest.raises(chiasm.CohortError, match="without a reason"):
        bench.cohort()
