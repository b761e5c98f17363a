"""Writes fixtures/decisions.json: net benefits by the package dcurves, with its version, for one set of patients.

Run `python tests/evaluation/make_decisions.py` from the root of the repository, where dcurves is installed.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import dcurves  # type: ignore[import-not-found]
import numpy as np
import pandas as pd

N, HORIZON, THRESHOLDS = 80, 3.0, np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def main() -> None:
    """Draw the patients, score them, write the file."""
    rng = np.random.default_rng(7)
    risk = np.round(rng.beta(2, 3, N), 2)  # with ties, and some at a threshold
    happened = (rng.uniform(size=N) < risk).astype(int)
    event, censored = rng.exponential(5 / (0.3 + risk)), rng.exponential(9, N)
    time, died = np.round(np.minimum(event, censored) + 0.05, 1), (event <= censored).astype(int)
    table = pd.DataFrame({"risk": risk, "happened": happened, "time": time, "event": died})
    given = {"data": table, "modelnames": ["risk"], "thresholds": THRESHOLDS}
    binary = dcurves.dca(outcome="happened", **given)
    survival = dcurves.dca(outcome="event", time=HORIZON, time_to_outcome_col="time", **given)
    found = {"versions": {name: version(name) for name in ("dcurves", "lifelines")}, "horizon": HORIZON}
    found |= {"thresholds": THRESHOLDS.tolist(), **{name: table[name].tolist() for name in table}}
    for name, rows in (("binary", binary), ("survival", survival)):
        for model in ("risk", "all"):
            own = rows[rows["model"] == model].sort_values("threshold")
            found[f"{name}_{model}"] = own["net_benefit"].tolist()
    file = Path(__file__).parent / "fixtures" / "decisions.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
