"""Makes `simglucose.json`: trajectories of simglucose's own patients, by its own code and solver.

Run where simglucose is installed (`pip install --no-deps simglucose==0.2.11`); what its package asks for and its
patients do not use, gym and `pkg_resources`, is stood in for.

    python tests/dynamics/twins/make_simglucose_oracle.py
"""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

NAMES = ("adolescent#003", "adult#001", "child#009")
MINUTES = 360
MEALS = {20: 45.0, 150: 12.0, 153: 8.0}  # g by minute; the third comes while the second is eaten
TIMES_BASAL = ((0, 1.0), (60, 3.0), (120, 0.0), (240, 1.5))  # from this minute on


def main() -> None:
    resources: Any = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda package, name: str(distribution(package).locate_file(f"{package}/{name}"))
    registration: Any = types.ModuleType("gym.envs.registration")
    registration.register = lambda **given: None
    stood_in = {"pkg_resources": resources, "gym": types.ModuleType("gym"), "gym.envs": types.ModuleType("gym.envs")}
    sys.modules.update(stood_in, **{"gym.envs.registration": registration})
    from simglucose.patient.t1dpatient import Action, T1DPatient

    found = {}
    for name in NAMES:
        patient = T1DPatient.withName(name)
        basal = float(patient._params.u2ss * patient._params.BW / 6000)
        kept = []
        for minute in range(MINUTES):
            times = [factor for start, factor in TIMES_BASAL if start <= minute][-1]
            patient.step(Action(CHO=MEALS.get(minute, 0.0), insulin=basal * times))
            if (minute + 1) % 30 == 0:
                kept.append([float(own) for own in patient.state])
        found[name] = kept
    document = {
        "simglucose": version("simglucose"), "scipy": version("scipy"), "numpy": version("numpy"),
        "minutes": MINUTES, "meals": MEALS, "times_basal": TIMES_BASAL, "every": 30, "states": found,
    }  # fmt: skip
    Path(__file__).with_name("simglucose.json").write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
