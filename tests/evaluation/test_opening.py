"""Opening a seal: what is scored and noted, what is found and refused, and what is told afterwards."""

from __future__ import annotations

import json
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.seal import read_seal
from chiasm.cohort.sealing import open_sealed
from chiasm.evaluation.description import describe_cohort
from chiasm.evaluation.estimates import Estimate
from chiasm.evaluation.external import score_external
from chiasm.evaluation.opening import CANNOT_TELL, CONFIRMS, CONTRADICTS, judged, told_openings
from chiasm.evaluation.sealing import differences, read_plan
from chiasm.evaluation.trial import TrialError
from chiasm.evaluation.verdict import DOES_NOT_PAY, PAYS, PREDICTS_MORE
from chiasm.metrics.scores import PRIMARY
from chiasm.report.sealed import sealed_part
from sealed_cohorts import quick_trials, sealed_cohort, sealed_names

pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
PROTOCOL = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
RECIPES = ["early-fusion"]


@dataclass(frozen=True)
class Sealed:
    """A sealed cohort and a run on it, in a folder of their own."""

    folder: Path

    @property
    def manifest(self) -> Path:
        return self.folder / "cohort" / "cohort.toml"

    @property
    def seal(self) -> Path:
        return self.folder / "cohort" / "cohort.seal.json"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def open(self) -> Any:
        return chiasm.open_seal(self.run, self.manifest)

    def change(self, file: str, change: Callable[[Any], Any]) -> None:
        document = json.loads((self.run / file).read_text())
        change(document)
        (self.run / file).write_text(json.dumps(document))

    def files(self) -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted(self.folder.rglob("*")) if file.is_file()}

    def refused(self) -> str:
        """What an opening that is refused says; nothing is written by it."""
        before = self.files()
        with pytest.raises((TrialError, CohortError)) as fault:
            self.open()
        assert self.files() == before
        assert "case-" not in str(fault.value)
        return str(fault.value)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with quick_trials():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A run that was not opened."""
    folder = tmp_path_factory.mktemp("sealed")
    sealed = Sealed(folder)
    sealed_cohort(folder / "cohort", more="")
    chiasm.evaluate(chiasm.open_cohort(sealed.manifest), RECIPES, PROTOCOL, out=sealed.run, jobs=1, seed=3)
    return sealed


@pytest.fixture
def closed(made: Sealed, tmp_path: Path) -> Sealed:
    shutil.copytree(made.folder, tmp_path / "copy")
    return Sealed(tmp_path / "copy")


@pytest.fixture(scope="module")
def opened(made: Sealed, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    folder = tmp_path_factory.mktemp("opened") / "copy"
    shutil.copytree(made.folder, folder)
    Sealed(folder).open()
    return Sealed(folder)


def test_what_is_named_before_anything_is_fitted(made: Sealed) -> None:
    plan, seal = read_plan(made.run), read_seal(made.seal)
    assert plan["seal"] == seal.identity and plan["seed"] == 3 and plan["protocol"]["margin"] == PROTOCOL.margin
    assert plan["patients"]["number"] == seal.counts.outside and set(RECIPES) <= set(plan["recipes"])
    assert stat.S_IMODE((made.run / "seal.json").stat().st_mode) == 0o600
    trial = chiasm.load_trial(made.run)
    assert (
        trial.document["cohort"]["sealed"]["patients"] == seal.counts.patients and told_openings(trial.document) == ""
    )
    page = (made.run / "report.html").read_text()
    assert "The sealed test set: closed" in page and "has not been opened, as far as this folder knows" in page
    assert not set(trial.outcomes.index) & sealed_names(made.manifest)


def test_the_picks_are_scored_once_on_the_sealed_patients_alone(opened: Sealed) -> None:
    trial = chiasm.load_trial(opened.run)
    own, verdict, seal = trial.document["sealed"], trial.verdict, read_seal(opened.seal)
    assert verdict is not None and own["number"] == 1 and len(seal.openings) == 1
    names = [row["name"] for row in own["recipes"]]
    assert names == list(dict.fromkeys([verdict.best_fused, verdict.best_single, "presence", "null"]))
    assert list(seal.openings[0].recipes) == names[:-1] and seal.openings[0].run == read_plan(opened.run)["hash"]
    predictions = pd.read_parquet(opened.run / "sealed_predictions.parquet")
    assert (
        set(predictions["patient"]) == sealed_names(opened.manifest)
        and not predictions.duplicated(["recipe", "patient"]).any()
    )
    outcomes = pd.read_parquet(opened.run / "sealed_outcomes.parquet").set_index("patient")
    for row in own["recipes"]:  # computed again from what is stored
        said = predictions[predictions["recipe"] == row["name"]].set_index("patient")["p_yes"]
        assert row["mean"] == pytest.approx(roc_auc_score(outcomes.loc[said.index, "value"], said), abs=1e-9)
    for name in ("sealed.json", "sealed_predictions.parquet", "sealed_outcomes.parquet"):
        assert stat.S_IMODE((opened.run / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(opened.seal.stat().st_mode) == 0o600
    events = [json.loads(line)["event"] for line in (opened.run / "log.jsonl").read_text().splitlines()]
    assert events[-2:] == ["seal opened", "seal scored"]


def test_the_figures_are_those_of_a_model_fitted_on_the_others(opened: Sealed) -> None:
    """Computed again by the public functions: fit on the patients outside, predict, score."""
    own = chiasm.load_trial(opened.run).document["sealed"]
    outside, inside = chiasm.open_cohort(opened.manifest), open_sealed(opened.manifest).sealed
    model = chiasm.fit(outside, "early-fusion", seed=3)
    said = model.predict(chiasm.encode(inside.with_target(None, None)).cohort)
    scores = score_external(inside, {"early-fusion": said}, reference=outside.outcome, draws=100, seed=3).scores
    row = next(row for row in own["recipes"] if row["name"] == "early-fusion")
    assert row["mean"] == pytest.approx(scores["early-fusion"][PRIMARY["classification"]].mean, abs=1e-12)
    assert row["low"] == pytest.approx(scores["early-fusion"][PRIMARY["classification"]].low, abs=1e-12)


def test_the_page_tells_of_the_opening(opened: Sealed) -> None:
    trial = chiasm.load_trial(opened.run)
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", (opened.run / "report.html").read_text()))
    own = trial.document["sealed"]
    assert f"The sealed test set: {own['conclusion']}" in page
    assert own["sentence"].replace("'", "&#39;") in page
    assert "The sealed test set was opened once" in page and "unseen" not in page
    row = own["recipes"][0]
    assert re.search(rf"{row['mean']:.3f} \({row['low']:.3f} to {row['high']:.3f}\)", page)
    texts = [file.read_text() for file in opened.run.iterdir() if file.suffix in (".json", ".jsonl", ".html")]
    assert len(texts) >= 5 and not any("case-" in text or "fam0" in text for text in texts)


def test_an_opening_that_is_stopped_counts_and_a_second_one_is_told_on_every_later_page(
    opened: Sealed, closed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*told: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("chiasm.evaluation.opening.score_external", killed)
        with pytest.raises(KeyboardInterrupt):
            closed.open()
    assert len(read_seal(closed.seal).openings) == 1 and not (closed.run / "sealed.json").exists()
    trial, first = closed.open(), chiasm.load_trial(opened.run).document["sealed"]
    own = trial.document["sealed"]
    assert own["number"] == 2 and [row["mean"] for row in own["recipes"]] == [row["mean"] for row in first["recipes"]]
    told = "The sealed test set was opened twice"
    assert told in told_openings(trial.document) and "not those of an unseen test set" in told_openings(trial.document)
    assert (closed.run / "report.html").read_text().count(told) == 2, "beside the verdict, and in its own section"
    cohort = chiasm.open_cohort(closed.manifest)
    document = {key: entry for key, entry in trial.document.items() if key != "sealed"}
    later = sealed_part(replace(trial, document={**document, "cohort": describe_cohort(cohort, 0)}))
    assert later is not None and later.word == "opened for another run" and told in later.warning
    old = chiasm.load_trial(opened.run, closed.manifest)  # an older run, its page written again
    part = sealed_part(old)
    assert part is not None and told in part.warning and "those of the first opening" in part.warning
    assert repr(cohort).endswith("patients are sealed, opened twice")


def test_a_model_that_refuses_the_sealed_patients_leaves_the_seal_closed(
    closed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*told: Any, **more: Any) -> Any:
        raise chiasm.Unsupported("a column is missing")

    before = closed.seal.read_bytes()
    monkeypatch.setattr("chiasm.evaluation.opening.said_of", refuses)
    with pytest.raises(chiasm.Unsupported):
        closed.open()
    assert closed.seal.read_bytes() == before


def test_a_seal_that_was_restored_does_not_forget_its_opening(made: Sealed, opened: Sealed, tmp_path: Path) -> None:
    shutil.copytree(opened.folder, tmp_path / "copy")
    again = Sealed(tmp_path / "copy")
    again.seal.write_bytes(made.seal.read_bytes())
    assert "fewer openings than the run knew of" in again.refused()


def test_what_was_read_of_openings_since_counts_too(made: Sealed) -> None:
    """A run whose page told of an opening for another run knows of it, where a seal has forgotten it."""
    trial, cohort = chiasm.load_trial(made.run), chiasm.open_cohort(made.manifest)
    told = "the seal names fewer openings than the run knew of"
    assert told not in differences(read_plan(made.run), trial, cohort)
    known = replace(trial, document={**trial.document, "openings": ["2020-01-01"]})
    assert told in differences(read_plan(made.run), known, cohort)


def test_a_copy_of_a_sealed_patient_among_the_others_is_found(made: Sealed, tmp_path: Path) -> None:
    shutil.copytree(made.folder / "cohort", tmp_path / "cohort")
    added = Sealed(tmp_path)
    names = sealed_names(added.manifest)
    for table in sorted((tmp_path / "cohort").glob("*.csv")):
        rewrite(
            table,
            lambda frame: pd.concat([frame, frame[frame["case"] == min(names)].assign(case="case-copied")]),
        )
    chiasm.evaluate(chiasm.open_cohort(added.manifest), ["presence"], PROTOCOL, out=added.run, jobs=1)
    before = added.seal.read_bytes()
    with pytest.raises(chiasm.LeakageError, match="group"):
        added.open()
    assert added.seal.read_bytes() == before


def rewrite(table: Path, change: Callable[[pd.DataFrame], Any]) -> None:
    frame = pd.read_csv(table, dtype=str)
    changed = change(frame)
    (frame if changed is None else changed).to_csv(table, index=False)


def test_one_changed_outcome_is_found_on_either_side(closed: Sealed) -> None:
    table, names = closed.manifest.parent / "patients.csv", sealed_names(closed.manifest)
    text = table.read_bytes()
    for inside, said in ((True, "an outcome of a sealed patient"), (False, "an outcome of the patients outside")):

        def turned(frame: pd.DataFrame, inside: bool = inside) -> None:
            row = frame.index[frame["case"].isin(names) == inside][0]
            frame.loc[row, "label"] = "no" if frame.loc[row, "label"] == "yes" else "yes"

        rewrite(table, turned)
        assert said in closed.refused()
        table.write_bytes(text)


def test_a_patient_more_or_less_is_found(closed: Sealed) -> None:
    table, names = closed.manifest.parent / "patients.csv", sealed_names(closed.manifest)
    text, outside = table.read_bytes(), read_seal(closed.seal).counts.outside
    rewrite(table, lambda frame: pd.concat([frame, frame.iloc[:1].assign(case="case-new")]))
    assert f"the trial had {outside} patients outside the seal, the cohort has {outside + 1}" in closed.refused()
    table.write_bytes(text)
    rewrite(table, lambda frame: frame.drop(frame.index[~frame["case"].isin(names)][0]))
    assert f"the cohort has {outside - 1}" in closed.refused()
    table.write_bytes(text)
    rewrite(table, lambda frame: frame.drop(frame.index[frame["case"].isin(names)][0]))
    assert "1 of the" in closed.refused()


def test_changed_values_are_found(closed: Sealed) -> None:
    table, names = closed.manifest.parent / "patients.csv", sealed_names(closed.manifest)
    text = table.read_bytes()
    for inside, said in ((True, "a value of a sealed patient in modality 'clinical'"), (False, "values, groups")):

        def older(frame: pd.DataFrame, inside: bool = inside) -> None:
            frame.loc[frame.index[frame["case"].isin(names) == inside][0], "age"] = "33.3"

        rewrite(table, older)
        assert said in closed.refused()
        table.write_bytes(text)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("trial.json", lambda d: d["recipes"].append({**d["recipes"][0], "name": "b"}), "'b' was not named"),
        ("trial.json", lambda d: d["recipes"][0]["options"].update(x=1), "has other options"),
        ("trial.json", lambda d: d["recipes"].pop(0), "was named and is not in the trial"),
        ("trial.json", lambda d: d["protocol"].update(margin=0.2), "margin was 0.01 before the trial and is 0.2"),
        ("trial.json", lambda d: d["protocol"].update(seed=4), "seed was 3 before the trial and is 4"),
        ("trial.json", lambda d: d.update(settings="0"), "is not the one whose settings were hashed"),
        ("trial.json", lambda d: d["cohort"]["sealed"].update(openings=["2020-01-01"]), "fewer openings than the run"),
        ("seal.json", lambda d: d.update(seed=4), "does not have the hash that it names"),
        ("seal.json", lambda d: d["recipes"].update({"one-more": {}}), "does not have the hash that it names"),
        ("seal.json", lambda d: d.update(more=1), "does not have the hash that it names"),
    ],
)  # fmt: skip
def test_one_more_recipe_another_margin_or_seed_is_found(closed: Sealed, file: str, change: Any, said: str) -> None:
    closed.change(file, change)
    assert said in closed.refused()


def test_a_damaged_result_is_found(closed: Sealed) -> None:
    for content in ("", "[]", "{}", '{"number": 1}'):
        (closed.run / "sealed.json").write_text(content)
        with pytest.raises(TrialError, match="holds a damaged trial"):
            chiasm.load_trial(closed.run)


def test_another_seal_is_found(closed: Sealed) -> None:
    closed.seal.unlink()
    assert "the cohort is not sealed" in closed.refused()
    chiasm.seal(closed.manifest, 0.25)
    assert "the seal of the cohort is another one than the run was made under" in closed.refused()
    with pytest.raises(TrialError, match="do not have the same seal"):
        chiasm.load_trial(closed.run, closed.manifest)


def test_a_run_without_a_seal_is_not_opened(closed: Sealed) -> None:
    (closed.run / "seal.json").unlink()
    assert "'run' was not made on a sealed cohort" in closed.refused()


def test_what_the_difference_says_of_the_verdict(opened: Sealed) -> None:
    verdict = chiasm.load_trial(opened.run).verdict
    assert verdict is not None
    gain, none, wide = Estimate(0.1, 0.02, 0.2), Estimate(0.0, -0.02, 0.005), Estimate(0.1, -0.1, 0.3)
    expected = {
        PAYS: (CONFIRMS, CONTRADICTS, CANNOT_TELL),
        DOES_NOT_PAY: (CONTRADICTS, CONFIRMS, CANNOT_TELL),
        PREDICTS_MORE: (CANNOT_TELL,) * 3,
    }
    for outcome, words in expected.items():
        own = replace(verdict, outcome=outcome, margin=0.01)
        assert tuple(judged(own, found) for found in (gain, none, wide)) == words
