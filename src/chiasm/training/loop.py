"""Training loop: phases with early stopping on held-out patients and a checkpoint after every epoch.

Resuming is exact: stopped at any moment and resumed equals uninterrupted.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.compute.isolation import own_randomness, seeded, threads_for
from chiasm.protocols import HoldsFrozen
from chiasm.training.adamw import AdamW
from chiasm.training.batches import total_lengths, training_batches
from chiasm.training.checkpoint import Checkpoint, History, Progress, Running, finished_phases, restore
from chiasm.training.examples import Examples
from chiasm.training.network import Network
from chiasm.training.phase import Phase, Step


def train(
    network: Network,
    examples: Examples,
    phases: Sequence[Phase],
    *,
    seed: int,
    checkpoint: Path | None = None,
    device: str = "cpu",
    beside: str = "",
) -> tuple[History, ...]:
    """Train `network` in place, phase by phase; leave it in evaluation mode on the CPU, at the last one's best epoch.

    A phase starts where the one before ended, at its best validation epoch, and has its own optimiser.

    Args:
        examples: patients to train on and to stop by.
        phases: at least one; no two have the same name.
        seed: seed of the training; each phase derives its own from it and its name.
        checkpoint: file that is written after every epoch, and read first if it exists.
        beside: whatever else the training depends on, as text: a checkpoint goes on with the same alone.

    Returns:
        the history of each phase.

    Raises:
        ValueError: two phases have one name, one trains nothing, or the groups of one omit a parameter that it trains.
        ArtifactError: the checkpoint cannot be read, or is of another training.
    """
    names = [phase.name for phase in phases]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a training needs phases of different names, not {', '.join(names) or 'none at all'}")
    options = []
    for phase in phases:
        with phase.only(network) as trained:
            if not trained:
                raise ValueError(f"the phase '{phase.name}' trains no parameter: look at its `trainable`")
            learned = [name for name, own in network.named_parameters() if own.requires_grad]
            rates = [] if phase.groups is None else [rates_of(phase.parameter_groups(network, trained))]
        parts = [*(described(part) for part in (phase.objective, *phase.hooks)), *rates]
        options.append([phase.name, asdict(phase.options), learned, parts])
    made_for = json.dumps([seed, options, examples.digest(), *([beside] if beside else [])])
    file = None if checkpoint is None else Checkpoint(checkpoint, names, made_for)
    state = None if file is None else file.read()
    finished = [] if state is None else finished_phases(state)
    network.to(device)
    for phase in phases[len(finished) :]:
        finished.append(_phase(network, examples, phase, seeded(seed, phase.name), device, file, state, finished))
        state = None
    network.eval().cpu()
    return tuple(finished)


def rates_of(groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return of each group how many parameters it has, and what its rate is multiplied by, and its decay."""
    return [[len(own["params"]), own.get("scale"), own.get("weight_decay")] for own in groups]


def described(part: object) -> list[Any]:
    """Return the class of an objective or a hook and its options, the numbers and words that it was made with."""
    asked = inspect.signature(type(part)).parameters
    own = {name: value for name, value in vars(part).items() if isinstance(value, str | int | float | bool)}
    return [type(part).__name__, {name: value for name, value in own.items() if name in asked}]


def _phase(
    network: Network,
    examples: Examples,
    phase: Phase,
    seed: int,
    device: str,
    file: Checkpoint | None,
    state: dict[str, Any] | None,
    finished: Sequence[History],
) -> History:
    """Train one phase, from `state` if it was interrupted in it, and return to its best epoch."""
    options = phase.options
    rows, lengths = np.flatnonzero(~examples.held_out), total_lengths(examples.tokens)
    with phase.only(network) as trained:
        running = sum(parameter.numel() for parameter in trained)
        if isinstance(network.fusion, HoldsFrozen):
            running += network.fusion.frozen_parameters
        with own_randomness(seed, device), threads_for(6.0 * running * options.batch * 16):
            optimiser = AdamW(
                phase.parameter_groups(network, trained), lr=options.learning_rate, weight_decay=options.weight_decay,
                fused=device == "cpu",
            )  # fmt: skip
            generator = torch.Generator().manual_seed(seed)
            now = Running(network, phase, optimiser, generator)
            progress = Progress(_kept(network)) if state is None else restore(now, state)
            losses = progress.losses
            while len(losses) < options.epochs and len(losses) - _best(losses) <= options.patience:
                phase.training_mode(network)
                batches = training_batches(rows, lengths, options.batch, generator)
                for number, chosen in enumerate(batches):
                    _set_rate(optimiser, options.rate_at(len(losses) + number / len(batches)))
                    here = torch.from_numpy(examples.present[chosen])
                    here = _drop_modalities(here, options.modality_dropout, generator)
                    batch = examples.batch(chosen, device, here)
                    computed = phase.objective(network, batch)
                    optimiser.zero_grad()
                    computed.total.backward()  # type: ignore[no-untyped-call]
                    for hook in phase.hooks:
                        hook(Step(network, batch, computed, len(losses)))
                    norm = nn.utils.clip_grad_norm_(trained, 1.0)
                    progress.steps += 1
                    if not bool(torch.isfinite(norm)) or float(norm) == 0.0:
                        progress.skipped += 1  # no usable gradient, as in a batch without an event
                        continue
                    optimiser.step()
                losses.append(_validation_loss(network, examples, phase, device))
                if _best(losses) == len(losses):
                    progress.best = _kept(network)
                if file is not None:
                    file.write(now, progress, finished)
            network.load_state_dict(progress.best)
    return History(tuple(losses), _best(losses), progress.steps, progress.skipped)


def _kept(network: Network) -> dict[str, Any]:
    """Copy the network's state, as `copy.deepcopy` does, which took a tenth of the training of a small network."""
    state = network.state_dict()
    return {name: own.clone() if isinstance(own, Tensor) else copy.deepcopy(own) for name, own in state.items()}


def _validation_loss(network: Network, examples: Examples, phase: Phase, device: str) -> float:
    network.eval()
    if not examples.held_out.any():  # nobody is held out (one group is the whole cohort), so all epochs are run
        return 0.0
    with torch.inference_mode():
        held_out = examples.held_out_batches(phase.objective.reading_batch, device)
        return phase.objective.validation(network, held_out)


def _best(losses: list[float]) -> int:
    """Return the number (from 1) of the epoch with the smallest loss; 0 before the first.

    Ties go to the last epoch: held-out patients without an event have loss zero in every epoch, which must not stop the
    training. A NaN loss is worse than any other.
    """
    ranked = [math.inf if math.isnan(loss) else loss for loss in reversed(losses)]
    return len(losses) - ranked.index(min(ranked)) if losses else 0


def _set_rate(optimiser: AdamW, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def _drop_modalities(present: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    if chance <= 0:
        return present
    kept = present & (torch.rand(present.shape, generator=generator) >= chance)
    return torch.where(kept.any(1, keepdim=True), kept, present)
