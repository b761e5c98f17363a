"""What is fuzzed: for each kind of file a few sound ones, small, and how chiasm reads one."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import fuzz_paths  # noqa: F401
from fuzz_cohorts import COHORTS
from fuzz_files import FILES
from fuzz_recordings import RECORDINGS
from fuzz_target import Target, texts

from archived import ARCHIVE
from chiasm import artifact
from chiasm.artifact.files import digest, sha256
from chiasm.recipes.registry import bring


def model(name: str, file: str, path: Path) -> None:
    """A model folder of which one file is mangled, with the hashes that an attacker would give it."""
    folder = path.parent / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ARCHIVE / "0.1.0" / "models" / name, folder)
    shutil.copyfile(path, folder / file)
    try:
        document = json.loads((folder / "model.json").read_bytes())
        document["weights_sha256"] = sha256(folder / "weights.safetensors")
        document["sha256"] = digest(document)
        (folder / "model.json").write_text(json.dumps(document))
    except (ValueError, TypeError, RecursionError):
        pass  # what cannot be signed is refused for its hash
    artifact.load(folder, bring=bring)


def models(name: str, file: str) -> Target:
    sound = texts((ARCHIVE / "0.1.0" / "models" / name / file).read_bytes())
    return Target(Path(file).suffix, sound, partial(model, name, file))


TARGETS: dict[str, Target] = {
    **FILES,
    **RECORDINGS,
    **COHORTS,
    "model": models("03-single-survival", "model.json"),
    "weights": models("27-healnet-classification", "weights.safetensors"),
    "network": models("27-healnet-classification", "model.json"),
}
