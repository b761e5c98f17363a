"""Where MLflow keeps runs: an embedded database in a folder, or a server; without its telemetry."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.errors import Unsupported

DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
EXPERIMENT = "chiasm"
GIVEN = "MLFLOW_TRACKING_URI"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}
USUAL = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # else it tries a server that is not there for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""MLflow's own settings, where the user has set none."""
CHATTER = ("mlflow.store.db.utils", "alembic")


class TrackingError(ValueError):
    """Error for a place of MLflow that cannot be opened or written."""


@dataclass(frozen=True)
class TrackingPlace:
    """A place of MLflow: its address, the experiment there, and a client of it.

    Args:
        uri: what MLflow is asked for; `shown` is the same without a password.
        folder: the folder of an embedded database; None for a server.
    """

    client: Any
    experiment: str
    uri: str
    shown: str
    folder: Path | None = None

    @property
    def is_server(self) -> bool:
        """True of a server; False of a database or a folder, which is opened in this process."""
        return self.uri.lower().startswith(("http://", "https://", "databricks"))

    @property
    def look(self) -> str:
        """The command that shows what is kept here; "" for a server, which shows it itself."""
        if self.folder is None:
            return ""
        return f"MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri {shlex.quote(self.uri)}"


def tracking_place(to: str | os.PathLike[str] | None, experiment: str = EXPERIMENT) -> TrackingPlace:
    """Open a place of MLflow, and make it where it is a folder that is not there yet.

    Args:
        to: a folder for an embedded database, or an address as `https://mlflow.example.org`; None takes that of the
            environment (`MLFLOW_TRACKING_URI`).

    Raises:
        Unsupported: mlflow is not installed.
        TrackingError: no place is named, a folder holds something else, or the server does not answer.
    """
    require_mlflow()
    named = os.fspath(to) if to is not None else os.environ.get(GIVEN, "")
    if not named:
        raise TrackingError(f"no place to track in is named: name a folder or an address of MLflow, or set {GIVEN}")
    folder = None if is_address(named) else Path(named).absolute()
    if folder is not None:
        if folder.exists() and not (folder.is_dir() and (holds_tracking(folder) or not any(folder.iterdir()))):
            raise TrackingError(f"'{folder.name}' exists and is no folder of MLflow: choose another place to track in")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    uri = named if folder is None else f"sqlite:///{folder / DATABASE}"
    client_of = without_telemetry()
    with told_plainly(without_password(uri)), without_chatter():
        client = client_of(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage != "active":
            raise TrackingError(f"the experiment '{experiment}' was deleted there: restore it, or name another one")
        artifacts = None if folder is None else (folder / ARTIFACTS).as_uri()
        number = client.create_experiment(experiment, artifact_location=artifacts) if found is None else None
    return TrackingPlace(client, number or found.experiment_id, uri, without_password(uri), folder)


def require_mlflow() -> None:
    """Raise `Unsupported` with the installation command, where mlflow is missing."""
    if importlib.util.find_spec("mlflow") is None:
        raise Unsupported('tracking needs mlflow: pip install "chiasm[tracking]"')


def without_telemetry() -> Any:
    """Import MLflow's client with its telemetry off, also where MLflow was imported before."""
    os.environ.update(QUIET)
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.telemetry import set_telemetry_client

    set_telemetry_client()  # drops a client that an earlier import made
    return MlflowClient


def is_address(named: str) -> bool:
    """Tell an address of MLflow from a folder."""
    return re.match(r"[a-z][a-z0-9+.-]+://", named, re.IGNORECASE) is not None or named == "databricks"


def holds_tracking(folder: Path) -> bool:
    """Return whether a folder holds an embedded database of MLflow."""
    return (folder / DATABASE).is_file()


def without_password(uri: str) -> str:
    """Return an address without the name and the password in it, and without its query, where a database has them."""
    return re.sub(r"(://)[^/]*@", r"\1", uri).partition("?")[0]


@contextmanager
def told_plainly(shown: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into a sentence; theirs may repeat a password, or what was written."""
    try:
        yield
    except Exception as error:
        kind = type(error)
        if kind.__module__.partition(".")[0] not in ("mlflow", "sqlalchemy", "requests", "alembic", "sqlite3"):
            raise
        code = str(vars(error).get("error_code") or kind.__name__)
        if code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            said = "has not what was asked for, or does not take what it was given"
            raise TrackingError(f"MLflow at '{shown}' {said}: look for it in its list") from None
        raise TrackingError(
            f"MLflow at '{shown}' cannot be used ({code}): see that it runs and lets you write"
        ) from None


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep MLflow's and its database's words on tables that they make off the screen."""
    before: Mapping[str, int] = {name: logging.getLogger(name).level for name in CHATTER}
    try:
        for name in before:
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
