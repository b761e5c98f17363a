"""Public functions that train a controller in a simulator of patients and hold it to baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.artifact import ArtifactError, load, save, write_text
from chiasm.artifact.whole import whole_folder
from chiasm.dynamics.twins import DISCLAIMER as DISCLAIMER
from chiasm.dynamics.twins.kinds import KINDS
from chiasm.dynamics.twins.limited import LimitedController
from chiasm.dynamics.twins.settings import made_settings, read_settings
from chiasm.dynamics.twins.study import Study, control_study
from chiasm.progress import followed
from chiasm.report.twins_page import render_twin
from chiasm.report.written import write_page

PAGE, DOCUMENT, CONTROLLER, BY_PATIENT = "twin.html", "twin.json", "controller", "patients.csv"
PARAMETERS = "parameters.csv"


@dataclass(frozen=True, repr=False)
class Controlled:
    """A trained controller beside its baselines, on simulated patients that none was chosen on. Not for treatment.

    Attributes:
        table: a row a controller: `cost`, `in_range`, `below`, `above`, `very_low`, `episodes` and `dose`, each with
            the ends of its interval over patients, as `cost_low` and `cost_high`; NaN where it is not estimable.
        against: the network less each other controller, paired by patient, with the same columns.
        by_patient: a row a controller and test patient.
        sentences: who is ahead, by what the intervals say.
        controller: the trained network and its limits; nothing in it is executable.
        document: all of it, as JSON holds it.
    """

    study: Study

    @property
    def table(self) -> pd.DataFrame:
        return self.study.table

    @property
    def against(self) -> pd.DataFrame:
        return self.study.against

    @property
    def by_patient(self) -> pd.DataFrame:
        return self.study.patients

    @property
    def sentences(self) -> list[str]:
        return self.study.sentences

    @property
    def controller(self) -> LimitedController:
        own = self.study.settings
        return LimitedController(self.study.network, own.limits, own.goal, own.keys.twin, own.test.minutes)

    @property
    def document(self) -> dict[str, Any]:
        return self.study.document()

    def __repr__(self) -> str:
        return (
            f"Controlled twin '{self.study.settings.keys.twin}' on {len(self.study.settings.test.patients):,} patients"
        )

    def report(self, path: Path | str) -> Path:
        """Write the page as one .html and return where."""
        return write_page(path, lambda: render_twin(self.study))

    def save(self, folder: Path | str, replace: bool = False) -> Path:
        """Write page, JSON, figures by patient and the controller's folder; the folder appears whole or not at all.

        Args:
            replace: an earlier study of this name goes once the new one stands in its place.

        Raises:
            FileExistsError: something of this name is there that may not be replaced, or is no folder of a study.
        """
        out = Path(folder)
        if replace and out.exists():
            require_control_folder(out)
        with whole_folder(out, replace) as staging:
            self.report(staging / PAGE)
            write_text(staging / DOCUMENT, json.dumps(self.document, indent=1, allow_nan=False) + "\n")
            self.by_patient.set_index(["controller", "patient"]).to_csv(staging / BY_PATIENT)
            if (fitted := self.study.settings.fitted) is not None:
                fitted.set_index(["patient", "parameter"]).to_csv(staging / PARAMETERS)
            save(staging / CONTROLLER, self.controller, card=f"{DISCLAIMER}\n\n" + "\n".join(self.sentences) + "\n")
        return out


def control(
    settings: Path | str | Mapping[str, Any], *, progress: Callable[[int, int], None] | None = None
) -> Controlled:
    """Train a network to give doses in a simulator of patients, and hold it to PID, constant doses and none.

    Every controller is chosen on the training patients, and tried on other patients in other scenarios under the same
    limits. Not for treatment.

    Args:
        settings: the path of a `twin.toml`, or what it would hold; `docs/twins.md` has its keys.
        progress: is told epochs done and to do.

    Raises:
        CohortError: the file cannot be read.
        ValueError: an unknown key, twin or patient, a unit that does not fit, an empty range; the simulator diverges.
        Unsupported: the twin needs a package that is not installed, or a metamodel.
    """
    own = made_settings(settings) if isinstance(settings, Mapping) else read_settings(Path(settings))
    with followed("epochs", progress) as told:
        return Controlled(control_study(own, told))


def load_controller(path: Path | str) -> LimitedController:
    """Open the folder of a trained controller; nothing of it is executed.

    Raises:
        ArtifactError: it is no folder of a controller, or was changed.
    """
    found = load(path)
    if not isinstance(found, LimitedController):
        raise ArtifactError(f"'{Path(path).name}' is a model folder and no controller: give the folder 'controller'")
    return found


def list_twins() -> dict[str, str]:
    """Return the simulators by name, each with what it is."""
    return {name: kind.says for name, kind in KINDS.items()}


def require_control_folder(path: Path) -> None:
    """Ask that a folder that is to be replaced is one that `Controlled.save` wrote, and holds nothing else.

    Raises:
        FileExistsError: it is not.
    """
    written = {PAGE, DOCUMENT, CONTROLLER, BY_PATIENT, PARAMETERS}
    if path.is_symlink() or not path.is_dir() or {own.name for own in path.iterdir()} - written:
        raise FileExistsError(17, "is no folder of a control study: choose another --out", str(path))
