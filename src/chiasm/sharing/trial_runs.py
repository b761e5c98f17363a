"""A trial as runs of MLflow: one of the trial, below it one a recipe, with figures and no patient."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.summary import plain, write_document
from chiasm.sharing.tracking_place import TrackingPlace, told_plainly

TEXT = 500  # signs of a parameter; the whole stands in trial.json
AT_ONCE = 90  # figures, parameters or tags of one request: MLflow takes 100
NAME, PARENT, NOTE, SOURCE = "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content", "mlflow.source.name"
NOT_ESTIMABLE = "chiasm.not_estimable"


def log_trial(
    trial: Trial, place: TrackingPlace, *, write_page: Callable[[Trial, Path], Path], cohort_hash: str = ""
) -> str:
    """Write a finished trial to MLflow and return the id of its run.

    The run has the protocol as parameters; counts and the figures of the verdict; verdict, findings, page and
    `trial.json` as artifacts. Below it each recipe has a run with its options, every measure with its interval (`.low`,
    `.high`) and the primary one in each test fold. What is not estimable is named in a tag and has no figure.

    Predictions, outcomes and the guidelines that authors complete are not written, and of a path its last part: MLflow
    gets no identifier, no value of a patient, no user, no script and no place of this machine from it.

    Args:
        write_page: writes the page of a trial.
        cohort_hash: the fingerprint of the cohort, where the trial's own hash is not enough.

    Raises:
        TrackingError: MLflow refuses to write.
    """
    told = replace(trial, document=without_places(trial.document))
    with told_plainly(place.shown):
        parent = place.client.create_run(place.experiment, run_name=subject(told), tags=tags_of(told, cohort_hash))
        number = str(parent.info.run_id)
        open_runs = [number]
        try:
            record(place, number, parameters_of(told), figures_of(told))
            with tempfile.TemporaryDirectory() as folder:
                for file in artifacts_of(told, Path(folder), write_page):
                    place.client.log_artifact(number, str(file))
            for row in told.document["recipes"]:
                open_runs.append(log_recipe(row, place, number))
                place.client.set_terminated(open_runs.pop())
            place.client.set_terminated(open_runs.pop())
        finally:
            for left in open_runs:  # nobody takes half a trial for a whole one
                place.client.set_terminated(left, status="FAILED")
    return number


def log_recipe(row: Mapping[str, Any], place: TrackingPlace, parent: str) -> str:
    """Write one recipe of a trial as a run below the trial's, and return its id."""
    lacking = [name for name, own in row["metrics"].items() if own["mean"] is None]
    tags = {
        PARENT: parent,
        SOURCE: "chiasm",
        "chiasm.family": row["family"],
        "chiasm.side": row["side"],
        "chiasm.reads": ", ".join(row["reads"]),
        "chiasm.paper": row["paper"],
        "chiasm.metric": row["metric"],
        **({NOT_ESTIMABLE: ", ".join(lacking)} if lacking else {}),
    }
    run = place.client.create_run(place.experiment, run_name=str(row["name"]), tags=shortened(tags))
    number = str(run.info.run_id)
    figures = [(f"{name}{part}", own[key], 0) for name, own in row["metrics"].items() for part, key in PARTS]
    figures += [(f"fold.{row['metric']}", fold["value"], step) for step, fold in enumerate(row["folds"])]
    figures += [(key, row[key], 0) for key in ("seconds", "trained_parameters", "settings")]
    record(place, number, {"recipe": row["name"], **row["options"]}, figures)
    return number


PARTS = (("", "mean"), (".low", "low"), (".high", "high"))
Figure = tuple[str, float | None, int]


def record(place: TrackingPlace, run: str, parameters: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """Write parameters and those figures that are known, a request's worth at a time."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    known = [Metric(name, value, now, step) for name, value, step in figures if value is not None and isfinite(value)]
    texts = [Param(name, value) for name, value in shortened(parameters).items()]
    for start in range(0, max(len(known), len(texts)), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        place.client.log_batch(run, metrics=known[part], params=texts[part])


def shortened(texts: Mapping[str, Any]) -> dict[str, str]:
    """Return texts of a length that MLflow takes; a list or mapping as JSON."""
    written = {key: value if isinstance(value, str) else json.dumps(plain(value)) for key, value in texts.items()}
    return {key: text if len(text) <= TEXT else f"{text[: TEXT - 3]}..." for key, text in written.items()}


def subject(trial: Trial) -> str:
    """Name of the run of a trial."""
    return str(trial.document["cohort"]["name"])


def tags_of(trial: Trial, cohort_hash: str) -> dict[str, str]:
    """Return what a run is found by, the cohort, its hash, kind of target and verdict, and what a reader sees."""
    verdict, document = trial.verdict, trial.document
    leaks = [own for own in document["findings"] if own["leak"] and own["accepted"] is None]
    said = "no verdict: the trial has no single or no combined recipe" if verdict is None else verdict.sentence
    note = said + (f" {len(leaks)} findings may give the outcome away: see findings.json." if leaks else "")
    tags = {
        SOURCE: "chiasm",
        "chiasm.cohort": subject(trial),
        "chiasm.target": trial.kind,
        "chiasm.version": document["versions"].get("chiasm", ""),
        "chiasm.verdict": "none" if verdict is None else verdict.outcome,
        "chiasm.cohort_sha256": cohort_hash,
        "chiasm.settings_sha256": str(document.get("settings", "")),
    }
    return {**shortened({key: value for key, value in tags.items() if value}), NOTE: note}


def parameters_of(trial: Trial) -> dict[str, Any]:
    """Return the protocol, and what was predicted from what."""
    cohort = trial.document["cohort"]
    return {
        **trial.document["protocol"],
        "target": cohort["target"]["kind"],
        "modalities": ", ".join(cohort["modalities"]),
        "recipes": len(trial.document["recipes"]),
    }


def figures_of(trial: Trial) -> list[Figure]:
    """Return counts of the cohort and the figures of the verdict."""
    cohort, stored = trial.document["cohort"], trial.document["verdict"] or {}
    figures: list[Figure] = [("patients", cohort["patients"], 0), ("excluded", cohort["excluded"], 0)]
    figures += [("findings", len(trial.document["findings"]), 0)]
    if stored:
        figures += [(f"gain{part}", stored[key], 0) for part, key in (("", "difference"), *PARTS[1:])]
        for name in ("coverage", "combining", "beyond_presence"):
            figures += [(f"gain.{name}{part}", value, 0) for (part, _), value in zip(PARTS, stored[name], strict=True)]
    return figures


def artifacts_of(trial: Trial, folder: Path, write_page: Callable[[Trial, Path], Path]) -> list[Path]:
    """Write the files of a run into a folder: verdict, findings, table, page, and the whole for machines."""
    document = trial.document
    parts = {"verdict": {"verdict": document["verdict"]}, "findings": {"findings": document["findings"]}}
    for name, part in {**parts, "trial": document}.items():
        write_document(folder / f"{name}.json", part)
    trial.table().to_csv(folder / "recipes.csv", index=False)
    write_page(trial, folder / "report.html")
    return sorted(folder.iterdir())


def without_places(value: Any) -> Any:
    """Return a document in which of a path only its last part stands."""
    if isinstance(value, Mapping):
        return {key: last_part(own) if key == "path" else without_places(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(own) for own in value]
    return last_part(value) if is_place(value) else value


def is_place(value: Any) -> bool:
    """Return whether a text is the full path of a file."""
    return isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute())


def last_part(value: Any) -> Any:
    """Return the last part of a path."""
    return PureWindowsPath(value).name or "a folder" if isinstance(value, str) else value
