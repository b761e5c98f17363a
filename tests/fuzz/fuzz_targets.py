"""What is fuzzed: for each kind of file a few sound ones, small, and how chiasm reads one."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import fuzz_paths  # noqa: F401
import numpy as np
import pandas as pd
from fuzz_cohorts import COHORTS
from fuzz_files import FILES
from fuzz_recordings import RECORDINGS
from fuzz_target import Target, texts

from archived import ARCHIVE
from chiasm import artifact
from chiasm.artifact.files import digest, sha256
from chiasm.artifact.keys import new_keys, trusted_keys
from chiasm.evaluation.trial import TrialError, load_trial
from chiasm.models.inspection import inspected
from chiasm.models.inspection_text import text_of
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


SMALL = ARCHIVE / "0.1.0" / "models" / "03-single-survival"


def signatures(folder: Path) -> list[bytes]:
    """Of a folder without a card."""
    private, _, _ = new_keys(folder / "key", None)
    shutil.copytree(SMALL, folder / "signed")
    artifact.sign(folder / "signed", artifact.private_key(private, None))
    return [(folder / "signed" / "signature.json").read_bytes()]


def signed(path: Path) -> None:
    """A mangled signature, of a folder that is asked for a key which did not make it."""
    folder = path.parent / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SMALL, folder)
    shutil.copyfile(path, folder / "signature.json")
    inspected(folder)


def looked_into(path: Path) -> None:
    """A mangled description as `inspect` sees it, which knows no class."""
    folder = path.parent / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SMALL, folder)
    try:
        document = json.loads(path.read_bytes())
        document["sha256"] = digest(document)
        (folder / "model.json").write_text(json.dumps(document))
    except (ValueError, TypeError, RecursionError):
        shutil.copyfile(path, folder / "model.json")
    told = inspected(folder)
    text_of(told), json.dumps(told, allow_nan=False)


def keys(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in new_keys(folder / "key", None)[:2]]


def key(path: Path) -> None:
    """As a key to trust, and as one to sign with; what is no key is a `ValueError`, whose words are ours."""
    path.chmod(0o600)
    for read in (lambda: trusted_keys([path]), lambda: artifact.private_key(path, None)):
        try:
            read()
        except ValueError as error:
            if "key" not in str(error):
                raise


def checkpoints(folder: Path) -> list[bytes]:
    artifact.save_checkpoint(folder / "c.safetensors", {"step": 3, "state": {"a": np.arange(6.0), "b": [True, None]}})
    return [(folder / "c.safetensors").read_bytes()]


def trial(path: Path) -> None:
    """A mangled trial.json beside predictions that are none; how it is refused is not a `REFUSALS`."""
    run = path.parent / "run"
    run.mkdir(exist_ok=True)
    for name in ("predictions.parquet", "outcomes.parquet"):
        pd.DataFrame({"recipe": ["r"], "repeat": 0, "fold": "0", "patient": "p", "pattern": "m"}).to_parquet(run / name)
    shutil.copyfile(path, run / "trial.json")
    try:
        load_trial(run)
    except TrialError as error:
        raise artifact.ArtifactError(str(error)) from error


ESTIMATE = {"mean": 0.5, "low": None, "high": 0.75}
TRIAL = {
    "schema": 2,
    "cohort": {"name": "c", "patients": 1, "target": {"kind": "regression", "columns": ["y"]}, "modalities": {}},
    "protocol": {"test_folds": 1, "draws": 100, "seed": 0},
    "recipes": [{"name": "r", "metric": "r2", **ESTIMATE, "metrics": {"r2": ESTIMATE}}],
    "findings": [], "contrasts": [], "verdict": None,
}  # fmt: skip

TARGETS: dict[str, Target] = {
    **FILES,
    **RECORDINGS,
    **COHORTS,
    "model": models("03-single-survival", "model.json"),
    "weights": models("27-healnet-classification", "weights.safetensors"),
    "signature": Target(".json", signatures, signed),
    "inspect": Target(".json", texts((SMALL / "model.json").read_bytes()), looked_into),
    "key": Target(".pem", keys, key),
    "checkpoint": Target(".safetensors", checkpoints, artifact.load_checkpoint),
    "trial": Target(".json", texts(json.dumps(TRIAL).encode()), trial),
    "network": models("27-healnet-classification", "model.json"),
}
