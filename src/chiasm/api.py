"""The public functions: names resolved to recipes, parts put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm import artifact
from chiasm.artifact import ArtifactError
from chiasm.cohort import Cohort, CohortError, LeakageError, Problem, Unsupported, check_cohort, open_cohort
from chiasm.doctor import diagnose, require_device
from chiasm.evaluation import Protocol, Trial, TrialError, run_trial
from chiasm.evaluation import load_trial as read_trial
from chiasm.protocols import Model
from chiasm.recipes import registry
from chiasm.training.memo import work_clock
from chiasm.training.pool import default_jobs, side_by_side

__all__ = [
    "ArtifactError",
    "Cohort",
    "CohortError",
    "LeakageError",
    "Problem",
    "Protocol",
    "Trial",
    "TrialError",
    "Unsupported",
    "check_cohort",
    "demo_cohort",
    "diagnose",
    "evaluate",
    "fit",
    "list_recipes",
    "load_model",
    "load_trial",
    "open_cohort",
    "require_device",
    "split_names",
]

list_recipes = registry.list_recipes
split_names = registry.split_names


def evaluate(
    cohort: Cohort,
    recipes: Iterable[str | Any] | None = None,
    protocol: Protocol | None = None,
    *,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    jobs: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """Every recipe on the same folds: out-of-fold predictions, scores with intervals, and the verdict.

    Args:
        cohort: with a target.
        recipes: names (`"late-fusion"`, `"lego-fuse:mode=weave"`, `"single:rna"`) or recipe objects; None takes every
            modality alone and every recipe that supports the cohort.
        protocol: folds, repeats, margin; the folds that the cohort prescribes unless it says otherwise.
        seed: of the splits, the fits and the bootstrap.
        out: the run folder: `trial.json`, `predictions.parquet`, `outcomes.parquet`, `report.html`, `log.jsonl`.
        resume: go on with the trial that `out` holds.
        jobs: processes; None takes the cores there are, but one where a process cannot be forked (macOS, Windows),
            since a script without a `__main__` guard would be run again in each.
        progress: called with (finished, all) training sets.

    Raises:
        CohortError: `check_cohort` finds errors.
        Unsupported: a recipe that was asked for cannot be fitted on this cohort.
        TrialError: `out` holds a trial already and `resume` is False, or another trial.
    """
    require_sound(cohort)
    chosen = registry.resolve(recipes, cohort)
    folder = Path(out) if out is not None else None
    trial = run_trial(
        cohort,
        chosen,
        protocol or Protocol(),
        seed=seed,
        out=folder,
        resume=resume,
        jobs=jobs or default_jobs(),
        device=device,
        execute=side_by_side,
        clock=work_clock,
        progress=progress or (lambda finished, everything: None),
    )
    trial = Trial(trial.document, trial.predictions, trial.outcomes, _report)
    if folder is not None and not (folder / "report.html").exists():
        trial.report(folder / "report.html")
    return trial


def fit(
    cohort: Cohort, recipe: str | Any, *, seed: int = 0, device: str = "cpu", checkpoint: Path | str | None = None
) -> Model:
    """Fit one recipe on every patient of the cohort whose outcome is known.

    Args:
        recipe: a name with its options, or a recipe object.
        checkpoint: a folder; training goes on from what an interrupted fit left there.
    """
    require_sound(cohort)
    (chosen,) = registry.resolve([recipe], cohort)
    model: Model = chosen.fit(cohort, seed=seed, checkpoint=Path(checkpoint) if checkpoint else None, device=device)
    return model


def load_model(path: Path | str) -> Model:
    """Read a model folder. Nothing in it is executed.

    Raises:
        ArtifactError: the folder is not a model, is damaged, or was changed.
    """
    registry.recipe_classes()  # names of the parts that a model may hold
    model = artifact.load(path)
    if not isinstance(model, Model):
        raise artifact.ArtifactError(f"'{Path(path).name}' holds a part of a model, not a model")
    return model


def load_trial(folder: Path | str) -> Trial:
    """Read a finished trial back from its run folder."""
    return read_trial(folder, _report)


def require_sound(cohort: Cohort) -> None:
    """Raise what `check_cohort` calls an error; warnings pass."""
    errors = [problem for problem in check_cohort(cohort) if problem.severity == "error"]
    if errors:
        raise CohortError(errors)


def demo_cohort() -> Cohort:
    """scikit-survival's breast cancer cohort: 198 patients, 76 genes and 4 clinical columns as two modalities.

    Raises:
        ModuleNotFoundError: scikit-survival is missing; the message names the pip command.
    """
    try:
        from sksurv.datasets import load_breast_cancer  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the demo needs scikit-survival, which ships its cohort: pip install "chiasm[survival]"'
        ) from error
    from chiasm.cohort import Survival, cohort_from_frames

    frame, outcome = load_breast_cancer()
    frame.index = [f"patient-{number:03d}" for number in range(1, len(frame) + 1)]
    clinical = ["age", "er", "grade", "size"]
    patients = pd.DataFrame({"days": outcome["t.tdm"], "metastasis": outcome["e.tdm"].astype(int)}, index=frame.index)
    blocks: Mapping[str, pd.DataFrame] = {"clinical": frame[clinical], "genes": frame.drop(columns=clinical)}
    return cohort_from_frames(
        patients, blocks, target=Survival("days", "metastasis", unit="days"),
        kinds={"clinical": "table", "genes": "omics"}, name="breast-cancer",
    )  # fmt: skip


def _report(trial: Trial, path: Path) -> Path:
    from chiasm.report import write_report

    return write_report(trial, path)
