"""chiasm models in MLflow: a flavour that keeps the model folder as it is, and executes nothing when it is loaded.

MLflow's usual way for a model of one's own is a pickle of Python objects, which runs code when it is opened. Here the
folder of MLflow holds the model folder itself, in `model/`: safetensors and JSON with their hashes, and a signature if
it was signed. `load_model` opens that and nothing else.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.artifact import ArtifactError, Given, holds_model, identity, load, whole_folder
from chiasm.fitting.model import FittedModel
from chiasm.recipes import registry
from chiasm.sharing.flavoured import FLAVOUR, INSIDE, blocks_of, copy_of, described, patients_of
from chiasm.sharing.tracking_place import TrackingPlace, told_plainly, tracking_place, without_telemetry

__all__ = ["FLAVOUR", "Logged", "load_model", "log_model", "save_model"]

Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Logged:
    """Where a model was logged: its address, and its version in the registry ("" where it has no name there)."""

    uri: str
    version: str = ""


def save_model(model: FittedModel | Place, path: Place) -> Path:
    """Write a model, or a model folder as it is, as a folder of MLflow.

    `MLmodel` describes it and has the signature of what it reads; `requirements.txt` names the release of chiasm. No
    environment is looked at, and no file of the current folder is taken.

    Args:
        model: a fitted model, or the path of a model folder, whose files are copied byte for byte.
        path: a folder that is not there yet.

    Raises:
        ArtifactError: the path exists, or the folder holds no sound model.
        Unsupported: mlflow is not installed, or two columns would have one name.
    """
    without_telemetry()
    release = version("chiasm")
    out = Path(path)
    if out.exists():
        raise ArtifactError(f"'{out.name}' exists: choose another folder for the model of MLflow")
    opened = _opened(model)
    with whole_folder(out) as staging:
        if isinstance(model, FittedModel):
            model.save(staging / INSIDE)
        else:
            copy_of(Path(model), staging / INSIDE)
        described(opened, release, identity(staging / INSIDE)).save(str(staging / "MLmodel"))
        (staging / "requirements.txt").write_text(f"chiasm=={release}\n", encoding="utf-8")
    return out


def log_model(
    model: FittedModel | Place,
    name: str = "model",
    *,
    to: Place | TrackingPlace | None = None,
    run: str | None = None,
    registered: str | None = None,
    experiment: str = "chiasm",
) -> Logged:
    """Write a model to MLflow, and give it a name in the registry where one is asked for.

    Args:
        model: a fitted model, or the path of a model folder.
        name: what MLflow lists it as.
        to: a folder, an address of MLflow, or None for that in `MLFLOW_TRACKING_URI`.
        run: the run that it belongs to, as `track` returns it.
        registered: its name in the registry, which makes it the next version there.

    Raises:
        Unsupported: mlflow is not installed, or two columns would have one name.
        TrackingError: the place cannot be opened or written.
        ArtifactError: the folder holds no sound model.
    """
    place = to if isinstance(to, TrackingPlace) else tracking_place(to, experiment)
    with tempfile.TemporaryDirectory() as folder, told_plainly(place.shown):
        made = save_model(model, Path(folder) / "made")
        entry = place.client.create_logged_model(place.experiment, name=name, source_run_id=run, model_type=FLAVOUR)
        number = entry.model_id
        try:
            place.client.log_model_artifacts(number, str(made))
        except BaseException:
            place.client.finalize_logged_model(number, "FAILED")
            raise
        place.client.finalize_logged_model(number, "READY")
        uri = f"models:/{number}"
        return Logged(uri, _register(place, registered, entry, run) if registered else "")


def load_model(
    uri: Place, *, to: Place | TrackingPlace | None = None, trusted: Sequence[Given] | None = None
) -> FittedModel:
    """Open a model that lies in MLflow, or a folder of MLflow. Nothing in it is executed.

    Only `model/` is opened, with its hashes: what `MLmodel` says of modules, code and environments is not read, where
    `mlflow.pyfunc.load_model` imports what it names. The hashes find damage; who may write there may write them too.

    Args:
        uri: `models:/name/version`, `models:/m-...`, `runs:/id/model`, or the path of a folder.
        to: the place of MLflow, as for `log_model`.
        trusted: public keys, one of which has to have signed the model, as for `chiasm.load_model`.

    Raises:
        ArtifactError: there is no model of chiasm, it is damaged, or no trusted key signed it.
        TrackingError: the place cannot be opened.
    """
    folder = Path(uri)
    if folder.is_dir():
        return _opened(_inside(folder), trusted)
    place = to if isinstance(to, TrackingPlace) else tracking_place(to)
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as kept, told_plainly(place.shown):
        source = _source_of(place, os.fspath(uri))
        got = download_artifacts(artifact_uri=source, dst_path=kept, tracking_uri=place.uri)
        return _opened(_inside(Path(got)), trusted)


def _source_of(place: TrackingPlace, uri: str) -> str:
    """Look up where the files of a model lie; MLflow's own look-up asks the place that it was last told of."""
    run, model = re.fullmatch(r"runs:/([^/]+)/(.+)", uri), re.fullmatch(r"models:/([^/@]+)(?:([/@])([^/@]+))?", uri)
    if run is not None:
        return f"{str(place.client.get_run(run[1]).info.artifact_uri).rstrip('/')}/{run[2]}"
    if model is None:
        raise ArtifactError(f"'{uri}' is no model of MLflow: name models:/NAME/VERSION, runs:/RUN/model or a folder")
    name, sign, which = model.groups()
    if not sign:
        return str(place.client.get_logged_model(name).artifact_location)
    found = place.client.get_model_version_by_alias if sign == "@" else place.client.get_model_version
    return str(found(name, which).source)


def _inside(folder: Path) -> Path:
    inside = folder / INSIDE
    if not holds_model(inside):
        raise ArtifactError(f"'{folder.name}' holds no model of chiasm in '{INSIDE}/'")
    return inside


def _opened(model: FittedModel | Place, trusted: Sequence[Given] | None = None) -> FittedModel:
    if isinstance(model, FittedModel):
        return model
    found = load(os.fspath(model), bring=registry.bring, trusted=trusted)
    if not isinstance(found, FittedModel):
        raise ArtifactError(f"'{Path(model).name}' holds a model of another kind: MLflow takes a fitted recipe")
    return found


def _register(place: TrackingPlace, name: str, entry: Any, run: str | None) -> str:
    from mlflow.exceptions import MlflowException

    try:
        place.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # By its place and not its address, which the registry would look for at whatever place MLflow was last told of.
    # Its number is told to a server alone: a database would look there too, and only to find a run.
    number = entry.model_id if place.is_server else None
    version = place.client.create_model_version(name, source=entry.artifact_location, run_id=run, model_id=number)
    return str(version.version)


@dataclass(frozen=True)
class _OneTable:
    """What MLflow's `pyfunc` and its server ask: predictions for one table whose columns are `modality.column`."""

    model: FittedModel

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Predict a row for each patient; a modality whose cells all lack is absent."""
        from chiasm.cohort import cohort_from_frames

        blocks = blocks_of(frame, self.model)
        kinds = {name: self.model.kinds[name] for name in blocks}
        found = self.model.predict(cohort_from_frames(patients_of(frame), blocks, kinds=kinds))
        return found.set_axis(frame.index, axis=0)


def _load_pyfunc(path: str) -> _OneTable:
    """Open the model folder for MLflow's `pyfunc`, which calls this by its name."""
    return _OneTable(_opened(Path(path)))
