"""Calibrated predictions of a stored model: sets, another prevalence, patterns never seen, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cli import main
from chiasm.cohort.subgroups import Subgroup
from lighter_trials import ridges_by_day


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, and manifests of held-out and of new patients."""
    path = tmp_path_factory.mktemp("sure")
    rng = np.random.default_rng(0)
    ids = np.array([f"p{k:03d}" for k in range(320)])
    x = rng.normal(size=(320, 2))
    label = np.where(rng.uniform(size=320) < 1 / (1 + np.exp(-2 * x[:, 0])), "yes", "no")
    sex = np.where(np.arange(320) % 2, "f", "m")
    patients = pd.DataFrame({"label": label, "sex": sex, "u": x[:, 0]}, index=pd.Index(ids, name="id"))
    scan = pd.DataFrame({"v": x[:, 1], "w": x[:, 0] + rng.normal(size=320)}, index=patients.index)
    for name, rows, both in (("old", slice(0, 120), 120), ("held", slice(120, 240), 60), ("new", slice(240, 320), 20)):
        (path / name).mkdir()
        patients[rows].to_csv(path / name / "patients.csv")
        scan[rows][:both].to_csv(path / name / "scan.csv")
        (path / name / "cohort.toml").write_text(
            '[patients]\ntable = "patients.csv"\nid = "id"\nsubgroups = ["sex"]\n[target]\nkind = "classification"\n'
            'column = "label"\n[modalities.blood]\nkind = "table"\ncolumns = ["u"]\n[modalities.scan]\nkind = "table"\n'
            'table = "scan.csv"\n'
        )
    with ridges_by_day():
        chiasm.fit(path / "old" / "cohort.toml", "late-fusion").save(path / "model")
    return path


def predicted(folder: Path, *options: str, out: str = "p.csv") -> pd.DataFrame | None:
    words = [
        "predict",
        str(folder / "model"),
        str(folder / "new" / "cohort.toml"),
        "--out",
        str(folder / out),
        "--force",
    ]
    try:
        main([*words, *options])
    except SystemExit as end:
        if end.code:
            return None
    return pd.read_csv(folder / out, keep_default_na=True)


def test_the_command_adds_sets_and_refuses_unseen_patterns(folder: Path, capsys) -> None:
    bare = predicted(folder)
    assert bare is not None and list(bare.columns) == ["patient", "pattern", "p_no", "p_yes", "note"]
    assert (bare["note"].notna() == (bare["pattern"] == "blood")).all(), "who has it is told in his own row"
    bare = bare.drop(columns="note")
    assert "60 patients have a pattern of modalities that no training patient had: blood." in capsys.readouterr().err
    sure = predicted(folder, "--calibrate", str(folder / "held" / "cohort.toml"), "--coverage", ".8")
    assert sure is not None and set(sure["set"]) <= {"no", "yes", "no, yes"} and len(set(sure["set"])) > 1
    pd.testing.assert_frame_equal(sure[bare.columns.tolist()], bare)
    told = capsys.readouterr().out
    assert "Sets made to cover 0.8 of the outcomes" in told and "blood+scan" in told
    kept = predicted(folder, "--unseen", "refuse")
    assert kept is not None and kept["p_yes"].notna().sum() == 20 and len(kept) == 80
    assert "Refused 60" in capsys.readouterr().out
    pd.testing.assert_frame_equal(kept[kept["p_yes"].notna()][bare.columns], bare[bare["pattern"] == "blood+scan"])
    assert (kept["note"] == "no prediction: a pattern never seen in training").sum() == 60
    both = predicted(folder, "--unseen", "refuse", "--calibrate", str(folder / "held" / "cohort.toml"))
    assert (
        both is not None
        and both["set"].notna().sum() == 20
        and (both["note"] == kept["note"].where(kept["p_yes"].isna())).sum() == 60
    )


def test_another_prevalence_is_bayes_rule(folder: Path) -> None:
    bare, shifted = predicted(folder), predicted(folder, "--prevalence", "yes=.1")
    assert bare is not None and shifted is not None
    model = chiasm.load_model(folder / "model")
    f = model.prevalence["yes"]
    label = pd.read_csv(folder / "old" / "patients.csv")["label"]
    assert f == pytest.approx((label == "yes").mean())
    logit = np.log(bare["p_yes"] / bare["p_no"]) + np.log(0.1 / 0.9) - np.log(f / (1 - f))
    assert shifted["p_yes"].to_numpy() == pytest.approx(1 / (1 + np.exp(-logit.to_numpy())))
    again = chiasm.at_prevalence(model, bare.drop(columns="patient"), model.prevalence)
    assert again["p_yes"].to_numpy() == pytest.approx(bare["p_yes"].to_numpy()), "the training's own changes nothing"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--calibrate", "held", "--coverage", "0"), "the coverage is 0, and is a share between 0 and 1"),
        (("--calibrate", "held", "--coverage", "1"), "the coverage is 1, and is a share between 0 and 1"),
        (("--calibrate", "held", "--coverage", "120"), "the coverage is 120, and is a share between 0 and 1"),
        (("--calibrate", "held", "--coverage", "95"), "for 95 % write 0.95"),
        (("--calibrate", "held", "--within", "sx"), "did you mean 'sex'?"),
        (("--calibrate", "old"), "the model learned from these very patients"),
        (("--calibrate", "new"), "80 patients of 'new' were calibrated on"),
        (("--coverage", ".9"), "belong to --calibrate"),
        (("--calibrate", "held", "--prevalence", "yes=.1"), "leave one of them out"),
        (("--prevalence", "yes=.1", "--prevalence", "no=.2"), "sum to 0.3, and must sum to 1"),
        (("--prevalence", "yes=1.2"), "state a share between 0 and 1"),
        (("--prevalence", "yess=.2"), "did you mean 'yes'?"),
        (("--prevalence", "yes"), "is a class and its share"),
        (("--unseen", "drop"), "is one of keep, refuse"),
    ],
)
def test_what_cannot_be_promised_is_refused_in_a_sentence(folder: Path, capsys, options, said: str) -> None:
    given = [str(folder / own / "cohort.toml") if own in ("held", "old", "new") else own for own in options]
    assert predicted(folder, *given) is None
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_calibration_is_divided_as_the_held_out_patients_are(folder: Path) -> None:
    sure = chiasm.conformal(folder / "model", folder / "held" / "cohort.toml", coverage=0.9)
    assert sure.thresholds.within == ("pattern", "sex") and list(sure.table()["n"]) == [60, 60, 60, 60]
    assert repr(sure).startswith("Conformal at 0.9 by pattern, sex: 4 groups, 0 without sets")
    cohort = chiasm.open_cohort(folder / "new" / "cohort.toml")
    with pytest.raises(chiasm.Unsupported, match="declares no such subgroup"):
        sure.predict(replace(cohort, subgroups=()))
    strange = Subgroup("sex", np.full(len(cohort), "x"))
    told = sure.predict(replace(cohort, subgroups=(strange,)))
    assert (told["set"] == "").all() and told["note"].str.contains(
        "fewer than 5 calibration patients with sex 'x'"
    ).all()


def test_calibration_patients_are_known_again_without_their_target_and_in_a_part(folder: Path) -> None:
    held = folder / "held" / "cohort.toml"
    sure = chiasm.conformal(folder / "model", held, coverage=0.9)
    bare = folder / "held" / "bare.toml"
    text = held.read_text()
    bare.write_text(text[: text.index("[target]")] + text[text.index("[modalities.blood]") :])
    for cohort in (chiasm.open_cohort(bare), chiasm.open_cohort(held).subset(np.arange(1, 120))):
        with pytest.raises(chiasm.LeakageError, match=rf"{len(cohort)} patients of .* were calibrated on"):
            sure.predict(cohort)
    assert len(sure.predict(folder / "new" / "cohort.toml")) == 80


def test_another_outcome_and_who_was_left_out_are_told(folder: Path, capsys) -> None:
    table = pd.read_csv(folder / "held" / "patients.csv", dtype=str)
    table["other"] = table["label"].where(table.index >= 7)
    table.to_csv(folder / "held" / "other.csv", index=False)
    text = (folder / "held" / "cohort.toml").read_text()
    path = folder / "held" / "other.toml"
    path.write_text(text.replace("patients.csv", "other.csv").replace('column = "label"', 'column = "other"'))
    with pytest.warns(chiasm.FindingWarning, match=r"the outcomes are 'other'.*7 patients left out"):
        sure = chiasm.conformal(folder / "model", path, coverage=0.9)
    assert sure.left_out == {"their outcome is not known": 7} and "'other'" in repr(sure)
    assert predicted(folder, "--calibrate", str(path), "--json") is not None
    out, err = capsys.readouterr()
    assert json.loads(out)["calibration"]["left_out"] == {"their outcome is not known": 7}
    assert "calibration: The model was fitted for 'label' and the outcomes are 'other'" in " ".join(err.split())


def test_codes_keep_their_own_text_and_words_are_refused_for_a_cut_column(folder: Path) -> None:
    codes = Subgroup("stage", np.array(["0", "1"]), np.array([0.0, 1.0]))
    many = Subgroup("stage", np.array(["under 2", "2 and over"]), np.array([1.0, 5.0]), (2.0,), "tertiles")
    assert many.cut_as(codes).level.tolist() == ["1", "5"]
    sure = chiasm.conformal(folder / "model", folder / "held" / "cohort.toml", coverage=0.9)
    new = chiasm.open_cohort(folder / "new" / "cohort.toml")
    (own,) = new.subgroups
    with pytest.raises(chiasm.Unsupported, match="cuts 'sex' at numbers, and 'new' holds words"):
        replace(sure, subgroups=(replace(own, edges=(2.0,)),)).require_others(new)


def test_who_has_no_modality_is_told_to_have_the_prior(folder: Path) -> None:
    model = chiasm.load_model(folder / "model")
    frame = pd.DataFrame({"pattern": ["blood+scan", "", "blood"], "p_no": 0.5, "p_yes": 0.5})
    kept, number = chiasm.api.without_unseen(model, frame)
    assert number == 1 and kept["p_yes"].isna().tolist() == [False, False, True]
    assert kept["note"].iloc[1].startswith("no modality of the model") and kept["note"].iloc[0] == ""


def test_the_groups_of_a_cohort_and_a_part_of_the_calibration_reach_the_thresholds(folder: Path) -> None:
    """`[patients] group` is looked at, and one patient of the calibration among the new ones is enough to refuse."""
    held = chiasm.open_cohort(folder / "held" / "cohort.toml")
    twos = replace(held, group=np.repeat([f"q{k}" for k in range(60)], 2))
    assert chiasm.conformal(folder / "model", twos, within=["everyone"], coverage=0.9).table()["n"].tolist() == [60]
    sure = chiasm.conformal(folder / "model", held.subset(np.arange(40)), within=["everyone"], coverage=0.9)
    with pytest.raises(chiasm.LeakageError, match="1 patient of 'held' was calibrated on"):
        sure.predict(held.subset(np.arange(39, 120)))
    assert len(sure.predict(held.subset(np.arange(40, 120)))) == 80


def test_a_prevalence_of_three_classes_names_each(folder: Path) -> None:
    model = chiasm.load_model(folder / "model")
    names, learned = ("a", "b", "c"), {"a": 0.5, "b": 0.3, "c": 0.2}
    three = replace(model, response=replace(model.response, classes=names, intercept=np.zeros(3)), prevalence=learned)
    frame = pd.DataFrame([[0.2, 0.3, 0.5]], columns=[f"p_{name}" for name in names])
    found = chiasm.at_prevalence(three, frame, {"a": 0.2, "b": 0.3, "c": 0.5}).to_numpy()[0]
    weighed = np.array([0.2 * 0.2 / 0.5, 0.3, 0.5 * 0.5 / 0.2])
    assert found == pytest.approx(weighed / weighed.sum())
    with pytest.raises(ValueError, match="of 3 classes name every one"):
        chiasm.at_prevalence(three, frame, {"a": 0.2})
