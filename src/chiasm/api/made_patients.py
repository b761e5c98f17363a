"""A synthetic cohort, or one filled in, with what is told of it, and how it is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chiasm.api import generated_pictures as painting
from chiasm.api.generated_pictures import DrawnPictures
from chiasm.api.generated_utility import Utility
from chiasm.artifact import write_text
from chiasm.artifact.whole import whole_folder
from chiasm.cohort import Cohort
from chiasm.cohort.generated import Generated
from chiasm.errors import count
from chiasm.generation.picture_files import ENDINGS
from chiasm.generation.privacy import Privacy
from chiasm.generation.records import Records
from chiasm.generation.rows import Rows, pictured, target_keys
from chiasm.generation.writing import synthetic_ids, write_cohort
from chiasm.report.generation_page import render_generated
from chiasm.report.written import write_page

DOCUMENT, PAGE = "generated.json", "generated.html"


@dataclass(frozen=True, repr=False)
class Made:
    """A synthetic cohort, or a cohort filled in, before it is written or beside what was.

    Attributes:
        rows: the patients; of a cohort filled in, all of them.
        mark: what the manifest says of them.
        privacy: what the set gives away; None of a cohort filled in, which holds the patients themselves.
        likeness: how like real ones they are; empty of a cohort filled in.
        utility: what training on them is worth on real patients; None where it was not asked, or cannot be told.
        pictures: modality to the images or volumes that were drawn.
        sentences: what there is to know.
        records: modality of events to the drawn records, of which `rows` tells in numbers.
    """

    rows: Rows
    mark: Generated
    privacy: Privacy | None = None
    likeness: dict[str, Any] = field(default_factory=dict)
    utility: Utility | None = None
    pictures: dict[str, DrawnPictures] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()
    records: dict[str, Records] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Made: {count(len(self.rows), 'patient')} by '{self.mark.generator}'"

    @property
    def document(self) -> dict[str, Any]:
        """All that is told, as JSON holds it: no value of a patient."""
        own = self.mark
        return {
            "schema": 1, "generator": own.generator, "seed": own.seed, "fitted_on": own.fitted_on,
            "patients": len(self.rows), "accepted": own.accepted, "filled_in": own.modalities,
            "epsilon": own.epsilon, "delta": own.delta,
            "privacy": None if self.privacy is None else self.privacy.as_json(),
            "likeness": self.likeness,
            "pictures": {
                name: {"generator": own.generator, "drawn": len(own.rows), "size": list(own.scale.size), **own.likeness}
                for name, own in self.pictures.items()
            },
            "utility": None if self.utility is None else self.utility.as_json(),
            "sentences": list(self.sentences),
        }  # fmt: skip


def write_made(cohort: Cohort, made: Made, out: Path, *, synthetic: bool) -> None:
    with whole_folder(out) as folder:
        write_patients(cohort, made, folder, synthetic=synthetic)
        write_text(folder / DOCUMENT, json.dumps(made.document, indent=1) + "\n")
        write_page(folder / PAGE, lambda: render_generated(cohort.name, made.document))


def write_patients(cohort: Cohort, made: Made, folder: Path, *, synthetic: bool) -> None:
    """Write the manifest, the tables and the pictures."""
    labels = {"group": cohort.group, "site": cohort.site, "fold": cohort.fold}
    ids = synthetic_ids(len(made.rows)) if synthetic else [str(own) for own in cohort.ids]
    places = write_cohort(
        folder,
        made.rows,
        cohort.kinds,
        made.mark,
        name=f"{cohort.name}, {'synthetic' if synthetic else 'filled in'}",
        target=None if cohort.target is None else target_keys(cohort.target),
        groups=cohort.feature_groups,
        ids=ids,
        labels=None if synthetic else {name: own for name, own in labels.items() if own is not None},
        unit_costs=cohort.costs,
        endings={name: ENDINGS[cohort.kinds[name]] for name in pictured(cohort)},
        records=made.records,
    )
    if not synthetic:
        painting.copy_real(folder, places, cohort)
    painting.write_drawn(folder, places, made.pictures, ids, made.mark)
