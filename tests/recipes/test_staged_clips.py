"""`staged` on clips: what was said, the sound and the film of each patient, as real files, from check to verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from tiny_models import tiny_models

soundfile = pytest.importorskip("soundfile")
av = pytest.importorskip("av")
HZ, PATIENTS = 16_000, 48
MANIFEST = """name = "clips"
[patients]
table = "patients.csv"
id = "clip"
[target]
kind = "classification"
column = "praise"
[modalities.audio]
kind = "audio"
path = "sound/{{id}}.wav"
[modalities.note]
kind = "text"
column = "said"
encoder = "hf:{models}/bert"
[modalities.video]
kind = "video"
path = "film/{{id}}.mp4"
encoder = "frames:hz=2,encoder=patches:size=8,patch=8"
"""


def film(path: Path, pictures: np.ndarray) -> None:
    """Write a film of ten frames a second, pictures `(T, 48, 64, 3)` uint8."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)


def clips(folder: Path, models: Path) -> Path:
    """Clips of a second, of which note, pitch and brightness each say a part of the outcome; an eighth lacks each."""
    rng = np.random.default_rng(0)
    for name in ("sound", "film"):
        (folder / name).mkdir(parents=True)
    rows = []
    for k in range(PATIENTS):
        clip, praise = f"c{k:02d}", k % 2
        lacks = k // 2 % 8
        number = [("cough", "no", "and")[k // 3**place % 3] for place in range(4)]  # no two notes are the same
        words = [*number, *["fever"] * (2 * praise)]
        rows.append((clip, praise, "" if lacks == 0 else " ".join(words)))
        if lacks != 1:
            time = np.arange(HZ) / HZ
            tone = np.sin(2 * np.pi * (300 + 200 * praise + 30 * rng.normal()) * time)
            soundfile.write(folder / "sound" / f"{clip}.wav", 0.3 * tone + 0.05 * rng.normal(size=HZ), HZ)
        if lacks != 2:
            light = np.clip(90 + 50 * praise + 20 * rng.normal(size=(10, 1, 1, 1)), 0, 255)
            film(folder / "film" / f"{clip}.mp4", np.broadcast_to(light, (10, 48, 64, 3)).astype(np.uint8))
    pd.DataFrame(rows, columns=["clip", "praise", "said"]).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(MANIFEST.format(models=models))
    return folder / "cohort.toml"


@pytest.mark.nightly
def test_text_sound_and_film_are_trained_stage_by_stage_in_one_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path / "store"))
    manifest = clips(tmp_path / "clips", tiny_models(tmp_path / "models"))
    assert not [own for own in chiasm.check_cohort(manifest) if own.severity == "error"]
    cohort = chiasm.encode(chiasm.open_cohort(manifest)).cohort
    lacking = (~cohort.present).sum(0).tolist()
    assert cohort.modalities == ("audio", "note", "video") and lacking == [6, 6, 6]
    name = "staged:epochs=6,unimodal=0.34,rebuild=0.34,latent_width=8"
    trial = chiasm.evaluate(
        cohort, [name, "late-fusion"], chiasm.Protocol(folds=2, repeats=1, draws=100), out=tmp_path / "run", jobs=1
    )
    table = trial.table()
    assert table["recipe"].str.startswith("staged").any() and np.isfinite(table["mean"]).all()
    notes = chiasm.fit(cohort, name, seed=0).predictor.notes
    phases = ("rebuild", "alone", "joint")
    taken = [notes[f"steps of {phase}"] for phase in phases]
    assert all(own > 0 for own in taken) and sum(taken) == notes["steps taken"] <= notes["step budget"]
