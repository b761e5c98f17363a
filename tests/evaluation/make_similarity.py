"""Writes fixtures/similarity.json by rsatoolbox 0.3.2, in an environment of its own.

    python tests/evaluation/make_similarity.py <folder of 92_brainRDMs.mat and 92_modelRDMs.mat>

The matrices are those of 92 images in Kriegeskorte et al. 2008, from the demos of rsatoolbox: eight models, and the
brains of four subjects in two sessions. `compare` is models x brains, the first session's four subjects first.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.io  # type: ignore[import-untyped]
from rsatoolbox.data import Dataset  # type: ignore[import-not-found]
from rsatoolbox.inference import boot_noise_ceiling  # type: ignore[import-not-found]
from rsatoolbox.rdm import RDMs, calc_rdm, compare  # type: ignore[import-not-found]

NAMES = {"spearman": "spearman", "kendall": "tau-a", "pearson": "corr", "cosine": "cosine"}


def main(folder: Path) -> None:
    triangle = np.triu_indices(92, 1)
    models = scipy.io.loadmat(folder / "92_modelRDMs.mat")["Models"][0]
    brains = scipy.io.loadmat(folder / "92_brainRDMs.mat")["RDMs"][0]
    model = np.stack([np.asarray(own["RDM"], float)[triangle] for own in models])
    brain = np.stack([np.asarray(brains[s, k]["RDM"], float)[triangle] for k in range(2) for s in range(4)])
    ceilings: dict[str, list[list[float]]] = {}
    for ours, theirs in NAMES.items():
        for rows in (brain[:4], brain[4:]):
            subjects = RDMs(rows, rdm_descriptors={"index": np.arange(4)})
            bounds = boot_noise_ceiling(subjects, method=theirs, rdm_descriptor="index")
            ceilings.setdefault(ours, []).append([float(np.mean(bound)) for bound in bounds])
    patterns = np.round(np.random.default_rng(0).normal(size=(7, 5)), 3)
    data = Dataset(patterns)
    made = {
        "squared_euclidean": 5 * calc_rdm(data, method="euclidean").dissimilarities[0],
        "correlation": calc_rdm(data, method="correlation").dissimilarities[0],
    }
    found = {
        "versions": {name: version(name) for name in ("rsatoolbox", "numpy", "scipy")},
        "models": [str(own["name"][0]) for own in models],
        "compare": {ours: compare(RDMs(model), RDMs(brain), method=theirs).tolist() for ours, theirs in NAMES.items()},
        "ceiling": ceilings,
        "patterns": patterns.tolist(),
        "matrices": {name: own.tolist() for name, own in made.items()},
    }
    place = Path(__file__).parent / "fixtures" / "similarity.json"
    place.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
