"""Methods, bibliography and guidelines of a trial: every figure is the run's, and what it cannot know is asked for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import chiasm
from chiasm.citation import Citation, bibtex, citation_of, keys_of
from chiasm.evaluation import Protocol, Trial
from chiasm.report.checks import limits
from chiasm.report.guideline_file import guidelines_text, told
from chiasm.report.guidelines import tripod_items
from chiasm.report.markdown import NEEDED
from chiasm.report.methods import methods_of, models
from chiasm.report.patterns import masked
from chiasm.report.probast import probast_items
from fake_trials import FUSED, SINGLES, synthetic_trial

PAPER = Citation("On Ridges & Slopes", "Technometrics", 1970, "https://doi.org/10.1080/00401706.1970.10488634")


@pytest.fixture(scope="module")
def trial() -> Trial:
    recipes = (*(replace(one, paper=PAPER) for one in SINGLES), FUSED[0])  # type: ignore[arg-type]
    return synthetic_trial("survival", n=120, protocol=Protocol(folds=2, repeats=1, draws=100), recipes=recipes)


def test_every_figure_of_the_methods_is_the_runs(trial: Trial) -> None:
    text = methods_of(trial).text
    document: Any = trial.document
    flow, protocol = document["description"]["flow"], document["protocol"]
    assert f"Of {flow['tables']} patients in the table, {flow['unknown_outcome']} were left out" in text
    assert f"{int(trial.outcomes['event'].sum())} (" in text and f"from seed {protocol['seed']}" in text
    several = int((trial.outcomes["modalities"] > 1).sum())
    assert f"{trial.outcomes['pattern'].nunique()} patterns of present modalities occur; {several} patients" in text
    for name in ("m1", "m2"):
        n = int(trial.outcomes["pattern"].str.split("+").map(lambda own, name=name: name in own).sum())
        assert re.search(rf"{name} \(table, \d+ columns; {n} patients, ", text), name
    for row in document["recipes"]:
        if row["trained_parameters"]:
            cited = rf"'{re.escape(row['name'])}' [^;]*, {row['trained_parameters']:,} trained parameter"
            assert re.search(cited, text.replace("\\", "")), row["name"]
    assert f"{protocol['n_train']:,.0f} patients to train on" in text and f"{protocol['draws']} bootstrap draws" in text
    for name, version in document["versions"].items():
        assert f"{name} {version}" in text.replace("\\", ""), name


def test_the_methods_change_with_the_run(trial: Trial) -> None:
    document: Any = trial.document
    protocol = {**document["protocol"], "margin": 0.0375, "draws": 4321}
    other = methods_of(replace(trial, document={**document, "protocol": protocol})).text
    assert "A gain of 0.0375 or more" in other and "4,321 bootstrap draws" in other
    assert "0.0375" not in methods_of(trial).text
    alone = methods_of(replace(trial, document={**document, "verdict": None})).text
    assert "no verdict was asked for" in alone and "t interval" not in alone
    single = {**document, "protocol": {**document["protocol"], "test_folds": 1}}
    made = methods_of(replace(trial, document=single))
    assert "The t interval is that of" not in made.text and "inference2003" not in made.bibliography
    assert "The t interval is that of" in methods_of(trial).text
    assert "'presence', which" not in methods_of(trial).text, "it is not in this trial"
    rows = [*document["recipes"], {**document["recipes"][0], "name": "presence"}]
    other = replace(trial, document={**document, "recipes": rows})
    beside = "\n".join(models(other, dict.fromkeys(row["name"] for row in rows), {}))
    assert "'presence', which" in beside and "2 recipes read one modality" in beside


def test_who_is_only_trained_on_net_benefit_and_an_opened_seal_are_told(trial: Trial) -> None:
    document: Any = trial.document
    first = trial.predictions[trial.predictions["fold"] == trial.predictions["fold"].iloc[0]]
    tested, total = first["patient"].nunique(), document["cohort"]["patients"]
    rest = f"Tested: {tested}; the other {total - tested} are in training sets only."
    assert rest in methods_of(replace(trial, predictions=first)).text and "Tested:" not in methods_of(trial).text
    text, after = methods_of(trial).text, {**document, "decisions": [], "d_calibration": []}
    for key in ("Net benefit is told at", "D-calibration", "@decision2006", "Uno's C counts events up to"):
        assert key in text, key
    assert "Net benefit" not in methods_of(replace(trial, document=after)).text
    assert not any("net benefit" in own for own in limits(replace(trial, document=after)))
    assert any("net benefit" in own for own in limits(trial))
    flow = {**document["description"]["flow"], "sealed": 12}
    opened = {**document, "description": {"flow": flow}, "sealed": {"number": 1}}
    broken = methods_of(replace(trial, document={**opened, "openings": ["2026-01-02T03:04", "2026-02-03T03:04"]})).text
    assert "12 further patients had been sealed" in broken and "opened twice (2026-01-02, 2026-02-03)" in broken


def test_outcomes_of_small_patterns_are_masked_and_of_one_more_where_one_is_alone() -> None:
    rows = [(name, n, "a: 1, b: 2", []) for name, n in (("x", "30"), ("y", "8"), ("z", "3"))]
    assert [row[2] == "masked" for row in masked(rows, [30, 8, 3])] == [False, True, True]
    assert [row[2] == "masked" for row in masked(rows, [30, 8, 9])] == [False, False, False]


def test_guidelines_and_limits_know_subgroups_and_another_cohort(trial: Trial) -> None:
    more = {"external": {"patients": 40, "cohort": {"name": "b"}}, "subgroups": {}, "sites": [{}]}
    other = replace(trial, document={**trial.document, **more})
    before, after = ({item.number: item for item in tripod_items(own)} for own in (trial, other))
    for number in ("4", "14", "16", "20c", "23a", "23b", "12d"):
        assert before[number].said != after[number].said, number
    assert any("subgroups" in own for own in limits(trial)) and not any("subgroups" in own for own in limits(other))
    assert "40 patients of 'b'" in methods_of(other).text and "'b'" not in methods_of(trial).text


def test_every_citation_has_its_entry_and_every_entry_is_cited(trial: Trial) -> None:
    made = methods_of(trial)
    cited = set(re.findall(r"@(\w+)", " ".join(re.findall(r"\[(@[^\]]*)\]", made.text))))
    entries = re.findall(r"^@misc\{(\w+),$", made.bibliography, re.M)
    assert cited == set(entries) and len(entries) == len(set(entries)) and "ridges1970" in cited
    assert "doi = {10.1080/00401706.1970.10488634}" in made.bibliography
    assert r"On Ridges \& Slopes" in made.bibliography
    assert made.bibliography.count("{") == made.bibliography.count("}")


def test_a_paper_is_read_back_from_its_text() -> None:
    assert citation_of(str(PAPER), PAPER.link) == PAPER
    assert citation_of("Hoerl and Kennard (Technometrics 1970)") == Citation("Hoerl and Kennard", "Technometrics", 1970)
    assert citation_of("folklore") is None
    same = [Citation("Ridge", "A", 1970), Citation("The ridge", "B", 1970), Citation("Ridge", "C", 1970)]
    assert sorted(keys_of(same).values()) == ["ridge1970", "ridge1970a", "ridge1970b"]
    arxiv = bibtex(Citation("A", "arXiv", 2024, "https://arxiv.org/abs/2405.01234v2"), "a")
    assert "eprint = {2405.01234}" in arxiv and "archiveprefix = {arXiv}" in arxiv and "author" not in arxiv
    for given, written in {
        "Hoerl and Kennard": "Hoerl and Kennard", "Li, Cai and Li": "Li and Cai and Li",
        "Saporta et al.": "Saporta and others", "Boulesteix, De Bin and Fuchs": "Boulesteix and {De Bin} and Fuchs",
    }.items():  # fmt: skip
        assert f"  author = {{{written}}},\n" in bibtex(PAPER, "a", given)


def test_all_items_of_tripod_stand_in_order_and_each_is_answered_or_asked_for(trial: Trial) -> None:
    items = tripod_items(trial)
    numbers = [item.number for item in items]
    assert len(numbers) == 52 == len(set(numbers)), "27 items of Collins et al. 2024, with their parts"
    assert [int(re.match(r"\d+", own)[0]) for own in numbers] == sorted(
        int(re.match(r"\d+", own)[0]) for own in numbers
    )  # type: ignore[index]
    assert {int(re.match(r"\d+", own)[0]) for own in numbers} == set(range(1, 28))  # type: ignore[index]
    for item in (*items, *probast_items(trial)):
        assert item.said or item.open, item
    assert {item.number for item in probast_items(trial)} == {"1", "2", "3", "4"}


def test_the_file_of_guidelines_names_sections_and_asks_for_input(trial: Trial) -> None:
    text = guidelines_text(trial)
    open_items = [item for item in (*tripod_items(trial), *probast_items(trial)) if item.open]
    assert text.count(NEEDED) == len(open_items) > 20
    assert "§" not in text and f"{len(trial.outcomes)} patients" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)
    assert told("see §cohort, §nowhere") == "see 'The cohort', §nowhere"


def test_names_of_users_are_no_markdown(trial: Trial) -> None:
    document: Any = trial.document
    name = "a|b *c* [d](e) <script> @key\nnew"
    other = replace(trial, document={**document, "cohort": {**document["cohort"], "name": name}})
    for text in (methods_of(other).text, guidelines_text(other)):
        title = text.splitlines()[0]
        assert "\\<script\\>" in title and "\\@key" in title and "a\\|b" in title and "<script>" not in text


def test_the_files_are_written_where_they_are_asked_for(trial: Trial, tmp_path: Path) -> None:
    files = chiasm.write_methods(trial, tmp_path / "methods.md")
    assert files == (tmp_path / "methods.md", tmp_path / "methods.bib") and all(file.stat().st_size for file in files)
    assert chiasm.write_guidelines(trial, tmp_path / "reporting.md").read_text(encoding="utf-8") == guidelines_text(
        trial
    )
    for write in (chiasm.write_methods, chiasm.write_guidelines):
        with pytest.raises(ValueError, match=r"must end in \.md"):
            write(trial, tmp_path / "methods.docx")
