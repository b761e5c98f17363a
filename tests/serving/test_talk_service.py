"""A synthetic patient over HTTP: written and spoken turns, the score, whose conversation it is, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from chiasm.api.conversing import EXAMPLE
from chiasm.language.conversation.persona import read_persona
from chiasm.language.conversation.speech import read_wav, write_wav
from chiasm.serving.faults import Refused
from chiasm.serving.talk.routes import FILES, TalkPage
from chiasm.serving.talk.talks import EACH, IDLE_SECONDS, MOST, Talks
from good_talk import GOOD
from served_models import asked

WAV = {"Content-Type": "audio/wav"}
JSON = {"Content-Type": "application/json"}
TONE = write_wav(np.full(800, 0.25, dtype=np.float32), 16_000)


def listener(recording: bytes) -> str:
    sound, _ = read_wav(recording)
    return "Do you smoke?" if sound[0] > 0.1 else " "


def voice(words: str) -> bytes:
    return words.encode()


@pytest.fixture(scope="module")
def client(served_folder: Path) -> Iterator[TestClient]:
    page = TalkPage(Talks(read_persona(EXAMPLE), listener, voice))
    with asked([served_folder], extensions=[page]) as own:
        yield own


def begun(client: TestClient) -> str:
    return str(client.post("/talk/begin").json()["id"])


def test_ten_turns_in_writing_are_scored_and_then_it_is_over(client: TestClient) -> None:
    first = client.post("/talk/begin").json()
    assert first["hears"] and base64.b64decode(first["sound"]).decode() == first["says"]
    for said in GOOD:
        turn = client.post(f"/talk/{first['id']}/say", json={"text": said}).json()
        assert turn["heard"] == said and set(turn) == {"heard", "says", "sound"}, "no state is told before the end"
    ended = client.post(f"/talk/{first['id']}/end").json()
    assert ended["score"]["points"] == 17 and len(ended["turns"]) == 10
    assert client.post(f"/talk/{first['id']}/say", json={"text": "Hello"}).status_code == 404


def test_half_a_sign_is_heard_and_told_again(client: TestClient) -> None:
    name = begun(client)
    turn = client.post(f"/talk/{name}/say", content=rb'{"text": "Do you smoke \ud800?"}', headers=JSON)
    assert turn.status_code == 200 and turn.json()["heard"] == "Do you smoke \ud800?"
    assert len(client.post(f"/talk/{name}/end").json()["turns"]) == 1


def test_a_recording_is_heard_and_answered_aloud(client: TestClient) -> None:
    turn = client.post(f"/talk/{begun(client)}/say", content=TONE, headers=WAV).json()
    assert turn["heard"] == "Do you smoke?" and base64.b64decode(turn["sound"]).decode() == turn["says"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"no sound", WAV, 422, "recording"),
        (write_wav(np.zeros(800, dtype=np.float32), 16_000), WAV, 422, "no word was heard"),
        (b'{"text": ""}', {}, 422, "nothing was said"),
        (b'{"text": 7}', {}, 422, "as JSON"),
        (b'{"words": "a"}', {}, 422, "as JSON"),
        (b'{"text": "a", "text": "b"}', {}, 422, "twice"),
        (b"{", {}, 400, "no JSON"),
    ],
)
def test_what_cannot_be_heard_is_refused(
    client: TestClient, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    found = client.post(f"/talk/{begun(client)}/say", content=content, headers=headers)
    assert found.status_code == status and words in found.json()["error"]["message"]


def test_the_page_may_use_the_microphone_and_no_other_page_may(client: TestClient) -> None:
    for address in FILES:
        found = client.get(address)
        assert found.status_code == 200 and "microphone=(self)" in found.headers["permissions-policy"]
        assert "script-src 'self'" in found.headers["content-security-policy"]
    assert "microphone=()" in client.get("/").headers["permissions-policy"]
    assert client.get("/talk").text.count('<form id="access"') == 1


def test_with_tokens_the_page_is_open_and_a_conversation_is_its_owners(served_folder: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    roles = {"a": "predict", "b": "predict", "c": "metrics"}
    lines = [f'[{name}]\ntoken = "{name * 24}"\nroles = ["{role}"]\n' for name, role in roles.items()]
    tokens.write_text("".join(lines))
    tokens.chmod(0o600)
    page = TalkPage(Talks(read_persona(EXAMPLE)))
    with asked([served_folder], extensions=[page], tokens=tokens) as own:
        of = {name: {"Authorization": f"Bearer {name * 24}"} for name in "abc"}
        assert own.get("/talk").status_code == 200 and own.post("/talk/begin").status_code == 401
        assert own.post("/talk/begin", headers=of["c"]).status_code == 403
        first = own.post("/talk/begin", headers=of["a"]).json()
        assert first["sound"] is None and not first["hears"]
        place = f"/talk/{first['id']}/say"
        assert own.post(place, json={"text": "Hello"}, headers=of["b"]).status_code == 404
        assert own.post(place, json={"text": "Hello"}, headers=of["a"]).status_code == 200
        found = own.post(place, content=TONE, headers={**of["a"], **WAV})
        assert found.status_code == 422 and "hears no recordings" in found.json()["error"]["message"]


def test_so_many_are_open_and_one_that_is_idle_ends() -> None:
    now = [0.0]
    talks = Talks(read_persona(EXAMPLE), clock=lambda: now[0])
    names = [talks.begin(f"caller {k // EACH}")[0] for k in range(MOST)]
    assert len(set(names)) == MOST
    with pytest.raises(Refused, match="try again later"):
        talks.begin("another")
    now[0] = IDLE_SECONDS - 1
    talks.say(names[0], "caller 0", "Hello")
    now[0] = IDLE_SECONDS + 1
    talks.begin("another")
    talks.say(names[0], "caller 0", "Hello")
    with pytest.raises(Refused, match="has ended"):
        talks.say(names[1], "caller 0", "Hello")


def test_one_caller_does_not_take_the_places_of_all() -> None:
    talks = Talks(read_persona(EXAMPLE))
    names = [talks.begin("a")[0] for _ in range(EACH)]
    talks.say(names[0], "a", "Hello")
    names.append(talks.begin("a")[0])  # as after a page was loaded again: one in which nothing was said makes room
    with pytest.raises(Refused, match="has ended"):
        talks.say(names[1], "a", "Hello")
    for name in names[2:]:
        talks.say(name, "a", "Hello")
    with pytest.raises(Refused, match="of yours are open") as raised:
        talks.begin("a")
    assert raised.value.status == 429 and talks.begin("b")[0] not in names


def test_a_voice_that_fails_takes_nothing_from_a_turn(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(words: str) -> bytes:
        raise RuntimeError(words)

    talks = Talks(read_persona(EXAMPLE), voice=broken)
    name, sound = talks.begin("a")
    assert sound is None
    turn, sound = talks.say(name, "a", "Do you smoke?")
    conversation, _ = talks.score(name, "a")
    assert sound is None and conversation.turns == [turn]
    told = capsys.readouterr().err
    assert "RuntimeError" in told and turn.says not in told
