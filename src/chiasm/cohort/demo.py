"""Demo cohort: real data shipped with a dependency, to try everything without a download."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.targets import Survival


def demo_cohort() -> Cohort:
    """Load scikit-survival's breast cancer cohort: 198 patients, 76 genes and 4 clinical columns as two modalities.

    Raises:
        ModuleNotFoundError: scikit-survival is missing; the message names the pip command.
    """
    try:
        from sksurv.datasets import load_breast_cancer  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the demo needs scikit-survival, which ships its cohort: pip install "chiasm[survival]"'
        ) from error

    frame, outcome = load_breast_cancer()
    frame.index = [f"patient-{number:03d}" for number in range(1, len(frame) + 1)]
    clinical = ["age", "er", "grade", "size"]
    patients = pd.DataFrame({"days": outcome["t.tdm"], "metastasis": outcome["e.tdm"].astype(int)}, index=frame.index)
    blocks: Mapping[str, pd.DataFrame] = {"clinical": frame[clinical], "genes": frame.drop(columns=clinical)}
    return cohort_from_frames(
        patients, blocks, target=Survival("days", "metastasis", unit="days"),
        kinds={"clinical": "table", "genes": "omics"}, name="breast-cancer",
    )  # fmt: skip
