"""The stage: records without outcomes to a network that tells what comes next, stopped by held-out patients."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from chiasm.cohort import Unsupported
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.encoders.record.event_tokens import CONCEPT, EventTokens
from chiasm.fusion.record_sequence import NARROWEST, RecordSequence, Told
from chiasm.heads.head import Head
from chiasm.pretraining.baselines import MOST_CELLS, ORDERS, order_losses
from chiasm.pretraining.corpus import Corpus
from chiasm.pretraining.records.objective import COLUMNS, TellingEvents
from chiasm.pretraining.records.options import NAME, RecordConfig, RecordOptions
from chiasm.pretraining.stage import BYTES_EACH, available_bytes
from chiasm.readers.reading import Events
from chiasm.tokens import PackedTokens
from chiasm.training import Examples, History, Network, Phase, TargetTensors, train
from chiasm.training.network import READING_BATCH

TASK = ("fusion.tasks", "fusion.read.")
"""How the names of parameters begin that belong to a target, of which a pretraining knows none."""


@dataclass(frozen=True, repr=False)
class RecordPretraining:
    """A network that was pretrained on records, and how that went.

    Args:
        network: at the epoch with the smallest held-out loss; events: the fitted encoder of what it reads.
        history: of the training.
        curve: one row an epoch: losses of training and of held-out events in nats, and the signs of a collapse.
        asked: number of held-out events that were asked for; of them all the rest is told.
        perplexity: among how many concepts the network is torn; baselines: those who count, see `order_losses`.
        wait: loss of the time to the next event; constant_wait: of how often it is zero in training, mean and spread.
        told: number of events of training that were read.
    """

    network: RecordSequence
    events: EventTokens
    history: History
    curve: tuple[dict[str, float], ...]
    asked: int
    perplexity: float
    baselines: dict[str, float] = field(default_factory=dict)
    wait: float = math.nan
    constant_wait: float = math.nan
    told: int = 0


def pretrained_on_records(
    corpus: Corpus,
    records: Sequence[Events],
    config: RecordConfig,
    options: RecordOptions,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda finished, everything: None,
) -> RecordPretraining:
    """Pretrain a network on records; those held out choose the epoch and nothing else.

    Args:
        corpus: their items and who is held out; records: of each item.
        checkpoint: file that is written after each epoch, and gone on from if it exists.
        progress: called with (finished, all) epochs.

    Raises:
        Unsupported: no code is shared by enough patients, no record of either side has two events of such codes, or a
            batch takes more memory than is free.
        ValueError: the loss is not finite.
        ArtifactError: the checkpoint is of another pretraining.
    """
    trained = np.flatnonzero(~corpus.held_out).tolist()
    try:
        events = config.events(options.longest).fit([records[k] for k in trained])
    except ValueError as fault:
        raise Unsupported(str(fault)) from fault
    rows, hours = _rows(events, records)
    for side, own in (("in training", trained), ("held out", np.flatnonzero(corpus.held_out).tolist())):
        if max(len(rows[k]) for k in own) < 2:
            raise Unsupported(
                f"no record {side} has two events whose codes patients share, so that nothing comes next: bring longer "
                "records, or lower share by --network gru:share=0.001"
            )
    require_memory_of(config, options, max(map(len, rows)))
    network = config.network(events, seeded(seed, "network"))
    tokens = PackedTokens.scatter(rows, np.arange(len(rows)), len(rows), events.width, 0, hours)
    nothing = TargetTensors(torch.zeros(len(rows)), torch.zeros(len(rows), dtype=torch.bool))
    examples = Examples({NAME: tokens}, np.ones((len(rows), 1), bool), nothing, corpus.held_out)
    objective = TellingEvents(_digest(config, events, rows, hours), lambda epochs: progress(epochs, options.epochs))
    whole = Network(network, cast(Head, nn.Identity()))  # nothing is predicted
    phase = Phase(options.training(), objective, trainable=of_records, name="pretrain")
    (history,) = train(whole, examples, [phase], seed=seed, checkpoint=checkpoint, device=device)
    with torch.inference_mode(), own_randomness(seed):
        told = list(objective.held_out(whole.eval(), examples.held_out_batches(READING_BATCH, "cpu")))
    curve = tuple(dict(zip(COLUMNS, row, strict=True)) for row in objective.curve)
    return RecordPretraining(
        network, events, history, curve, sum(len(own.concept) for own in told),
        told=sum(len(rows[k]) for k in trained),
        **judged_by_counts(told, [rows[k] for k in trained], [rows[k] for k in np.flatnonzero(corpus.held_out)]),
    )  # fmt: skip


def of_records(name: str) -> bool:
    """Tell whether a parameter reads records, and belongs to no target."""
    return name.startswith("fusion.") and not name.startswith(TASK)


def judged_by_counts(
    told: Sequence[Told], trained: Sequence[NDArray[np.float32]], held_out: Sequence[NDArray[np.float32]]
) -> dict[str, Any]:
    """Judge what was told of the held-out events beside those who count: `perplexity`, `baselines` and the waits.

    Args:
        told: of the held-out records.
        trained, held_out: events of the records of both sides, `(T, 6)` each.
    """
    losses, waits, answers, waited = (
        torch.cat([getattr(own, name) for own in told]).double().numpy()
        for name in ("concept", "wait", "answer", "waited")
    )
    sides = [[own[:, CONCEPT].astype(np.int64) for own in side] for side in (trained, held_out)]
    there = np.unique(np.concatenate([*sides[0], *sides[1]]))
    place = np.full(int(there.max()) + 1, -1)
    there = there[there > 0]
    place[there] = np.arange(len(there))
    of_training, of_held_out = ([place[own] for own in side] for side in sides)
    counts = np.bincount(np.concatenate(of_training) + 1, minlength=len(there) + 1)[1:] + 1.0
    unigram = -np.log(counts / counts.sum())[place[answers.astype(np.int64)]]
    baselines = {"uniform": float(len(there)), "unigram": _perplexity(unigram)}
    for order in [own for own in ORDERS[1:] if len(there) ** (own + 1) <= MOST_CELLS]:
        found = np.concatenate([own[1:] for own in order_losses(of_training, of_held_out, len(there), order)])
        baselines[f"order-{order}"] = _perplexity(found[~np.isnan(found)])
    before = np.log1p(np.concatenate([np.maximum(own[1:, -1], 0) for own in trained]))
    constant = _constant_wait(before, waited)
    return {
        "perplexity": _perplexity(losses),
        "baselines": baselines,
        "wait": float(waits.mean()),
        "constant_wait": float(constant.mean()),
    }


def _constant_wait(before: NDArray[np.float32], waited: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses of times `log(1 + hours)`, `(N,)`, by the share of zeros in training, and mean and spread of the rest."""
    later = before[before > 0].astype(np.float64)
    share = (len(later) + 1) / (len(before) + 2)
    mean, spread = (later.mean(), max(later.std(), math.exp(NARROWEST))) if len(later) else (0.0, 1.0)
    apart = 0.5 * ((waited - mean) / spread) ** 2 + math.log(spread)
    return np.where(waited > 0, apart - math.log(share), -math.log(1 - share))


def require_memory_of(config: RecordConfig, options: RecordOptions, longest: int) -> None:
    """Refuse a batch whose training takes more memory than the machine has free, before anything is trained.

    Raises:
        Unsupported: it takes more; the message says which batch would fit.
    """
    free = available_bytes()
    each = BYTES_EACH.get(config.cell, max(BYTES_EACH.values())) * longest * config.width * config.depth
    if free is None or each * options.batch <= free:
        return
    fits = free // each
    lower = f"lower batch to {fits:,}" if fits else "lower longest, or take a smaller network"
    raise Unsupported(
        f"a batch of {options.batch:,} records of {longest:,} events takes about {each * options.batch / 1e9:,.1f} GB "
        f"in training, and {free / 1e9:,.1f} GB are free: {lower}"
    )


def _rows(
    events: EventTokens, records: Sequence[Events]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return the events of each record and their hours, `(T, 6)` and `(T,)`."""
    rows, hours = [], []
    for record in records:
        own = events.encode([record])
        assert own.times is not None
        rows.append(own.values[0].numpy())
        hours.append(own.times[0].numpy())
    return rows, hours


def _digest(config: RecordConfig, events: EventTokens, rows: Sequence[np.ndarray], hours: Sequence[np.ndarray]) -> str:
    """Return a hash of the network's shape and of what it is trained on."""
    found = hashlib.sha256(f"{config} {events.vocabulary}".encode())
    for own, when in zip(rows, hours, strict=True):
        found.update(len(own).to_bytes(8, "little") + own.tobytes() + when.tobytes())
    return found.hexdigest()


def _perplexity(losses: NDArray[np.float64]) -> float:
    return math.exp(min(float(losses.mean()), 700.0)) if len(losses) else math.nan
