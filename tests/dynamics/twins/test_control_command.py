"""`chiasm control`: a folder with page, JSON and controller, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import chiasm
from chiasm.api import controlling
from chiasm.cli import main
from chiasm.dynamics.twins import DISCLAIMER
from chiasm.dynamics.twins.settings import made_settings, read_settings
from chiasm.report.twins import draw_twin

SMALL = """
twin = "compartment"
name = "Größe <b>1</b>"
[patients]
train = 2
test = 5
[training]
steps = 8
epochs = 2
[test]
steps = 8
"""


MADE: list[controlling.Controlled] = []  # what the study below was made of


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin")
    (folder / "twin ü.toml").write_text(SMALL, encoding="utf-8")
    own = controlling.control

    def kept(*given: Any, **named: Any) -> controlling.Controlled:
        MADE.append(own(*given, **named))
        return MADE[-1]

    with pytest.MonkeyPatch.context() as watched:
        watched.setattr(controlling, "control", kept)
        main_of(["control", str(folder / "twin ü.toml"), "--out", str(folder / "study")])
    return folder / "study"


def main_of(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def test_the_folder_holds_the_study(study: Path) -> None:
    assert {file.name for file in study.iterdir()} == {"twin.html", "twin.json", "patients.csv", "controller"}
    document = json.loads((study / "twin.json").read_text())
    page = (study / "twin.html").read_text(encoding="utf-8")
    assert document["disclaimer"] == DISCLAIMER and DISCLAIMER in page and "Größe &lt;b&gt;1" in page
    assert DISCLAIMER in (study / "controller" / "card.md").read_text()
    assert document["trained"]["metamodel_error"] is None
    rows = {row["controller"]: row for row in document["table"]}
    assert list(rows) == ["lowest dose", "usual dose", "best constant", "PID", "network"]
    frame = pd.read_csv(study / "patients.csv").groupby("controller")["cost"].mean()
    for name, row in rows.items():
        assert frame[name] == pytest.approx(row["cost"]) and row["cost_low"] <= row["cost"] <= row["cost_high"]
        assert f"{row['cost']:,.3f}" in page
    for sentence in document["sentences"]:
        assert any(own in sentence for own in ("is ahead", "too few"))
    assert chiasm.load_controller(study / "controller").twin == "compartment"


def test_what_is_there_is_not_replaced_unasked(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chiasm.api.controlling.control", lambda *own, **named: pytest.fail("it was trained first"))
    file = study.parent / "twin ü.toml"
    assert main_of(["control", str(file), "--out", str(study)]) == 2
    assert "exists already" in capsys.readouterr().err
    other = study.parent / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    assert main_of(["control", str(file), "--out", str(other), "--force"]) == 2
    assert "is no folder of a control study" in capsys.readouterr().err and (other / "thesis.txt").read_text()


def test_an_earlier_study_stays_until_the_new_one_stands(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(study: Any) -> str:
        raise OSError(28, "No space left on device")

    earlier = tmp_path / "study"
    shutil.copytree(study, earlier)
    monkeypatch.setattr("chiasm.api.controlling.control", lambda *own, **named: MADE[0])
    before = (earlier / "twin.json").read_bytes()
    words = ["control", str(study.parent / "twin ü.toml"), "--out", str(earlier), "--force"]
    with monkeypatch.context() as broken:
        broken.setattr("chiasm.api.controlling.render_twin", full)
        assert main_of(words) == 2
    assert (earlier / "twin.json").read_bytes() == before
    (earlier / "twin.json").write_text("{}")
    assert main_of(words) == 0
    assert (earlier / "twin.json").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["study"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"twin": "glucos"}, "did you mean 'glucose'"),
        ({}, "'twin' names one of linear"),
        ({"twin": "metabolic", "gaol": {}}, "there is no key 'gaol', did you mean goal?"),
        ({"twin": "metabolic", "dose": {"mots": 3}}, "there is no key 'mots' of [dose], did you mean most?"),
        ({"twin": "metabolic", "dose": {"least": 3, "most": 3}}, "the range of a dose from 3 to 3 is empty"),
        ({"twin": "glucose", "dose": {"least": -5}}, "doses from -5 to 10 of insulin (U/h) hold some that cannot be"),
        ({"twin": "metabolic", "dose": {"rise": 0.1, "increment": 0.5}}, "so that no dose could ever rise"),
        ({"twin": "metabolic", "dose": {"least": [0, 0], "most": [1, 1], "rise": [0, 0], "increment": [0, 0]}},
         "limits are of 2 doses and the simulator gives 1"),
        ({"twin": "metabolic", "dose": {"unit": "mg"}}, "[dose] is in 'mg', and the twin's inflow is in 'mM/h'"),
        ({"twin": "compartment", "goal": {"unit": "mmol/L"}}, "[goal] is in 'mmol/L', and the twin's concentration"),
        ({"twin": "metabolic", "goal": {"of": "D"}}, "the measurement 'D' is not there: it is one of S, A, B, C"),
        ({"twin": "compartment", "goal": {"over": "concentration"}}, "'over' is of a goal of kind 'ratio'"),
        ({"twin": "glucose", "patients": {"spread": 0.5}}, "are named and not drawn: leave 'spread' out"),
        ({"twin": "metabolic", "goal": {"low": 2, "high": 1}}, "the range from 2 to 1 is empty"),
        ({"twin": "glucose", "goal": {"very_low": 90}}, "very low is below 90, and low below 70"),
        ({"twin": "metabolic", "goal": {"kind": "risk"}}, "is of blood glucose in mg/dL"),
        ({"twin": "metabolic", "patients": {"train": ["a"]}}, "are drawn and have no names: say how many"),
        ({"twin": "metabolic", "patients": {"test": 0}}, "patients are 1 to 1,000 on each side"),
        ({"twin": "metabolic", "parameters": {"tigth": 1}}, "has no parameter 'tigth'"),
        ({"twin": "metabolic", "parameters": {"tight": -1}}, "the parameter 'tight' is not above 0"),
        ({"twin": "predator-prey", "parameters": {"move": 3}}, "'move' is a chance, and above 1"),
        ({"twin": "metabolic", "training": {"epochs": 0}}, "the key 'epochs' of [training] is wrong"),
        ({"twin": "metabolic", "training": "all"}, "the key 'training' is wrong"),
        ({"twin": "glucose", "patients": {"train": ["adult#011"]}}, "there is no patient of that name among the 30"),
        ({"twin": "glucose", "patients": {"train": ["adult"], "test": ["adult#003"]}}, "1 of the patients are trained"),
        ({"twin": "glucose", "patients": {"train": []}}, "no patient is named"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        made_settings(given, "twin.toml")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "odd.toml").write_text("twin = [")
    for name, said in (("empty.toml", "the file is empty"), ("odd.toml", "is not TOML"), ("none.toml", "no such file")):
        assert main_of(["control", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
        told = capsys.readouterr().err
        assert said in told and "Traceback" not in told and not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder that nobody can write to")
def test_a_place_that_is_no_disk_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions of /proc say that the superuser may write there, and nobody can."""

    def trained(*args: object, **more: object) -> None:
        raise AssertionError("a controller was trained")

    monkeypatch.setattr(controlling, "control", trained)
    (tmp_path / "twin.toml").write_text('twin = "glucose"')
    assert main_of(["control", str(tmp_path / "twin.toml"), "--out", "/proc/study"]) == 2
    assert "nothing can be written in 'proc'" in capsys.readouterr().err


def test_train_and_test_share_neither_patient_nor_scenario(tmp_path: Path) -> None:
    (tmp_path / "twin.toml").write_text('twin = "glucose"')
    own = read_settings(tmp_path / "twin.toml")
    assert not {*own.train.patients} & {*own.test.patients} and len(own.test.patients) == 10
    epochs = range(own.schedule.first_seed, own.schedule.first_seed + own.schedule.epochs)
    assert not {*own.tests} & {*epochs, *own.schedule.checks}


def test_a_course_that_never_moves_or_lies_far_off_is_drawn() -> None:
    for value in (0.0, 1e6):
        own = {
            f"{name}_{end}": [value] * (3 if name == "value" else 2)
            for name in ("value", "dose")
            for end in ("low", "middle", "high")
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            axes = draw_twin({"network": own}, "x", "dose", 0.0, 0.4, 0.6).axes[0]
        bottom, top = axes.get_ylim()
        assert bottom < 0.4 and top > 0.6


def test_a_metamodel_is_told_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.dynamics.twins.metamodel.EPOCHS", 3)
    study = {"twin": "linear", "patients": {"train": 2, "test": 2}, "test": {"steps": 4, "scenarios": 1}}
    found = chiasm.control({**study, "training": {"steps": 10, "epochs": 1, "through": "metamodel"}})
    error = found.document["trained"]["metamodel_error"]
    assert list(error) == ["place", "speed"] and all(own > 0 for own in error.values())
    assert f"place {error['place']:.3f}, speed {error['speed']:.3f}" in found.sentences[-1]


@pytest.mark.parametrize("seed", [0, 111, 9_999])
def test_no_epoch_of_any_seed_has_a_scenario_of_its_tests(seed: int) -> None:
    own = made_settings(
        {"twin": "compartment", "seed": seed, "training": {"epochs": 5_000}, "test": {"scenarios": 100}}
    )
    epochs = range(own.schedule.first_seed - 20, own.schedule.first_seed + own.schedule.epochs)
    assert not {*own.tests} & {*epochs, *own.schedule.checks}
