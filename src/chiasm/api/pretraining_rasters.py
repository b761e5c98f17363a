"""The part of `chiasm.pretrain` that reads signals, images and volumes: from their files to an encoder's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm import artifact
from chiasm.api.encoding import encode
from chiasm.api.pretraining_beside import beside_of, require_beside
from chiasm.api.pretraining_checkpoint import ANEW, checkpoint_for
from chiasm.api.pretraining_contrasts import contrasts_named, gathered, readings_of
from chiasm.api.pretraining_words import notes_on_rasters, said_of_rasters
from chiasm.cohort import Cohort, Items, Problem, Unsupported
from chiasm.cohort.kinds import as_read
from chiasm.cohort.units import alone_where_empty
from chiasm.encoders.catalogue import options as options_of
from chiasm.encoders.raster.reading import AXES, RasterReading, own_size
from chiasm.encoders.raster.stored_raster import StoredRaster, stored_raster
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters.folder import as_stored_raster
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.pretraining.rasters.options import RasterOptions, raster_config
from chiasm.pretraining.rasters.processes import Sharing, require_shareable, shared
from chiasm.pretraining.rasters.stage import pretrained_on_rasters, steps_of_epoch
from chiasm.progress import followed
from chiasm.readers import ReadError, reader_for
from chiasm.readers.guard import quiet
from chiasm.readers.reading import Signal
from chiasm.report.written import write_page

LOOKED_AT = 5  # sources that are read to say how many channels there are, until one can be read


@dataclass(frozen=True, repr=False)
class PretrainedRasters:
    """An encoder of signals, images or volumes that was pretrained, and how that went.

    Attributes:
        folder: where it lies; `encoder` is how a manifest names it.
        modality, kind, method: what was read, and what was learned.
        curve: one row an epoch: losses of training and of held-out items, and the signs of a collapse (`rank`,
            `spread`, `neighbours`), which read no loss.
        loss: of held-out items at the epoch that is kept.
        facts: all of what the folder tells, without an identifier.
        sentences: what it says; notes: what a reader must know; problems: sources that could not be read.
    """

    folder: Path
    modality: str
    kind: str
    method: str
    curve: pd.DataFrame
    loss: float
    facts: dict[str, Any]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"PretrainedRasters: '{self.modality}' by {self.method}, held-out loss {self.loss:.3f}"

    @property
    def encoder(self) -> str:
        """The encoder of a manifest that reads the folder."""
        return f"raster:weights={self.folder}"

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file: the curves, and what watches the training.

        Raises:
            ValueError: another ending than .html.
        """
        from chiasm.report.raster_pretraining_page import render_raster_pretraining

        return write_page(path, lambda: render_raster_pretraining(
            self.curve, self.facts, modality=self.modality, method=self.method, sentences=self.sentences,
            notes=self.notes,
        ))  # fmt: skip


@dataclass(frozen=True)
class AskedOfRasters:
    """What `chiasm.pretrain` is asked for; None where a default of the kind is taken. See there."""

    method: str | None = None
    network: str | None = None
    size: int | None = None
    reading: str = ""
    steps: int | None = None
    share: float | None = None
    text: str | None = None
    labels: bool = False
    marks: bool = True
    options: dict[str, Any] | None = None
    processes: int = 1


def raster_modality(cohort: Cohort, asked: str | None, method: str | None) -> str | None:
    """Return the modality that is pretrained on as rasters; None where sequences are meant, or nothing that there is.

    Raises:
        Unsupported: none is named, and several become rasters.
    """
    able = [name for name in cohort.modalities if as_read(cohort.kinds[name]) in AXES]
    if asked is not None:
        parts = asked.split(",")
        return asked if asked in able or (len(parts) > 1 and all(own.strip() in able for own in parts)) else None
    if method in METHODS or (method is None and len(able) == len(cohort.modalities)):
        if len(able) == 1:
            return able[0]
        there = ", ".join(able) or "none"
        raise Unsupported(f"name the modality to pretrain on; of kind {', '.join(AXES)} there are: {there}")
    return None


def require_of_rasters(method: str | None, **options: Any) -> None:
    """Refuse options of a pretraining on sequences."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(f"'{given[0]}' is an option of sequences: leave it out for '{method or 'mae'}'")


def require_of_sequences(**options: Any) -> None:
    """Refuse options of a pretraining on rasters."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(f"'{given[0]}' is an option of signals, images and volumes: leave it out for sequences")


def pretrain_rasters(
    cohort: Cohort,
    name: str,
    out: Path,
    asked: AskedOfRasters,
    *,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PretrainedRasters:
    """Pretrain a network on the sources of a modality, and write it as an encoder's folder.

    Raises:
        Unsupported, ValueError, ArtifactError: see `chiasm.pretrain`.
    """
    options = RasterOptions(
        asked.method or "mae",
        share=-1.0 if asked.share is None else asked.share,
        **{key: value for key, value in (asked.options or {}).items() if value is not None},
    )
    how = options.how
    if ("text" in how.beside) != (asked.text is not None) or ("labels" in how.beside) != asked.labels:
        reads = " and ".join(how.beside) or "nothing"
        raise ValueError(f"'{options.method}' reads {reads} beside the modality: name text and labels where it does")
    require_beside(cohort, asked.text, asked.labels)
    require_shareable(options.method, how, options, asked.processes)
    names = contrasts_named(cohort, name)
    if len(names) > len(set(names)) or (len(names) > 1 and how.networks != ("channels",)):
        able = " or ".join(own for own, method in METHODS.items() if method.networks == ("channels",))
        raise Unsupported(f"different modalities are pretrained on together as contrasts, by {able}")
    reading, parts = readings_of({own: _reading(cohort, own, asked) for own in names})
    config = raster_config(
        asked.network or how.networks[0], reading.axes, reading.channels, reading.size, options.method
    )
    checkpoint, anew = checkpoint_for(out, resume)
    encoded = encode(cohort.with_modalities(names), {own: _values_of(part) for own, part in parts.items()}, jobs=jobs)
    found_items = gathered(encoded.cohort, names)
    rows, items = found_items.rows, found_items.items
    units = np.arange(len(cohort)).astype(str) if cohort.group is None else alone_where_empty(cohort.group)
    corpus = corpus_of(items, units[rows].tolist(), options.held_out, seed)
    first = dict(zip(reversed(items), reversed(range(len(items))), strict=True))
    places = np.array([first[item] for item in corpus.items])
    beside = beside_of(cohort, rows[places], asked.text, asked.labels, jobs)
    if asked.steps is not None:
        each = steps_of_epoch(int((~corpus.held_out).sum()), options.batch)
        options = replace(options, epochs=max(1, -(-asked.steps // each)))
    out.parent.mkdir(parents=True, exist_ok=True)
    with followed("epochs", progress) as told:

        def run(sharing: Sharing | None, file: Path | None, place: str, tells: bool) -> None:
            found = pretrained_on_rasters(
                corpus, found_items.packed(places), config, options, beside=beside, seed=seed, checkpoint=file,
                device=place, progress=told if tells else silent, sharing=sharing,
            )  # fmt: skip
            if tells:
                stored = as_stored_raster(
                    found, corpus, reading, options, marks=found_items.contents if asked.marks else None,
                    contrasts={own: part.first for own, part in parts.items()} if len(names) > 1 else None,
                )  # fmt: skip
                artifact.save(out, stored)

        if asked.processes > 1:
            shared(asked.processes, options.precision, device, checkpoint, run)
        else:
            run(None, checkpoint, device, True)
    checkpoint.unlink(missing_ok=True)
    result = told_of_rasters(stored_raster(out), out, name, encoded.problems)
    return replace(result, notes=(ANEW, *result.notes)) if anew else result


def silent(finished: int, everything: int) -> None:
    """Tell nobody how far a pretraining is."""


def told_of_rasters(
    stored: StoredRaster, folder: Path, modality: str, problems: tuple[Problem, ...] = ()
) -> PretrainedRasters:
    """Put what a folder holds in words."""
    facts = {key: value for key, value in stored.facts.items() if key != "seen"}
    curve = pd.DataFrame(facts["curve"])
    curve.insert(0, "epoch", np.arange(1, len(curve) + 1))
    return PretrainedRasters(
        folder, modality, facts["kind"], stored.method, curve, facts["held_out_loss"], facts,
        tuple(said_of_rasters(facts, stored.method)), tuple(notes_on_rasters(facts)), problems,
    )  # fmt: skip


def _reading(cohort: Cohort, name: str, asked: AskedOfRasters) -> RasterReading:
    """Return how the sources become rasters: what is asked, else as the first source that can be read is.

    Raises:
        Unsupported: none of the first sources can be read.
    """
    kind = as_read(cohort.kinds[name])
    known = options_of(RasterReading, "reading", asked.reading)
    for taken in ("kind", "size"):
        if taken in known:
            raise ValueError(f"'{taken}' is no option of reading: the cohort says the kind, and size has its own name")
    leads = len(str(known["leads"]).split("+")) if known.get("leads") else 12 if kind == "ecg" else None
    channels, size = known.pop("channels", leads), asked.size
    if channels is None or size is None:
        shape, hz = _first_shape(cohort, name)
        space = shape[1:] if hz is None else (round(shape[1] * (known.get("hz", RasterReading.hz) or hz) / hz),)
        channels = channels or (3 if shape[0] == 4 and AXES[kind] == 2 else shape[0])
        size = size or own_size(space, AXES[kind])
    return RasterReading(kind, channels, size, **known)


def _first_shape(cohort: Cohort, name: str) -> tuple[tuple[int, ...], float | None]:
    """Return the shape of the first source that can be read, and of a signal its samples a second."""
    items, reader = cohort.raw(name), reader_for(cohort.kinds[name])
    if not isinstance(items, Items):
        raise Unsupported(f"modality '{name}' is encoded already: pretrain on the cohort as it is opened")
    with quiet():
        for number in range(min(len(items), LOOKED_AT)):
            try:
                value = reader.read(items[number])
            except ReadError:
                continue  # reported when all are read
            return tuple(value.values.shape), value.hz if isinstance(value, Signal) else None
    raise Unsupported(
        f"none of the first {min(len(items), LOOKED_AT)} sources of modality '{name}' can be read: look at chiasm check"
    )


def _values_of(reading: RasterReading) -> str:
    """Return the encoder whose tokens are the rasters themselves."""
    default = {field.name: field.default for field in fields(RasterReading)}
    own = {field.name: getattr(reading, field.name) for field in fields(RasterReading) if field.name != "kind"}
    said = [f"{key}={value}" for key, value in own.items() if value != default[key]]
    return ",".join(["raster:level=values", *said])
