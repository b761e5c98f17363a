"""Public function that draws a synthetic cohort, or fills in what patients lack, and says what that gives away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from chiasm.api import generated_pictures as painting
from chiasm.api.generated_pictures import DrawnPictures
from chiasm.api.generated_utility import Utility, utility_of
from chiasm.artifact import write_text
from chiasm.artifact.whole import whole_folder
from chiasm.cohort import Cohort, Unsupported, holdout
from chiasm.cohort.generated import Generated
from chiasm.cohort.opened import Given, as_cohort
from chiasm.errors import count
from chiasm.generation.catalogue import GENERATORS, make_generator
from chiasm.generation.filling import lacking
from chiasm.generation.generator import Expects, Generator, HasDensity, MayBePrivate
from chiasm.generation.likeness import likeness
from chiasm.generation.picture_diffusion import PictureDiffusion, picture_generator
from chiasm.generation.picture_files import ENDINGS
from chiasm.generation.privacy import Privacy, privacy_of, told
from chiasm.generation.private_training import delta_of, promised
from chiasm.generation.records import Records, records_of
from chiasm.generation.rows import LEAST_PATIENTS, Rows, pictured, rows_of, target_keys, without_pictures
from chiasm.generation.with_records import Recorded, with_records
from chiasm.generation.writing import MANIFEST, synthetic_ids, write_cohort
from chiasm.report.generation_page import render_generated
from chiasm.report.written import write_page

DOCUMENT, PAGE = "generated.json", "generated.html"
HELD_OUT = 0.2


class PrivacyError(ValueError):
    """A synthetic set that gives away too much, with each measure above its limit; nothing was written."""


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


def generate(
    cohort: Given,
    out: Path | str | None = None,
    *,
    patients: int | None = None,
    fill: Sequence[str] | str = (),
    generator: str = "gaussian-copula",
    pictures: str = "diffusion",
    seed: int = 0,
    dp: float | None = None,
    accept_privacy: str = "",
    recipe: str = "",
    utility: bool = True,
) -> Made:
    """Draw a synthetic cohort of `patients`, or `fill` in modalities of those who lack them; write a cohort to `out`.

    A synthetic set comes from a generator that a fifth of the patients, drawn by the seed, was held out from; by them
    the privacy report tells what it gives away, and real models are compared with models trained on it.

    Args:
        cohort: a cohort of tables, omics blocks, images, volumes and, to draw patients, event records, or the path of a
            manifest.
        out: a new folder for the manifest, its tables, `generated.json` and `generated.html`; None writes nothing.
        patients: how many to draw.
        fill: the modality, or several, to fill in, in place of `patients`.
        generator: its name, with its options after a colon: `mixed-diffusion:steps=50`.
        pictures: what draws images and volumes: `diffusion` or `flow`, with options as in `diffusion:steps=500`.
        seed: of the draw and of who is held out.
        dp: the epsilon of differential privacy that the generator is fitted under; its delta is `1 / (10 n)` of the n
            patients that it is fitted to. Then the set is another one each time, whatever the seed.
        accept_privacy: why a set above a limit is written all the same; it stands in the mark.
        recipe: what utility is told by; empty: late fusion, or the one modality alone.
        utility: fit the recipe to synthetic and to real patients.

    Raises:
        PrivacyError: a measure of privacy is above its limit, and no reason is given.
        Unsupported: fewer than 50 patients; patients or values that were generated; files other than images and
            volumes; columns that name patients; a modality that nobody has or lacks; `dp` of a generator that cannot,
            with images, to fill in, or without opacus.
        ValueError: neither or both of `patients` and `fill`; no such generator or modality; a `dp` not above 0.
        FileExistsError: `out` is there and not empty.
    """
    names = [fill] if isinstance(fill, str) else list(fill)
    if (patients is None) == (not names):
        raise ValueError("say either how many patients are drawn (--patients) or what is filled in (--fill)")
    if patients is not None and patients < 1:
        raise ValueError(f"{patients} patients cannot be drawn: say one or more")
    made = make_generator(generator, GENERATORS)
    epsilon = getattr(made, "epsilon", 0.0) if dp is None else dp
    if dp is not None or epsilon:
        made = _private(made, epsilon, bool(names))
    painter = picture_generator(pictures)
    own = as_cohort(cohort)
    if own.generated is not None:
        raise Unsupported(
            f"'{own.name}' was generated by '{own.generated.generator}' already, and a second mark would tell "
            "nothing of the first: generate from the real cohort, all that is filled in at once"
        )
    if len(own) < LEAST_PATIENTS:
        raise Unsupported(
            f"the cohort has {count(len(own), 'patient')}, and among fewer than {LEAST_PATIENTS} nobody can hide: "
            "nothing is generated"
        )
    if names:
        found = _filled(own, names, made, painter, seed)
    else:
        assert patients is not None
        found = _drawn(own, patients, made, painter, seed, accept_privacy, recipe, utility)
    if out is not None:
        _write(own, found, Path(out), synthetic=not names)
    return found


def _private(generator: Generator, epsilon: float, filling: bool) -> Generator:
    if filling:
        raise Unsupported(
            "what is filled in stands beside the real values of the same patients, which no --dp hides: ask for "
            "--patients, or leave --dp away"
        )
    if not isinstance(generator, MayBePrivate):
        able = ", ".join(name for name, own in GENERATORS.items() if hasattr(own, "private"))
        raise Unsupported(
            f"generator '{generator.name}' cannot be fitted under differential privacy (--dp): {able} can"
        )
    if not 0 < epsilon < float("inf"):
        raise ValueError(f"--dp {epsilon:g}: the epsilon is a number above 0; 1 is strict, 10 is loose")
    return generator.private(epsilon)


def _drawn(
    cohort: Cohort, patients: int, generator: Generator, painter: PictureDiffusion, seed: int, accepted: str,
    recipe: str, utility: bool,
) -> Made:  # fmt: skip
    records = records_of(cohort)
    if records and getattr(generator, "epsilon", 0.0):
        raise Unsupported(
            f"records as those of modality '{next(iter(records))}' are not learnt under differential privacy (--dp): "
            "leave it out of the manifest"
        )
    rows = rows_of(cohort, {name: own.counted() for name, own in records.items()})
    nobody = [name for name in cohort.modalities if not rows.present[name].any()]
    if nobody:
        raise Unsupported(f"nobody has modality '{nobody[0]}': leave it out of the manifest")
    names = pictured(cohort)
    if names and getattr(generator, "epsilon", 0):
        raise Unsupported(f"pictures are not drawn under differential privacy: leave '{names[0]}' out, or --dp away")
    held = holdout(cohort, HELD_OUT, seed=seed) if cohort.target is not None else _any_fifth(len(cohort), seed)
    train_rows, held_rows = rows.take(~held), rows.take(held)
    fitted = generator.fit(train_rows)
    epsilon = float(getattr(generator, "epsilon", 0.0))
    made = fitted.sample(patients, seed)
    whole = Recorded(made, train_rows, held_rows, {}, ())
    if records:
        known = [{name: own.take(some) for name, own in records.items()} for some in (~held, held)]
        whole = with_records(made, (train_rows, known[0]), (held_rows, known[1]), seed)
        made, train_rows, held_rows = whole[:3]
    density = fitted.log_density if isinstance(fitted, HasDensity) else None
    drawn = painting.drawn_pictures(cohort, held, rows, made, painter, seed)
    train_rows, held_rows, tables = (without_pictures(own) for own in (train_rows, held_rows, made))
    privacy = privacy_of(train_rows, held_rows, tables, density)
    privacy = replace(privacy, measures=(*privacy.measures, *(m for own in drawn.values() for m in own.measures)))
    if privacy.refused and not accepted.strip():
        raise PrivacyError(
            "nothing is written: " + "; ".join(privacy.refused) + "; give a larger cohort or another generator, or say "
            "why it may be given away all the same, by accept_privacy (--accept-privacy)"
        )
    by = generator.name if not names else f"{generator.name} and {painter.name}"
    mark = Generated(
        by, seed, "" if epsilon else cohort.subset(~held).fingerprint, True, {},
        accepted.strip() if privacy.refused else "", epsilon, delta_of(len(train_rows)) if epsilon else 0.0,
    )  # fmt: skip
    alike = likeness(train_rows, tables, held_rows, target=cohort.target)
    used = None
    if utility and cohort.target is not None:
        used = _used(cohort, held, Made(made, mark, pictures=drawn, records=whole.records), recipe, seed)
    said = [*whole.sentences, *(sentence for name, own in drawn.items() for sentence in own.sentences(name))]
    sentences = (*promised(mark), *told(privacy), *said, *(() if used is None else used.sentences))
    return Made(made, mark, privacy, alike, used, drawn, sentences, whole.records)


def _used(cohort: Cohort, held: np.ndarray, made: Made, recipe: str, seed: int) -> Utility:
    """What training on synthetic patients is worth; with pictures they are written and read as any cohort is."""
    train, tested = cohort.subset(~held), cohort.subset(held)
    if not made.pictures:
        return utility_of(train, tested, made.rows, recipe, seed, records=made.records)
    with TemporaryDirectory() as folder:
        _write_patients(cohort, made, Path(folder), synthetic=True)
        train, tested, written = painting.encoded_beside([train, tested, as_cohort(Path(folder) / MANIFEST)])
    return utility_of(train, tested, made.rows, recipe, seed, written=written)


def _filled(cohort: Cohort, names: Sequence[str], generator: Generator, painter: PictureDiffusion, seed: int) -> Made:
    rows = rows_of(cohort)
    for name in names:
        cohort.with_modalities([name])
        if not rows.present[name].any():
            raise Unsupported(f"nobody has modality '{name}', so that nothing says what it would be like")
    who = lacking(cohort, cohort.modalities, names)
    for name, own in who.items():
        if not own.any():
            raise Unsupported(f"nobody lacks modality '{name}' who has another: there is nothing to fill in")
    painted = {name: own for name, own in who.items() if name in pictured(cohort)}
    drawn = painting.filled_pictures(cohort, rows, painted, painter, seed)
    blocks, present = dict(rows.blocks), dict(rows.present)
    if len(painted) < len(who):
        inputs = rows.only(cohort.modalities)
        fitted = generator.fit(inputs)
        if not isinstance(fitted, Expects):
            raise Unsupported(f"generator '{generator.name}' draws whole patients alone: nothing is filled in by it")
        made = fitted.expected(inputs)
    for name, own in who.items():
        if name not in painted:
            blocks[name] = blocks[name].where(pd.Series(~own), made.blocks[name])
        present[name] = present[name] | own
    number = {name: int(own.sum()) for name, own in who.items()}
    bare = cohort.with_target(None, None)
    by = {name: painter.name if name in painted else generator.name for name in who}
    mark = Generated(" and ".join(dict.fromkeys(by.values())), seed, bare.fingerprint, False, number)
    said = tuple(
        f"{count(n, 'patient')} of {len(cohort):,} have '{name}' from '{by[name]}', "
        f"{'drawn' if name in painted else 'as the median'} given what they have; it is no observation, and a score on "
        "these patients would be of the generator too."
        for name, n in number.items()
    )
    left = {
        "subgroups": cohort.subgroups, "encoders": cohort.encoders, "hours of an index": cohort.index_hours,
        "knowledge": cohort.knowledge, "accepted findings": cohort.accepted, "a seal": cohort.sealed,
    }  # fmt: skip
    if some := [what for what, own in left.items() if own]:
        said += (f"Not written, although the manifest has them: {', '.join(some)}.",)
    return Made(Rows(blocks, present, rows.declared), mark, pictures=drawn, sentences=said)


def _write(cohort: Cohort, made: Made, out: Path, *, synthetic: bool) -> None:
    with whole_folder(out) as folder:
        _write_patients(cohort, made, folder, synthetic=synthetic)
        write_text(folder / DOCUMENT, json.dumps(made.document, indent=1) + "\n")
        write_page(folder / PAGE, lambda: render_generated(cohort.name, made.document))


def _write_patients(cohort: Cohort, made: Made, folder: Path, *, synthetic: bool) -> None:
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


def _any_fifth(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(np.random.SeedSequence(seed)).permutation(n) < round(HELD_OUT * n)


__all__ = ["DOCUMENT", "MANIFEST", "PAGE", "Made", "PrivacyError", "generate"]
