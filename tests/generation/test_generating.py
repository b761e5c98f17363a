"""`generate`: a cohort that opens again with its mark, what it is refused for, and that nothing is written then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_patients import patients

import chiasm
from chiasm.api import generating
from chiasm.api.generating import PrivacyError, generate
from chiasm.cohort import Unsupported
from chiasm.cohort.generated import Generated
from chiasm.generation.rows import OUTCOME, Rows, timed
from chiasm.generation.writing import write_cohort
from chiasm.targets import CompetingRisks
from chiasm.targets.outcome import causes_of

N = 120


class Copier:
    """A generator that hands out its training patients."""

    name = "copier"

    def fit(self, rows: Rows) -> Any:
        class Fitted:
            def sample(self, n: int, seed: int, given: Rows | None = None) -> Rows:
                return rows.take(np.arange(n) % len(rows))

        return Fitted()


def cohort(n: int = N) -> chiasm.Cohort:
    """The patients of `made_patients`, under names that nothing written may have."""
    made = patients(5, n, width=24)
    index = pd.Index([f"Musterfrau-{k}" for k in range(n)], dtype=object)
    blocks = {name: own.set_axis(index, axis=0)[made.present[name]] for name, own in made.blocks.items()}
    target = chiasm.Survival("months", "died", unit="months")
    outcome = blocks.pop(OUTCOME)
    return chiasm.cohort_from_frames(outcome, blocks, target, kinds={"rna": "omics"}, name="made")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "synthetic"
    generate(cohort(), folder, patients=96, utility=False)
    return folder


def test_a_synthetic_cohort_opens_and_says_what_it_is(written: Path) -> None:
    opened = chiasm.open_cohort(written)
    assert len(opened) == 96 and opened.kinds == {"clinical": "table", "rna": "omics"}
    assert opened.target == chiasm.Survival("months", "died", unit="months") and opened.outcome is not None
    assert 0 < opened.outcome.event.sum() < 96 and 0.5 < opened.present[:, 1].mean() < 0.9
    assert opened.raw("clinical")["stage"].isin(["I", "II", "III"]).all()
    mark = opened.generated
    assert mark is not None and mark.patients and mark.generator == "gaussian-copula" and mark.seed == 0
    assert len(mark.fitted_on) == 64 and not mark.accepted
    (found,) = [own for own in chiasm.check_cohort(opened) if own.finding == "generated-patients"]
    assert found.severity == "warning" and "nobody of them lived" in found.what


@pytest.mark.nightly
def test_the_same_seed_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    files = {own.name: own.read_bytes() for own in written.iterdir()}
    generate(cohort(), tmp_path / "again", patients=96, utility=False)
    assert {own.name: own.read_bytes() for own in (tmp_path / "again").iterdir()} == files


def test_no_identifier_is_written(written: Path) -> None:
    assert not any(b"Musterfrau" in own.read_bytes() for own in written.iterdir())


def test_it_comes_with_reports(written: Path) -> None:
    told = json.loads((written / "generated.json").read_text())
    assert {own["id"] for own in told["privacy"]["measures"]} == {
        "copies", "near_copies", "nearest", "membership", "attribute", "rare", "rare_pair", "rare_value", "density"
    }  # fmt: skip
    assert told["privacy"]["counts"]["training"] + told["privacy"]["counts"]["held_out"] == N
    assert told["likeness"]["curves"]["synthetic"] < 0.35
    assert told["utility"] is None and "that proves no safety" in told["sentences"][-1]
    page = (written / "generated.html").read_text()
    assert "What it gives away" in page and "Kaplan-Meier" in page and "Musterfrau" not in page


@pytest.mark.nightly
def test_utility_is_told_on_real_patients_beside_as_many_real_ones() -> None:
    found = generate(cohort(), patients=96)
    own = found.utility
    assert own is not None and own.recipe == "late-fusion" and own.patients == 96 and own.synthetic is not None
    value, low, high = own.synthetic
    assert 0 < low < value < high < 1 and "real patients held out" in found.sentences[-1]


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")
def test_nothing_is_tested_on_patients_who_never_were(written: Path) -> None:
    with pytest.raises(Unsupported, match="what a model scores on them says nothing of real ones"):
        chiasm.evaluate(chiasm.open_cohort(written), ["late-fusion"], chiasm.Protocol(folds=2, repeats=1))
    model = chiasm.fit(cohort(), "single:clinical", summary=False)
    with pytest.raises(Unsupported, match="were drawn by 'gaussian-copula'"):
        chiasm.validate(model, written)


def test_a_copier_is_refused_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generating.GENERATORS, "copier", Copier)  # type: ignore[arg-type]
    with pytest.raises(
        PrivacyError, match="nothing is written: the share of synthetic rows that copy a training patient"
    ):
        generate(cohort(), tmp_path / "copied", patients=96, generator="copier")
    assert not list(tmp_path.iterdir())
    made = generate(
        cohort(), tmp_path / "copied", patients=96, generator="copier", accept_privacy="an exercise", utility=False
    )
    assert made.privacy is not None and made.privacy.refused
    opened = chiasm.open_cohort(tmp_path / "copied")
    assert opened.generated is not None and opened.generated.accepted == "an exercise"
    assert "above a limit of privacy" in (tmp_path / "copied" / "generated.html").read_text()


def test_what_patients_lack_is_filled_in_and_marked(tmp_path: Path) -> None:
    own = cohort()
    own = replace(own, encoders={"rna": "set"})
    made = generate(own, tmp_path / "filled", fill="rna")
    assert made.sentences[-1] == "Not written, although the manifest has them: encoders."
    opened = chiasm.open_cohort(tmp_path / "filled")
    assert list(opened.ids) == list(own.ids) and opened.present.all()
    lacking = int((~own.present[:, 1]).sum())
    assert opened.generated is not None and opened.generated.modalities == {"rna": lacking} and lacking > 20
    here = own.rows_of("rna")
    np.testing.assert_allclose(opened.raw("rna", here).to_numpy(), own.raw("rna").to_numpy())
    (found,) = [one for one in chiasm.check_cohort(opened) if one.finding == "generated-values"]
    assert found.modality == "rna" and "filled:recipe=" in found.fix and made.privacy is None
    assert opened.outcome is not None and own.outcome is not None
    np.testing.assert_allclose(opened.outcome.value, own.outcome.value)


@pytest.mark.parametrize(
    ("asked", "error", "what"),
    [
        ({"patients": 5, "fill": "rna"}, ValueError, "say either how many patients are drawn"),
        ({}, ValueError, "say either"),
        ({"patients": 0}, ValueError, "0 patients cannot be drawn"),
        ({"patients": 5, "generator": "gaussian-copla"}, ValueError, "did you mean 'gaussian-copula'"),
        ({"fill": "clinical"}, Unsupported, "nobody lacks modality 'clinical'"),
        ({"fill": "mri"}, ValueError, "has no modality 'mri'"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    asked: dict[str, Any], error: type[Exception], what: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=what):
        generate(cohort(60), tmp_path / "out", **asked)
    assert not list(tmp_path.iterdir())


def test_nobody_can_hide_among_few() -> None:
    with pytest.raises(Unsupported, match="among fewer than 50 nobody can hide"):
        generate(cohort(49), patients=10)


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")
def test_nothing_is_generated_from_what_was_generated(written: Path, tmp_path: Path) -> None:
    """The second mark would say nothing of the first: drawn patients would be truth, filled in values observed."""
    for asked in ({"fill": "rna"}, {"patients": 20}):
        with pytest.raises(Unsupported, match=r"was generated by 'gaussian-copula' already.*all that is filled in at"):
            generate(written, tmp_path / "again", **asked)
    assert not list(tmp_path.iterdir())


def test_modalities_whose_names_meet_in_files_are_written_apart(tmp_path: Path) -> None:
    names = ("a b", "a_b", "A_B")
    everyone = np.ones(3, bool)
    blocks = {name: pd.DataFrame({f"c{k}": [k, k + 0.5, k + 1.0]}) for k, name in enumerate(names)}
    rows = Rows(blocks, dict.fromkeys(names, everyone), {})
    groups = {name: {"all": [f"c{k}"]} for k, name in enumerate(names)}
    mark = Generated("gaussian-copula", 0, "0" * 64, False, {"a b": 1})
    write_cohort(tmp_path, rows, dict.fromkeys(names, "table"), mark, name="made", target=None, groups=groups)
    written = [own.name.casefold() for own in tmp_path.iterdir()]
    assert len(written) == len(set(written)) == 8
    opened = chiasm.open_cohort(tmp_path)
    assert {name: list(opened.raw(name).columns) for name in opened.modalities} == {
        name: [f"c{k}"] for k, name in enumerate(names)
    }
    assert opened.feature_groups == groups


def test_competing_risks_are_drawn_and_the_curve_is_of_any_event(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    index = pd.Index([f"p{k}" for k in range(60)], dtype=object)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)}, index=index)
    outcome = pd.DataFrame(
        {"t": rng.exponential(size=60), "why": rng.choice(["0", "relapse", "death"], 60)}, index=index
    )
    target = CompetingRisks("t", "why", main="relapse")
    own = chiasm.cohort_from_frames(outcome, {"a": table}, target)
    made = generate(own, tmp_path / "made", patients=60, utility=False, accept_privacy="an exercise")
    assert 0 < made.likeness["curves"]["synthetic"] < 0.6
    opened = chiasm.open_cohort(tmp_path / "made")
    assert opened.outcome is not None and len(opened) == 60 and len(set(causes_of(opened.outcome).tolist())) == 3
    assert timed(target, outcome)["event"].mean() == (outcome["why"] != "0").mean()


def test_where_a_column_says_who_is_censored_an_event_is_its_contrary() -> None:
    cells = pd.DataFrame({"t": [1.0, 2.0, 3.0], "alive": [1.0, 0.0, np.nan]})
    assert timed(chiasm.Survival("t", censored="alive"), cells)["event"].tolist() == [0.0, 1.0]
