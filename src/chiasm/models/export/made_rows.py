"""Patients made from a model's own schema, of every pattern of modalities: what an exported file is compared on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import parts_within
from chiasm.cohort import Cohort
from chiasm.cohort.digests import as_digests, digest_of
from chiasm.cohort.items import ValueSource
from chiasm.encoders.table.scaling import Scaler
from chiasm.fitting.model import FittedModel
from chiasm.models.export.forms import encoders_of
from chiasm.models.export.inputs import MASK, NUMBERS, PRESENT, TOKENS, WORDS, Form

Array = NDArray[Any]
EVERY_PATTERN = 6  # modalities up to which every pattern is made; beyond, patterns are drawn
OF_EACH, LEAST = 3, 48  # patients of a pattern, and in all
DRAWN = 64  # patterns that are drawn
LONGEST = 4  # tokens of a made bag
GAPS, ODD = 0.15, 0.05  # share of cells that are empty; that are infinite, or a level which no training patient had
BEYOND = 0.5  # how far beyond the training patients numbers may lie, in their range
UNKNOWN = "a level that no training patient had"


class MadeTokens(Sequence[Array]):
    """Tokens of made patients, as a store of tokens hands them on.

    Args:
        values: `(T_i, D)` float32 of each patient.
        slots: number of tokens of every patient, 0 where they differ.
    """

    def __init__(self, values: Sequence[Array], width: int, slots: int) -> None:
        self.values, self.width, self.slots = list(values), width, slots
        self.lengths = np.array([len(own) for own in self.values], np.int64)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: Any) -> Any:
        return self.take(np.arange(len(self))[row]) if isinstance(row, slice) else self.values[row]

    def take(self, rows: Sequence[int] | NDArray[np.int_]) -> MadeTokens:
        """Select patients."""
        return MadeTokens([self.values[int(row)] for row in rows], self.width, self.slots)

    def batch(self, rows: Sequence[int] | NDArray[np.int_]) -> tuple[Array, Array]:
        """Return padded values `(b, T, D)` float32 and their mask `(b, T)`."""
        return padded([self.values[int(row)] for row in rows], self.width, self.slots)


def padded(values: Sequence[Array], width: int, slots: int) -> tuple[Array, Array]:
    """Pad tokens with zeros to `(b, T, D)` float32, with their mask."""
    longest = slots or max([1, *map(len, values)])
    out, mask = np.zeros((len(values), longest, width), np.float32), np.zeros((len(values), longest), bool)
    for row, own in enumerate(values):
        out[row, : len(own)], mask[row, : len(own)] = own, True
    return out, mask


@dataclass(frozen=True, eq=False)
class MadeRows:
    """Made patients as a cohort, which the model reads, and as the inputs of its graph."""

    cohort: Cohort
    inputs: dict[str, Array]

    def without_traces(self, seed: int) -> dict[str, Array]:
        """Return the same inputs with something else behind every modality that a patient lacks."""
        draw, found = np.random.default_rng(seed), dict(self.inputs)
        for name in self.cohort.modalities:
            absent = ~self.inputs[f"{name}.{PRESENT}"]
            for part in (NUMBERS, WORDS, TOKENS, MASK):
                key = f"{name}.{part}"
                if key in found:
                    found[key] = found[key].copy()
                    found[key][absent] = _anything(found[key][absent], draw)
        return found


def _anything(values: Array, draw: np.random.Generator) -> Array:
    if values.dtype == object:
        return np.full(values.shape, UNKNOWN, object)
    if values.dtype == bool:
        return draw.random(values.shape) < 0.5
    chosen: Array = draw.choice(np.array([np.nan, 0.0, 1e9, -1e9, np.inf]), values.shape)
    return chosen.astype(values.dtype)


def made_rows(model: FittedModel, forms: Mapping[str, Form], seed: int = 0) -> MadeRows:
    """Make patients of every pattern of a model's modalities, with values in and around those of its training.

    No value of a training patient is copied but what the fitted parts hold: levels, and quantiles of ranked columns.
    """
    draw, names = np.random.default_rng(seed), list(forms)
    patterns = _patterns(len(names), draw)
    present = np.repeat(patterns, max(OF_EACH, -(-LEAST // len(patterns))), axis=0)
    n = len(present)
    scalers = {name: [*_scalers(model, name)] for name in names}
    inputs: dict[str, Array] = {}
    sources, rows, kinds = {}, {}, {}
    for m, name in enumerate(names):
        values, own = _made(forms[name], scalers[name], n, draw)
        inputs |= {f"{name}.{PRESENT}": present[:, m]} | {f"{name}.{part}": given for part, given in own.items()}
        digests = as_digests(digest_of(f"{name} {row}") for row in range(n))
        sources[name] = ValueSource(values, digests, None)
        rows[name] = np.where(present[:, m], np.arange(n), -1)
        kinds[name] = model.modalities[name]
    ids = np.array([f"{row:06d}" for row in range(n)])
    cohort = Cohort("made", ids, np.arange(n) + 2, None, None, kinds, sources, rows)
    return MadeRows(cohort, inputs)


def _patterns(modalities: int, draw: np.random.Generator) -> NDArray[np.bool_]:
    if modalities <= EVERY_PATTERN:
        return np.array([*product((False, True), repeat=modalities)], bool).reshape(-1, modalities)
    drawn = draw.random((DRAWN, modalities)) < 0.5
    return np.concatenate([np.zeros((1, modalities), bool), np.ones((1, modalities), bool), drawn])


def _scalers(model: FittedModel, modality: str) -> Iterator[Scaler]:
    for name, encoder in encoders_of(model):
        if name == modality:
            yield from (part for part in parts_within(encoder) if isinstance(part, Scaler))


def _made(form: Form, scalers: Sequence[Scaler], n: int, draw: np.random.Generator) -> tuple[Any, dict[str, Array]]:
    """Return the values of one modality as the model reads them, and as inputs of the graph."""
    own: dict[str, Array] = {}
    if form.width:
        lengths = np.full(n, form.slots) if form.slots else draw.integers(1, LONGEST + 1, n)
        tokens = [draw.normal(size=(length, form.width)).astype(np.float32) for length in lengths]
        own[TOKENS], own[MASK] = padded(tokens, form.width, form.slots)
        return MadeTokens(tokens, form.width, form.slots), own
    frame = pd.DataFrame(index=np.arange(n))
    if form.numbers:
        own[NUMBERS] = _numbers(form.numbers, scalers, n, draw)
        dtype = np.float32 if form.single else np.float64
        frame = pd.DataFrame(own[NUMBERS].astype(dtype), columns=list(form.numbers))
    if form.words:
        own[WORDS] = np.stack([_words(levels, n, draw) for levels in form.words.values()], axis=1)
        cells = pd.DataFrame(own[WORDS], columns=list(form.words)).astype(object)
        frame = pd.concat([frame, cells.where(cells != "", np.nan)], axis=1)
    return frame, own


def _words(levels: tuple[str, ...], n: int, draw: np.random.Generator) -> Array:
    chosen = draw.choice(np.array([*levels, UNKNOWN], object), n)
    return np.where(draw.random(n) < GAPS, "", chosen).astype(object)


def _numbers(columns: Sequence[str], scalers: Sequence[Scaler], n: int, draw: np.random.Generator) -> Array:
    """Draw numbers around those of training, some of them equal to a quantile, missing or infinite."""
    low, high = dict.fromkeys(columns, -3.0), dict.fromkeys(columns, 3.0)
    exact: dict[str, Array] = {}
    for scaler in scalers:
        spread = np.where(np.isfinite(scaler.scale), scaler.scale, 1.0)
        for place, column in enumerate(scaler.columns):
            low[column] = float(scaler.mean[place] - 2 * spread[place])
            high[column] = float(scaler.mean[place] + 2 * spread[place])
        for rank, place in enumerate(scaler.ranked.tolist()):
            exact[scaler.columns[place]] = scaler.knots[:, rank]
    values = np.empty((n, len(columns)))
    for k, column in enumerate(columns):
        more = BEYOND * (high[column] - low[column])
        values[:, k] = draw.uniform(low[column] - more, high[column] + more, n)
        if column in exact:
            values[:, k] = np.where(draw.random(n) < 0.3, draw.choice(exact[column], n), values[:, k])
    values[draw.random(values.shape) < GAPS] = np.nan
    values[draw.random(values.shape) < ODD] = np.inf
    return values
