"""One candidate over several suites: a row each, refused unless the weights that answered are the same in all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.bench.comparing import runs_in
from chiasm.bench.controls import ITSELF
from chiasm.bench.running import result_of
from chiasm.bench.suite import Suite


def one_candidate(folder: Path, suite_named: Callable[[str], Suite]) -> pd.DataFrame:
    """Return the primary figure of each run in a folder, all of one candidate.

    A generalist is one model with one set of weights for all tasks (Med-PaLM M, arXiv 2307.14334): the hash of what
    answered, weights and options, has to be the same in every run.

    Args:
        folder: whose folders are runs, one a suite.
        suite_named: returns the suite of a name.

    Returns:
        A row a suite: `suite`, `title`, `figure`, `value`, `low`, `high`, `chance`, `n`, `units`, `outcome`; NaN for
        what is not known.

    Raises:
        ValueError: the folder holds no run, or a run of another candidate, named by its suite.
    """
    documents = {name: result_of(place) for name, place in runs_in(folder).items()}
    identities = {name: own["candidate"]["identity"] for name, own in documents.items()}
    first = next(iter(identities))
    if others := [name for name, identity in identities.items() if identity != identities[first]]:
        raise ValueError(
            f"'{folder.name}' holds runs of several candidates: what answered '{others[0]}' has other weights or "
            f"options than what answered '{first}'; a generalist answers all suites with the same"
        )
    rows = []
    for name, document in documents.items():
        primary = suite_named(name).primary
        score = next(own for own in document["scores"] if own["figure"] == primary and own["asking"] == ITSELF)
        label = document["figures"][primary]["label"]
        rows.append(
            {"suite": name, "title": document["title"], "figure": label}
            | {
                key: np.nan if score[key] is None else score[key]
                for key in ("value", "low", "high", "chance", "n", "units")
            }
            | {"outcome": document["verdict"]["outcome"]}
        )
    return pd.DataFrame(rows)
