"""The folder of a trial: whose it is, what is stored in it, and the log of what was fitted."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from chiasm.artifact import write_text
from chiasm.evaluation.fits import write_tables
from chiasm.evaluation.sealing import PLAN
from chiasm.evaluation.summary import write_document
from chiasm.evaluation.trial import Trial, TrialError, load_trial, read_document

WORK = ".work"


def claim(out: Path, settings: str, resume: bool) -> Trial | None:
    """Claim `out` for this run: return its finished trial if there is one to resume, or None if there is work to do.

    Raises:
        TrialError: it holds something that must not be overwritten.
    """
    plan_file = out / WORK / "plan.json"
    stored = [file for file in (out / "trial.json", plan_file) if file.is_file()]
    if stored and not resume:
        raise TrialError(f"'{out.name}' holds a trial already: add --resume to go on with it, or choose another --out")
    # A work folder without a plan is left by a run that was killed before it wrote one, and holds nothing.
    if not stored and out.exists() and (not out.is_dir() or any(file.name != WORK for file in out.iterdir())):
        raise TrialError(f"'{out.name}' exists and is not a run folder: choose another --out")
    for file in stored:
        if read_document(file).get("settings") != settings:
            raise TrialError(
                f"'{out.name}' holds a trial with other data, recipes, protocol or seed: "
                "choose another --out, or repeat its settings"
            )
    if (out / "trial.json").is_file():
        return load_trial(out)
    write_text(plan_file, json.dumps({"settings": settings}))
    return None


def give_back(out: Path) -> None:
    """Restore `out` after a refused run: delete its work files, and the folder itself if it is empty."""
    shutil.rmtree(out / WORK, ignore_errors=True)
    for file in ("log.jsonl", PLAN):
        (out / file).unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()


def store(trial: Trial, out: Path, settings: str) -> None:
    """Write `predictions.parquet`, `outcomes.parquet` and then `trial.json`, which marks the trial as finished."""
    write_tables(out, trial.predictions, trial.outcomes)
    write_document(out / "trial.json", {**trial.document, "settings": settings})


def log(out: Path | None, event: str, **details: Any) -> None:
    """Append an event to `log.jsonl`: counts, names of recipes and folds, seconds; never patient data."""
    if out is None:
        return
    line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "event": event, **details})
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
