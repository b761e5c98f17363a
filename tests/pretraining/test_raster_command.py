"""`chiasm pretrain` on images: from files to a folder that a manifest names, a page, and what a check then finds."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_rasters import waves, write_images
from PIL import Image

import chiasm
from chiasm import artifact
from command_line import Run

TINY = "vit:width=16,depth=1,heads=2,patch=4"
ITEMS = waves(60, 1, 8, 2)


def png_head(width: int, height: int) -> bytes:
    """A PNG of one grey channel that says its size and holds no pixel."""
    parts = [(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)), (b"IDAT", b"")]
    chunks = (
        struct.pack(">I", len(own)) + name + own + struct.pack(">I", zlib.crc32(name + own)) for name, own in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_the_command_leaves_a_folder_that_tells_no_patient_and_is_found_again(tmp_path: Path, run: Run) -> None:
    path = write_images(tmp_path / "cohort", ITEMS)
    words = ["pretrain", str(path), "--out", str(tmp_path / "enc"), "--epochs", "2", "--network", TINY, "--batch", "16"]
    told = json.loads(run(*words, "--json", "--page", str(tmp_path / "page.html")).out)
    assert told["patients"] == 60 and told["held_out_patients"] == 6 and told["method"] == "mae"
    assert told["network"]["size"] == 8 and told["encoder"] == f"raster:weights={tmp_path / 'enc'}"
    stored = (tmp_path / "enc" / "model.json").read_text(encoding="utf-8")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "p001" not in stored + page and f"{told['held_out_loss']:.3f}" in page and "knows nothing" in page
    assert "0.75" in page and "-1.0" not in page and "Share that differs" not in page  # what was taken, and no more
    for items, finds in ((ITEMS, True), (waves(60, 1, 8, 2, seed=9), False)):
        other = write_images(tmp_path / f"other-{finds}", items, f"raster:weights={tmp_path / 'enc'}")
        found = [own for own in chiasm.check_cohort(other) if own.finding == "pretrained-on-cohort"]
        assert [own.leak for own in found] == [True] * finds
        assert all("60 of the 60" in own.what and "pretrained-raster" in own.fix for own in found)
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_collapse_of_what_is_compared_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_images(tmp_path / "cohort", ITEMS)
    monkeypatch.setattr("chiasm.pretraining.rasters.byol.OwnLatent.compared", lambda learner, x: x.flatten(1) * 0 + 1)
    found = chiasm.pretrain(path, tmp_path / "enc", method="byol", network=TINY, epochs=1, batch=32, size=8)
    assert found.curve["compared"].tolist() == [0.0]
    assert any("almost one vector for all items (0.000" in own for own in found.sentences)
    page = found.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "share that differs" in page and "almost one vector" in page


def test_broken_flat_and_tiny_images_are_counted_and_said(tmp_path: Path, run: Run) -> None:
    items = ITEMS.copy()
    items[:4] = 7.0
    items[3] = 9.0
    path = write_images(tmp_path / "cohort", items)
    (path.parent / "png" / "p010.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((1, 2), np.uint8)).save(path.parent / "png" / "p011.png")
    (path.parent / "png" / "p012.png").write_bytes(png_head(40_000, 40_000))
    said = run("pretrain", str(path), "--out", str(tmp_path / "enc"), "--epochs", "1", "--network", TINY, "--size", "8")
    assert said.code == 0 and "of one colour" in said.err
    assert "1 x 2 pixels" in said.err and "1,600,000,000 values, over the limit" in said.err
    assert "57 patients" in said.out
    assert artifact.load(tmp_path / "enc").facts["flat_items"] == 2, "three alike are read once"


def test_what_does_not_go_together_is_said_before_anything_is_read(tmp_path: Path) -> None:
    path, out = write_images(tmp_path / "cohort", ITEMS), tmp_path / "enc"
    for more, words in (
        ({"pack": 2}, "'pack' is an option of sequences"),
        ({"longest": 100}, "'longest' is an option of sequences"),
        ({"method": "causal", "modality": "image"}, "are not pretrained by 'causal'"),
        ({"reading": "size=8"}, "'size' is no option of reading"),
        ({"text": "notes"}, "'mae' reads nothing beside the modality"),
        ({"network": "vit:channels=3"}, "rasters have channels=1, and the network says channels=3"),
        ({"precision": "16"}, "precision is 32 or bf16"),
        ({"steps": 0}, "0 steps: one at least is needed"),
    ):
        with pytest.raises(ValueError, match=words):
            chiasm.pretrain(path, out, epochs=1, **more)  # type: ignore[arg-type]
    with pytest.raises(chiasm.Unsupported, match="there is no network 'gru' for rasters"):
        chiasm.pretrain(path, out, epochs=1, network="gru")


@pytest.mark.nightly
def test_in_a_trial_images_of_tested_patients_change_no_weight(tmp_path: Path) -> None:
    """Of two cohorts that differ in some tested patients' images, the others are predicted alike, to the bit."""
    fold = ["0" if k < 20 else "train" for k in range(60)]
    other, found = ITEMS.copy(), []
    other[10:20] = other[10:20, :, ::-1]
    for name, items in (("one", ITEMS), ("other", other)):
        encoder = "pretrained-raster:epochs=1,size=8,patch=4,dim=8,depth=1,heads=2"
        path = write_images(tmp_path / name, items, encoder, fold=fold)
        trial = chiasm.evaluate(path, ["single:image"], jobs=1)
        predicted = trial.predictions[trial.predictions["recipe"] == "single:image"].set_index("patient")
        found.append(predicted[[name for name in predicted.columns if name.startswith("p_")]].sort_index())
    assert found[0].iloc[:10].equals(found[1].iloc[:10])
    assert not found[0].iloc[10:].equals(found[1].iloc[10:])


@pytest.mark.nightly
def test_a_folder_is_an_encoder_of_a_model(tmp_path: Path) -> None:
    chiasm.pretrain(write_images(tmp_path / "cohort", ITEMS), tmp_path / "enc", epochs=1, network=TINY)
    encoder = f"raster:weights={tmp_path / 'enc'},level=token"
    path = write_images(tmp_path / "other", waves(60, 1, 8, 2, seed=9), encoder)
    model = chiasm.fit(chiasm.open_cohort(path), "single:image")
    assert len(model.predict(chiasm.open_cohort(path))) == 60


@pytest.mark.nightly
def test_a_command_that_was_killed_is_resumed_to_the_same_folder(tmp_path: Path) -> None:
    path = write_images(tmp_path / "cohort", ITEMS)
    words = [sys.executable, "-m", "chiasm", "pretrain", str(path), "--network", TINY, "--batch", "4", "--epochs", "40"]
    words += ["--patience", "40"]
    subprocess.run([*words, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    process = subprocess.Popen([*words, "--out", str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    started = time.monotonic()
    while not (tmp_path / "killed.checkpoint").exists():
        assert process.poll() is None and time.monotonic() - started < 300
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed").exists(), "it was killed before its end"
    again = [*words, "--out", str(tmp_path / "killed")]
    refused = subprocess.run(again, capture_output=True, text=True)
    assert refused.returncode == 2 and "resume it, or delete it" in refused.stderr
    subprocess.run([*again, "--resume"], check=True, capture_output=True)
    one, other = (artifact.content_of(artifact.load(tmp_path / name)) for name in ("whole", "killed"))
    assert one == other


@pytest.mark.nightly
def test_two_processes_learn_what_one_learns_to_rounding(tmp_path: Path) -> None:
    """Draws are those of one process, each takes its part of every step, odd ones too, and gradients are averaged."""
    pytest.importorskip("lightning_fabric")
    path, asked = write_images(tmp_path / "cohort", ITEMS), {"epochs": 2, "network": TINY, "batch": 15}
    one, two = (
        artifact.load(chiasm.pretrain(path, tmp_path / f"of-{n}", processes=n, **asked).folder)  # type: ignore[arg-type]
        for n in (1, 2)
    )
    for name, weights in one.weights.items():
        np.testing.assert_allclose(two.weights[name], weights, rtol=1e-4, atol=2e-5, err_msg=name)
    for row, other in zip(one.facts["curve"], two.facts["curve"], strict=True):
        assert other == pytest.approx(row, rel=1e-3)
    assert not list(tmp_path.glob("*.checkpoint*"))
    with pytest.raises(chiasm.Unsupported, match="'simclr' compares the items of a step"):
        chiasm.pretrain(path, tmp_path / "out", method="simclr", processes=2)
