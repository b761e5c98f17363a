"""The stage: rasters without outcomes to a network over them, by a method, watched on held-out patients."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from chiasm.cohort import Unsupported
from chiasm.compute.isolation import seeded
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import RasterNetwork, untrained
from chiasm.encoders.weights import seeded as drawn_from
from chiasm.errors import count
from chiasm.heads.head import Head
from chiasm.pretraining.corpus import Corpus
from chiasm.pretraining.rasters.augment import Augmentation
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.objective import COLUMNS, NAME, LearningRasters
from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.pretraining.rasters.together import Precise, Together
from chiasm.pretraining.stage import available_bytes
from chiasm.tokens import Packed, PackedTokens
from chiasm.training import Examples, History, Network, Phase, TargetTensors, train
from chiasm.training.batches import MOST_STEPS

READ_AT_ONCE = 64
Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class RasterPretraining:
    """A network that was pretrained on rasters, and how that went.

    Args:
        network: in evaluation mode, at the epoch that is kept.
        mean, deviation: `(C,)` float64 of the channels of the training items, by which rasters are standardised.
        history: of the training; its best epoch is the one that is kept.
        curve: one row an epoch: its losses of training and of held-out items, and the signs of a collapse.
        flat: number of items of one colour.
        nothing: the loss of one who knows nothing, where that is known; else NaN.
    """

    network: RasterNetwork
    mean: Floats
    deviation: Floats
    history: History
    curve: tuple[dict[str, float], ...]
    flat: int
    nothing: float = float("nan")


def pretrained_on_rasters(
    corpus: Corpus,
    rasters: Packed,
    config: RasterConfig,
    options: RasterOptions,
    *,
    beside: Mapping[str, NDArray[np.float32]] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda finished, everything: None,
    sharing: Callable[[Learner], Together] | None = None,
) -> RasterPretraining:
    """Pretrain a network on the items of a corpus, of which those held out are never trained on.

    Args:
        rasters: of each item one token, the numbers of its raster `(C, *space)` in row order; see `packed_rasters`.
        beside: what stands beside each item, by name, `(items, E)` float32, a row of NaN where there is none.
        checkpoint: file that is written after each epoch, and gone on from if it exists.
        progress: called with (finished, all) epochs.
        sharing: says of the learner how several processes share a step; None: this one runs it.

    Raises:
        Unsupported: all items are of one colour, or a batch that memory does not hold.
        ValueError: the loss is not finite, or what the method reads beside the items is missing.
        ArtifactError: the checkpoint is of another pretraining.
    """
    beside, how = dict(beside or {}), options.how
    if set(beside) != set(how.beside):
        raise ValueError(f"'{options.method}' reads beside the items: {', '.join(how.beside) or 'nothing'}")
    mean, deviation, flat = standard_of(rasters, ~corpus.held_out, config)
    learner = built(config, options, seed, {name: values.shape[1] for name, values in beside.items()})
    together = Precise(options.precision, device) if sharing is None else sharing(learner)
    items = len(corpus.items)
    tokens = {NAME: rasters} | {name: packed_rasters(values) for name, values in beside.items()}
    nothing = TargetTensors(torch.zeros(items), torch.zeros(items, dtype=torch.bool))
    names = sorted(tokens)
    examples = Examples(tokens, np.ones((items, len(names)), bool), nothing, corpus.held_out)
    require_room(learner, config, options, {name: values[:2] for name, values in beside.items()})
    objective = LearningRasters(
        config.shape, torch.from_numpy(mean).float(), torch.from_numpy(deviation).float(),
        Augmentation.of(config, learner.strong, options.axes_mirrored), chooses=how.chooses, batch=options.batch,
        steps=options.epochs * steps_of_epoch(int((~corpus.held_out).sum()), options.batch),
        options=digest_of(config, options, corpus, beside), beside=how.beside,
        progress=lambda epochs: progress(epochs, options.epochs),
        together=together,
    )  # fmt: skip
    whole = Network(learner, cast(Head, nn.Identity()))  # nothing is predicted
    phase = Phase(options.training(), objective, name="pretrain")
    (history,) = train(whole, examples, [phase], seed=seed, checkpoint=checkpoint, device=device)
    watched = COLUMNS if objective.compares else COLUMNS[:-1]
    curve = tuple(dict(zip(watched, map(float, row), strict=False)) for row in objective.curve)
    judged = min(int(corpus.held_out.sum()), options.batch)  # that are compared with each other
    guess = objective.guess if how.nothing is None else how.nothing(judged)
    return RasterPretraining(learner.network.eval(), mean, deviation, history, curve, flat, guess)


def packed_rasters(values: NDArray[np.float32]) -> PackedTokens:
    """Pack arrays `(n, P)` as one token each."""
    flat = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
    return PackedTokens(torch.from_numpy(flat), np.arange(len(flat) + 1), 1)


def built(config: RasterConfig, options: RasterOptions, seed: int, widths: Mapping[str, int] | None = None) -> Learner:
    """Make a fresh learner, its weights drawn from the seed; `widths` are those of what stands beside the items."""
    network = untrained(config, seeded(seed, "network"))
    own = seeded(seed, "learner")
    with drawn_from(own):
        learner = options.how.build(network, options, torch.Generator().manual_seed(own))
        learner.meet(widths or {})
        return learner


def standard_of(rasters: Packed, trained: NDArray[np.bool_], config: RasterConfig) -> tuple[Floats, Floats, int]:
    """Return mean and deviation of the channels of the items trained on, `(C,)`, and how many of all have one colour.

    A channel that is the same everywhere has the deviation 1. Those that an item of a `channels` network lacks do not
    count.

    Raises:
        Unsupported: all items trained on are of one colour.
        ValueError: rasters of another size.
    """
    if rasters.width != config.values:
        raise ValueError(f"rasters have {rasters.width:,} numbers, and the network reads {config.values:,}")
    channels, flat, varied = config.channels, 0, 0
    number, total, square = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    shift: Floats | None = None
    for start in range(0, len(trained), READ_AT_ONCE):
        rows = np.arange(start, min(start + READ_AT_ONCE, len(trained)))
        values = rasters.take(rows).values[:, 0].reshape(len(rows), channels, -1).double().numpy()
        one_value = values.max(2) == values.min(2)  # (b, C)
        alike = one_value.all(1)
        there = ~one_value | alike[:, None] if config.network == "channels" else np.ones_like(one_value)
        flat, varied = flat + int(alike.sum()), varied + int((~alike & trained[rows]).sum())
        values, there = values[trained[rows]], there[trained[rows]]
        if len(values):
            shift = values.mean((0, 2)) if shift is None else shift  # so that large means cancel no digits
            apart = (values - shift[:, None]) * there[..., None]
            number, total = number + there.sum(0) * values.shape[2], total + apart.sum((0, 2))
            square = square + (apart**2).sum((0, 2))
    if not varied or shift is None:
        raise Unsupported(
            f"all {count(int(trained.sum()), 'item')} trained on are of one colour: there is nothing to learn from them"
        )
    number = np.maximum(number, 1)
    mean = total / number
    variance = square / number - mean**2
    deviation = np.sqrt(np.where(variance > 1e-12 * np.maximum(1.0, shift**2), variance, 1.0))
    return shift + mean, deviation, flat


def require_room(
    learner: Learner, config: RasterConfig, options: RasterOptions, beside: Mapping[str, NDArray[np.float32]]
) -> None:
    """Refuse a batch whose training takes more memory than the machine has free, before anything is trained.

    What a step keeps for its gradient is measured on two items of noise, as the sizes of the tensors that torch saves.

    Raises:
        Unsupported: it takes more; the message says which batch would fit.
    """
    free = available_bytes()
    if free is None:
        return
    each = kept_bytes(learner, config, beside) // 2
    if each * options.batch <= free:
        return
    fits = free // each
    lower = f"lower batch to {fits:,}" if fits > 1 else "take a smaller size or network"
    raise Unsupported(
        f"a batch of {options.batch:,} items takes about {each * options.batch / 1e9:,.1f} GB in training, and "
        f"{free / 1e9:,.1f} GB are free: {lower}"
    )


def kept_bytes(learner: Learner, config: RasterConfig, beside: Mapping[str, NDArray[np.float32]]) -> int:
    """Return the bytes of the tensors that a step of two items keeps for its gradient, weights left out."""
    own = copy.deepcopy(learner).train()
    weights = {parameter.data_ptr() for parameter in own.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)  # so that no other takes its place in memory
        return tensor

    held: list[Tensor] = []
    with drawn_from(0), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        views = tuple(torch.randn(2, *config.shape) for _ in range(own.views))
        own(views, {name: torch.from_numpy(values) for name, values in beside.items()}, None)
    return sum(kept.values())


def steps_of_epoch(items: int, batch: int) -> int:
    """Return about how many steps an epoch takes."""
    return min(MOST_STEPS, max(1, round(items / batch)))


def digest_of(
    config: RasterConfig, options: RasterOptions, corpus: Corpus, beside: Mapping[str, NDArray[np.float32]]
) -> str:
    """Return a hash of all that a training depends on, but for the seed."""
    told = {"config": asdict(config), "options": asdict(options)}
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for item in corpus.items:
        found.update(item.encode("utf-8", "surrogatepass") + b"\0")
    for name in sorted(beside):
        found.update(name.encode() + np.ascontiguousarray(beside[name]).tobytes())
    return found.hexdigest()
