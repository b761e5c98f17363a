"""The mark of a cohort that a generator drew, or in which it filled in what patients lack."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.errors import Problem, Unsupported, count, warning

if TYPE_CHECKING:
    from chiasm.cohort.cohort import Cohort
    from chiasm.cohort.schema import GeneratedKeys


@dataclass(frozen=True)
class Generated:
    """What `[generated]` of a manifest says.

    Args:
        generator: its name with its options.
        seed: of the draw.
        fitted_on: SHA-256 of the content of the patients that it was fitted to.
        patients: True if every patient was drawn, outcome and all.
        modalities: modality to the number of patients who have it from the generator.
        accepted: why a set above a limit of privacy was written all the same; empty: it was below.
        epsilon, delta: of the differential privacy that it was fitted under; 0 without. Then `fitted_on` is empty,
            because a digest would tell who was there.
    """

    generator: str
    seed: int
    fitted_on: str
    patients: bool = False
    modalities: dict[str, int] = field(default_factory=dict)
    accepted: str = ""
    epsilon: float = 0.0
    delta: float = 0.0

    def findings(self, path: str) -> list[Problem]:
        """Warnings that say what of the cohort is no observation."""
        found = []
        if self.patients:
            what = f"every patient was drawn by '{self.generator}', and nobody of them lived"
            fix = "learn from them, and test on real patients: chiasm validate"
            found.append(warning(what, fix, path=path, finding="generated-patients"))
        for name, number in self.modalities.items():
            what = f"{count(number, 'patient')} have it from '{self.generator}', which saw the others, tested ones too"
            fix = "to score what filling in is worth, evaluate the cohort as it was with filled:recipe=..."
            found.append(warning(what, fix, path=path, modality=name, finding="generated-values"))
        return found


def marked(cohort: Cohort, keys: GeneratedKeys | None, path: str | os.PathLike[str]) -> Cohort:
    """Return the cohort with the path of its manifest and the mark in it, and what that says among its findings."""
    cohort = replace(cohort, manifest=os.fspath(path))
    if keys is None:
        return cohort
    mark, name = Generated(**keys.model_dump()), Path(cohort.manifest).name
    found = mark.findings(name if name.endswith(".toml") else "cohort.toml")
    return replace(cohort, generated=mark, findings=(*cohort.findings, *found))


def require_real(cohort: Cohort) -> None:
    """Refuse to score predictions of patients who never were.

    Raises:
        Unsupported: the cohort says that its patients were generated.
    """
    if cohort.generated is not None and cohort.generated.patients:
        raise Unsupported(
            f"the patients of '{cohort.name}' were drawn by '{cohort.generated.generator}': what a model scores on "
            "them says nothing of real ones; fit on them, and validate on real patients"
        )
