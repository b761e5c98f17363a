"""Public functions to seal a test set before the first look, and to open it once."""

from __future__ import annotations

import os
from pathlib import Path

from chiasm.cohort.sealing import seal_cohort


def seal(
    cohort: str | os.PathLike[str], test: float | None = None, *, seed: int | None = None, by: str | None = None
) -> Path:
    """Draw a stratified test set of a manifest's patients, and seal it in `<manifest>.seal.json`.

    From then on `open_cohort`, and every function and command that opens the manifest, gives the patients outside the
    seal alone. Groups, and patients identical in every modality, stay on one side.

    Args:
        cohort: the manifest, or the folder that holds it as `cohort.toml`.
        test: share of the patients with a known outcome; None: what `[seal]` of the manifest says, else a fifth.
        seed: seed of the draw; None: what `[seal]` says, else 0.
        by: "site" keeps each site on one side; None: what `[seal]` says.

    Returns:
        The file that was written, readable by its owner alone: counts and salted hashes, no identifier.

    Raises:
        CohortError: the cohort has errors, is sealed already, or would have too few patients on one side.
        ValueError: the share does not lie between 0 and 1, or `[seal]` says something else than the arguments.
    """
    return seal_cohort(cohort, test, seed=seed, by=by)
