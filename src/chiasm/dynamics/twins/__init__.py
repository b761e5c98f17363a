"""Twins: simulators of patients, controllers that choose doses in them, limits that hold, and an honest comparison.

Everything here is a simulation. `DISCLAIMER` stands on every page and in every file that comes of it.
"""

DISCLAIMER = (
    "Not for treatment: these are simulated patients and doses that a program chose for them. No dose here has been "
    "tried on a person, and none may be given to one on the ground of this result."
)
