"""Common steps of neural recipes: tokens of a cohort, a held-out split for early stopping, training and storing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from weakref import ref

import numpy as np
import torch
from torch import nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome, holdout
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.compute.memo import of_the_last, remember
from chiasm.encoders import fit_encoders, pack
from chiasm.fitting.base import Training
from chiasm.fitting.lineage import BegunFrom
from chiasm.fitting.space import CONNECTED, PAIRED, SENTENCES, TUNED, AligningFusion, Space
from chiasm.heads.head import Head, Level, output_width, target_tensors
from chiasm.heads.response import Response, calibrated_nll
from chiasm.linear.target_units import TargetUnits
from chiasm.protocols import Encoder, reads_inputs
from chiasm.tokens import Packed
from chiasm.training import Examples, History, Network, Phase, TargetTensors, predict_embedding, predict_link, train
from chiasm.training.batches import presence

VALIDATION = 0.2
MOST_KEPT = 1 << 24  # numbers of a training set that are kept for the next recipe, 64 MB
HELD_TO_ONE = 20.0  # events, or patients, that count as ones for a slope of one
Shapes = dict[str, tuple[int, int]]
ModuleT = TypeVar("ModuleT", bound=nn.Module)


def check_sizes(latents: int, latent_width: int, depth: int, heads: int) -> None:
    """Refuse implausible sizes, from an option or a model folder, before anything of that size is allocated.

    Raises:
        ValueError: latents or width outside 1 to 4,096, or depth or heads outside 1 to 64.
    """
    for name, value, most in (
        ("latents", latents, 4096), ("latent_width", latent_width, 4096), ("depth", depth, 64), ("heads", heads, 64),
    ):  # fmt: skip
        check_size(name, value, most)


def check_size(name: str, value: int, most: int = 4096) -> None:
    """Refuse a size below 1 or above `most`.

    Raises:
        ValueError: the size lies outside.
    """
    if not 1 <= value <= most:
        raise ValueError(f"{name} lies between 1 and {most}")


class Design(Protocol):
    """Storable sizes of a fusion module, from which the module is rebuilt."""

    @property
    def latent_width(self) -> int: ...

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> nn.Module: ...


@storable("network")
@dataclass(frozen=True)
class NetworkPredictor:
    """A trained network with its encoders.

    Args:
        encoders: one per modality.
        shapes: modality to (width, slots) of its tokens.
        design: builds the fusion module that `state` fills.
        kind, outputs: target kind and number of outputs of the head.
        centre, scale: undo the standardisation of a regression target; `(V,)` of channels.
        state: parameters and buffers of the network.
        notes: values that the recipe measured or chose during the fit, for readers of the model folder.
        begun_from: the source model whose weights it began with, then those that this one began with; empty: fresh.
    """

    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    design: Any
    kind: str
    outputs: int
    centre: Level
    scale: Level
    state: dict[str, np.ndarray]
    trained_parameters: int
    notes: dict[str, float] = field(default_factory=dict)
    begun_from: tuple[BegunFrom, ...] = ()

    @property
    def reads_inputs(self) -> bool:
        """True if an encoder's network is part of this one, so that its inputs are needed instead of stored tokens."""
        return any(reads_inputs(encoder) for encoder in self.encoders.values())

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64, in the cohort's sorted row order."""
        if not len(cohort):
            return np.zeros((0, self.outputs))
        tokens = pack(cohort, self.encoders)
        return predict_link(self._read_by(), tokens, presence(tokens, sorted(self.encoders))) * self.scale + self.centre

    def embedding(self, cohort: Cohort) -> np.ndarray:
        """Return the embedding of each patient, the input of the head: `(B, D)`, float64."""
        tokens = pack(cohort, self.encoders)
        return predict_embedding(self._read_by(), tokens, presence(tokens, sorted(self.encoders)))

    @property
    def space(self) -> Space | None:
        """The space of the modalities, where the recipe aligned them on patients who have several; else None.

        None too where they were then trained on the target.
        """
        if not self.notes.get(PAIRED) or self.notes.get(TUNED):
            return None
        groups = {name: int(self.notes.get(CONNECTED + name, 0)) for name in self.shapes}
        told = self.notes.get(CONNECTED + SENTENCES)
        fusion = cast(AligningFusion, self.network().fusion)
        return Space(self.encoders, fusion, groups, None if told is None else int(told))

    def network(self) -> Network:
        """Rebuild the trained network from its stored state."""
        module = self.untrained(0)
        restore(module, self.state)
        return module

    def untrained(self, seed: int) -> Network:
        """Build a network of the same design with fresh weights."""

        def make() -> Network:
            head = Head(self.design.latent_width, self.outputs, self.kind)
            return Network(self.design.fusion(self.shapes), head)

        return build(make, seed)

    def _read_by(self) -> Network:
        """Return what `network` builds, to read with: that of the predictor that was asked last is kept."""
        return of_the_last(_READING, self, self.network)


_READING: list[tuple[ref[NetworkPredictor], Network]] = []  # one at most, and none whose predictor is gone


@dataclass(frozen=True)
class Prepared:
    """A training cohort as tensors.

    Args:
        cohort: the B training patients.
        encoders, tokens: one per modality; the encoders as fitted, the tokens packed.
        present: `(B, M)` bool, which modalities each patient has.
        outcome: outcomes of the B patients, all known.
        target: the outcome as tensors; numbers are standardised by `centre` and `scale`, `(V,)` of channels.
        held_out: `(B,)` bool, patients used for early stopping and calibration only.
        offset: `(B, K)` float32, standardised as the target: the link to which the network's own is added; None: zero.
    """

    cohort: Cohort
    encoders: dict[str, Encoder]
    tokens: dict[str, Packed]
    present: np.ndarray
    outcome: Outcome
    target: TargetTensors
    centre: Level
    scale: Level
    held_out: np.ndarray
    offset: torch.Tensor | None = None

    @property
    def values(self) -> int:
        """Numbers that the tokens of all patients hold."""
        return sum(int(own.lengths.sum()) * own.width for own in self.tokens.values())

    @property
    def origin(self) -> Level:
        """What a network's own link has beside its scaled output: the target's centre, unless the offset has it."""
        return self.centre if self.offset is None else 0.0

    def started(self, rows: np.ndarray) -> np.ndarray | float:
        """Return the link to which the network's own is added, `(n, K)` of the patients `rows`; zero without one."""
        if self.offset is None:
            return 0.0
        return np.asarray(self.offset[torch.from_numpy(rows)].double().numpy() * self.scale + self.centre)

    @property
    def shapes(self) -> Shapes:
        return {name: (encoder.width, encoder.slots) for name, encoder in self.encoders.items()}

    def reading(self, modality: str) -> Prepared:
        """Return the same patients with the tokens of one modality alone."""
        column = self.cohort.modalities.index(modality)
        return replace(self, tokens={modality: self.tokens[modality]}, present=self.present[:, [column]])

    def subset(self, rows: np.ndarray) -> Prepared:
        """Return the patients `rows`."""
        return replace(
            self,
            cohort=self.cohort.subset(rows),
            tokens={name: packed.subset(rows) for name, packed in self.tokens.items()},
            present=self.present[rows],
            outcome=self.outcome.take(rows),
            target=self.target.take(rows),
            held_out=self.held_out[rows],
            offset=None if self.offset is None else self.offset[torch.from_numpy(rows)],
        )


def prepare(training: Training, encoders: dict[str, Encoder] | None = None) -> Prepared:
    """Fit the encoders on the cohort, unless given; pack its tokens and hold out a fifth of the patients."""
    cohort, outcome = training.cohort, training.outcome
    encoders = fit_encoders(cohort) if encoders is None else encoders
    tokens = pack(cohort, encoders)
    units = TargetUnits.of(training.target.kind, outcome)
    target = TargetTensors(*target_tensors(outcome, units.centre, units.scale))
    held_out = holdout(cohort, VALIDATION, seed=training.seed)
    offset = None if training.offset is None else torch.from_numpy(units.number(training.offset)).float()
    return Prepared(
        cohort, encoders, tokens, presence(tokens, cohort.modalities), outcome, target, units.centre, units.scale,
        held_out, offset,
    )  # fmt: skip


def prepared_once(training: Training) -> Prepared:
    """Prepare a training set by the encoders of its manifest, once for all recipes that read the same patients.

    Beyond 64 MB each prepares it anew: what several training sets hold would stay in memory.
    """
    key = ("prepared", training.seed, training.offset_digest)
    return remember(training.cohort.fingerprint, key, lambda: prepare(training), lambda data: data.values <= MOST_KEPT)


def build(make: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Initialise a module from its own seed, leaving the global generators unchanged."""
    with own_randomness(seed):
        return make()


def new_head(training: Training, width: int, seed: int) -> Head:
    """Create a head for the target, initialised from `seed`; upon an offset its last layer starts at zero."""
    head = build(lambda: Head(width, output_width(training.target), training.target.kind), seed)
    if training.offset is not None:
        for parameter in head.linear.parameters():
            nn.init.zeros_(parameter)
    return head


def fit_network(
    network: Network,
    data: Prepared,
    phases: Sequence[Phase],
    *,
    seed: int,
    checkpoint: Path | None,
    device: str,
    rows: np.ndarray | None = None,
) -> tuple[History, ...]:
    """Train a network on all patients or on `rows`, phase by phase; return the history of each.

    `seed`, `checkpoint` and `device` are passed on to `train`.
    """
    keep = np.arange(len(data.present)) if rows is None else rows
    tokens = {name: data.tokens[name].subset(keep) for name in sorted(data.tokens)}
    held_out = data.held_out[keep]
    if held_out.all() or not held_out.any():  # all patients of a rare modality fell on one side of the split
        held_out = holdout(data.cohort.subset(keep), VALIDATION, seed=seeded(seed, phases[0].name))
    offset = None if data.offset is None else data.offset[torch.from_numpy(keep)]
    examples = Examples(tokens, data.present[keep], data.target.take(keep), held_out, offset)
    return train(network, examples, phases, seed=seed, checkpoint=checkpoint, device=device)


def new_network(training: Training, data: Prepared, design: Design, dropout: float) -> Network:
    """Create the fusion of a design and a head, each from its own seed."""
    fusion = build(lambda: design.fusion(data.shapes, dropout), seeded(training.seed, "fusion"))
    return Network(fusion, new_head(training, design.latent_width, seeded(training.seed, "head")))


def held_out_loss(network: Network, data: Prepared) -> float:
    """Mean loss on the held-out patients; on all where none is held out."""
    own = data.subset(np.flatnonzero(data.held_out)) if data.held_out.any() else data
    link = torch.from_numpy(predict_link(network, own.tokens, own.present)).float()
    link = link if own.offset is None else link + own.offset
    return float(network.head.loss(link, own.target.value, own.target.event))


def held_out_nll(network: Network, data: Prepared, kind: str) -> float:
    """Return the negative log likelihood of the held-out patients, with the slope that suits it best.

    NaN where a link is no number, as after a training that diverged.
    """
    own = data.subset(np.flatnonzero(data.held_out))
    link = predict_link(network, own.tokens, own.present) * data.scale + data.origin
    link = link + own.started(np.arange(len(link)))
    return calibrated_nll(kind, link, own.outcome) if np.isfinite(link).all() else math.nan


def finish(
    training: Training, data: Prepared, network: Network, design: Design, notes: Mapping[str, float] | None = None
) -> tuple[NetworkPredictor, Response]:
    """Wrap a trained network as a predictor, with a response calibrated on the held-out patients."""
    names = sorted(data.tokens)

    def link_of(tokens: Mapping[str, Packed]) -> np.ndarray:
        return predict_link(network, tokens, presence(tokens, names)) * data.scale + data.origin

    response = calibrated(training, data, link_of)
    predictor = NetworkPredictor(
        data.encoders, data.shapes, design, training.target.kind, output_width(training.target), data.origin,
        data.scale, state_of(network), parameter_count(network), dict(notes or {}),
    )  # fmt: skip
    return predictor, response


def calibrated(training: Training, data: Prepared, link_of: Callable[[Mapping[str, Packed]], np.ndarray]) -> Response:
    """Fit the response on the held-out fifth; if nobody is held out (one group), on all patients without a slope.

    They are few, and training was stopped where it suited them, so that their slope is too large in the mean: it is
    held to one, the slope of a network that was trained on the likelihood by which it is judged.
    """
    calibrate = bool(data.held_out.any())
    rows = np.flatnonzero(data.held_out) if calibrate else np.arange(len(data.held_out))
    link = link_of({name: packed.subset(rows) for name, packed in data.tokens.items()}) + data.started(rows)
    return Response.fit(training.target, link, data.outcome.take(rows), calibrate=calibrate, held_to_one=HELD_TO_ONE)


def state_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Copy the module's parameters and buffers to arrays for storing."""
    return {key: value.detach().cpu().numpy().copy() for key, value in module.state_dict().items()}


def restore(module: nn.Module, state: Mapping[str, np.ndarray]) -> None:
    """Load a stored state into a module and set it to evaluation mode; keys and shapes must match."""
    module.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    module.eval()


def parameter_count(module: nn.Module) -> int:
    """Count the trainable parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
