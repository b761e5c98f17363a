"""Hostile model folders: each is refused in one sentence, at once, in little memory, and nothing in it is executed."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import hostile_folders
import pytest

from archived import ARCHIVE
from chiasm import api
from young_process import run_young

MODELS = ARCHIVE / "0.1.0" / "models"
MOST_SECONDS, MOST_MEGABYTES = 2.0, 200
OPENING = """\
import json, os, resource, signal, sys, time
import chiasm
from chiasm.artifact import ArtifactError
signal.alarm(100)
sys.dont_write_bytecode = True
chiasm.load_model(sys.argv[1]), chiasm.inspect_model(sys.argv[1])  # what is lazy is imported and evaluated now
chr(27).encode("unicode_escape")  # a codec is imported when it is first used
{ways}
events = []
def note(event, arguments):
    if event in {{"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect",
                  "pickle.find_class", "marshal.loads", "ctypes.dlopen", "os.remove", "os.rename", "exec", "import"}}:
        events.append(event)
def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1024
sys.addaudithook(note)
outcomes = {{}}
for place in sys.argv[2:]:
    for way, opened in WAYS.items():
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the highest memory of the process is what it is now
        before, began = memory("VmRSS"), time.process_time()
        events.clear()
        try:
            opened(place)
            said = "opened"
        except ArtifactError as error:
            said = "refused: " + str(error)
        except BaseException as error:
            said = type(error).__name__ + ": " + str(error)[:200]
        outcomes[place + " " + way] = [said, time.process_time() - began, memory("VmHWM") - before, list(events)]
print(json.dumps(outcomes))
"""
WAYS = 'WAYS = {"load": chiasm.load_model, "inspect": chiasm.inspect_model}'
SEEN_BY_LOADING = {  # what only the classes of the parts, or all numbers, show
    "code as kind", "kind of another module", "kind that is a list", "kind of another part", "models in models",
    "part where another belongs", "version of the future", "dtype of positions", "NaN in a weight",
    "infinity in a weight",
}  # fmt: skip

IMPORTING = {"import", "marshal.loads", "exec"}
BRINGS = {"code as kind", "kind of another module"}  # unknown kinds are looked for in our own modules of recipes

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each way of opening did with each hostile folder, by "name way"."""
    root = tmp_path_factory.mktemp("hostile")
    sound, other = root / "sound", root / "other"
    shutil.copytree(MODELS / "03-single-survival", sound)
    shutil.copytree(MODELS / "02-single-regression", other)
    api.sign_model(other, api.new_keys(root / "key").private)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGNED_ELSEWHERE", str(other / "signature.json"))
        places = hostile_folders.make_all(sound, root)
    done = run_young(OPENING.format(ways=WAYS), str(sound), *map(str, places.values()))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    canaries = {name: (place.parent / "canary").exists() for name, place in places.items()}
    return {
        f"{name} {way}": [*found[f"{place} {way}"], canaries[name]]
        for name, place in places.items()
        for way in ("load", "inspect")
    }


def test_there_are_forty_and_the_canary_would_be_seen(tmp_path: Path) -> None:
    assert len(hostile_folders.HOSTILE) >= 40
    folder = tmp_path / "model"
    folder.mkdir()
    pickle.loads(hostile_folders.bomb(folder))
    assert hostile_folders.canary_of(folder).exists()


@pytest.mark.parametrize("name", hostile_folders.HOSTILE)
def test_a_hostile_folder_is_refused_in_a_sentence(name: str, outcomes: dict[str, Any]) -> None:
    for way in ("load", "inspect"):
        said, seconds, megabytes, events, canary = outcomes[f"{name} {way}"]
        assert not canary
        assert set(events) <= (IMPORTING if name in BRINGS else set()), events
        assert seconds < MOST_SECONDS and megabytes < MOST_MEGABYTES, (seconds, megabytes)
        if way == "inspect" and name in SEEN_BY_LOADING:
            assert said == "opened" or said.startswith("refused: "), said
            continue
        assert said.startswith("refused: ") and hostile_folders.HOSTILE[name][1] in said, said
        assert "\n" not in said and "\x1b" not in said and len(said) < 400
