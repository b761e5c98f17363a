"""Real contrasts of one subject's spine run from a plan to label maps that lie on them; none is claimed to be right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.mask_files import place_of, read_masks
from chiasm.encoding.mask_places import apart, image_place
from chiasm.targets.mask_cells import ReadMap

SPINE = Path(__file__).parents[3] / "shared" / "data" / "wings" / "spinal-multicontrast"
PAIRS = (("t1/t1w", "t1/t1w_seg-manual"), ("t2s/t2s", "t2s/t2s_seg"), ("mt/mt1", "mt/mt1_seg"))
TIMES = 4  # each scan is that many rows, so that there is something to hold out
pytestmark = [pytest.mark.nightly, pytest.mark.skipif(not SPINE.exists(), reason="one subject's spine is not here")]


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")  # rows that are alike, long voxels
def test_real_scans_are_planned_drawn_in_and_written(tmp_path: Path) -> None:
    rows = []
    for image, label_map in PAIRS * TIMES:
        name = f"p{len(rows)}"
        for suffix, place in (("", image), ("_map", label_map)):
            shutil.copy(SPINE / f"{place}.nii.gz", tmp_path / f"{name}{suffix}.nii.gz")
        rows.append({"id": name, "map": f"{name}_map.nii.gz"})
    pd.DataFrame(rows).to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        'name = "spine"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        'labels = ["cord"]\n[modalities.scan]\nkind = "volume"\npath = "{id}.nii.gz"\nencoder = "grid:normalise=own"\n'
    )
    cohort = chiasm.encode(chiasm.open_cohort(tmp_path / "cohort.toml")).cohort
    plan = chiasm.plan(cohort, tmp_path / "plan.json")
    assert len(plan.spacing) == 3 and all(own > 0 for own in plan.spacing) and np.prod(plan.window) <= 64**3
    recipe = f"unet:plan={tmp_path / 'plan.json'},width=2,depth=1,epochs=1"
    model = chiasm.fit(cohort, recipe, seed=0)
    for place, _ in enumerate(PAIRS):
        image, out = tmp_path / f"p{place}.nii.gz", tmp_path / f"out{place}.nii.gz"
        chiasm.segment(model, image, out)
        (drawn,) = read_masks(None, [out], ())
        lies, own = image_place(image, "volume"), place_of(out)
        assert isinstance(drawn, ReadMap) and lies is not None and own is not None
        assert drawn.runs.shape == lies.shape == own[0] and apart(lies, drawn.affine, min(drawn.runs.spacing)) == 0
