"""Training loop with early stopping on an inner split and a checkpoint after every epoch; resuming is exact."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import load_checkpoint, save_checkpoint
from chiasm.compute.isolation import own_randomness, threads_for
from chiasm.heads.head import Head
from chiasm.protocols import Fused, HoldsFrozen
from chiasm.tokens import Packed, Tokens
from chiasm.training.batches import reading_batches, take, total_lengths, training_batches
from chiasm.training.objective import Objective, OwnLoss

READING_BATCH = 256


@dataclass(frozen=True)
class TrainOptions:
    """Training options of a network.

    Args:
        epochs: maximum number of epochs.
        patience: training stops after more than this many epochs without a better or equal validation loss.
        batch: patients per step.
        learning_rate: peak rate of AdamW, warmed up over about one epoch and decayed to a tenth along a half cosine.
        weight_decay: weight decay of AdamW.
        modality_dropout: probability that a present modality of a training patient is dropped in a step; a patient
            keeps all modalities if every one would be dropped.
    """

    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 0),
            ("patience", self.patience, 0),
            ("batch", self.batch, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, and must be {least} or more")
        for name, rate in (("learning_rate", self.learning_rate), ("weight_decay", self.weight_decay)):
            if not 0 <= rate < math.inf:
                raise ValueError(f"{name} is {rate}, and must be 0 or more, and finite")
        check_chance("modality_dropout", self.modality_dropout)


def check_chance(name: str, value: float) -> None:
    """Check that a value is a dropout probability, at least 0 and below 1.

    Raises:
        ValueError: the value is below 0, or 1 or more.
    """
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}, and must lie between 0 and 1, below 1")


@dataclass(frozen=True)
class History:
    """Training history: the validation loss after each epoch, the best epoch's number, and the number of steps skipped.

    A step is skipped if its gradient is zero or not finite.
    """

    validation: tuple[float, ...]
    best_epoch: int
    skipped_steps: int


class Network(nn.Module):
    """Fusion module and head, which map tokens of the present modalities to the link, `(B, K)`."""

    def __init__(self, fusion: nn.Module, head: Head) -> None:
        super().__init__()
        self.fusion = fusion
        self.head = head

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> tuple[Tensor, Fused]:
        """Return the link and the output of the fusion."""
        fused: Fused = self.fusion(tokens, present)
        return self.head(fused.embedding), fused


def train(
    network: Network,
    tokens: Mapping[str, Packed],
    present: np.ndarray,
    value: Tensor,
    event: Tensor,
    held_out: np.ndarray,
    options: TrainOptions,
    *,
    seed: int,
    checkpoint: Path | None = None,
    device: str = "cpu",
    groups: Sequence[Mapping[str, Any]] | None = None,
    objective: Objective | None = None,
) -> History:
    """Train `network` in place and leave it at its best validation epoch, in evaluation mode on the CPU.

    Args:
        tokens: modality to the tokens of all patients, training and held out.
        present: `(B, M)` bool, modalities sorted by name.
        value, event: the outcome, as returned by `target_tensors`.
        held_out: `(B,)` bool, patients used for early stopping and never trained on.
        checkpoint: file that is written after every epoch, and read first if it exists.
        groups: parameter groups, as returned by `layer_rates`: "params", and optionally "weight_decay" and "scale",
            which multiplies the rate; None: one group of all trainable parameters.
        objective: replaces the head's own loss.

    Raises:
        ValueError: `groups` omit a trainable parameter.
    """
    aim = OwnLoss(network.head) if objective is None else objective
    rows, watched = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    lengths = total_lengths(tokens)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    running = sum(parameter.numel() for parameter in trainable)
    if isinstance(network.fusion, HoldsFrozen):
        running += network.fusion.frozen_parameters
    work = 6.0 * running * options.batch * 16
    with own_randomness(seed, device), threads_for(work):
        network.to(device)
        optimiser = torch.optim.AdamW(
            _groups(trainable, groups), lr=options.learning_rate, weight_decay=options.weight_decay,
            fused=device == "cpu",
        )  # fmt: skip
        generator = torch.Generator().manual_seed(seed)
        best, skipped = copy.deepcopy(network.state_dict()), 0
        losses: list[float] = []
        if checkpoint is not None and checkpoint.exists():
            best, losses, skipped = _resume(checkpoint, network, optimiser, generator, aim)
        while len(losses) < options.epochs and len(losses) - _best(losses) <= options.patience:
            network.train()
            batches = training_batches(rows, lengths, options.batch, generator)
            for step, batch in enumerate(batches):
                _set_rate(optimiser, options, len(losses) + step / len(batches))
                here = _drop_modalities(torch.from_numpy(present[batch]), options.modality_dropout, generator)
                link, fused = network(take(tokens, batch, device), here.to(device))
                loss = aim.loss(link, fused, value[batch].to(device), event[batch].to(device))
                loss = loss + sum(fused.losses.values(), torch.zeros((), device=device))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = nn.utils.clip_grad_norm_(trainable, 1.0)
                if not bool(torch.isfinite(norm)) or float(norm) == 0.0:
                    skipped += 1  # no usable gradient, as in a batch without an event
                    continue
                optimiser.step()
            losses.append(_validation_loss(network, tokens, present, value, event, watched, device, aim))
            if _best(losses) == len(losses):
                best = copy.deepcopy(network.state_dict())
            if checkpoint is not None:
                _write(checkpoint, network, optimiser, generator, best, losses, skipped, aim)
        network.load_state_dict(best)
        network.eval().cpu()
    return History(tuple(losses), _best(losses), skipped)


def predict_link(
    network: Network, tokens: Mapping[str, Packed], present: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """Predict the link of every patient in evaluation mode, `(B, K)` float64; the network's mode is restored."""
    return _predict(network, tokens, present, device, lambda link, fused: link)


def predict_embedding(
    network: Network, tokens: Mapping[str, Packed], present: np.ndarray, device: str = "cpu"
) -> np.ndarray:
    """Compute the embedding of every patient in evaluation mode, the input of the head: `(B, D)` float64."""
    return _predict(network, tokens, present, device, lambda link, fused: fused.embedding)


def _predict(
    network: Network,
    tokens: Mapping[str, Packed],
    present: np.ndarray,
    device: str,
    wanted: Callable[[Tensor, Fused], Tensor],
) -> np.ndarray:
    out: np.ndarray | None = None
    was_training = network.training
    network.eval().to(device)
    work = 2.0 * sum(parameter.numel() for parameter in network.parameters()) * READING_BATCH * 16
    with torch.inference_mode(), threads_for(work):
        for batch in reading_batches(total_lengths(tokens), READING_BATCH):
            found = wanted(*network(take(tokens, batch, device), torch.from_numpy(present[batch]).to(device)))
            if out is None:
                out = np.zeros((len(present), found.shape[1]))
            out[batch] = found.cpu().double().numpy()
    network.train(was_training)
    return out if out is not None else np.zeros((0, 1))


def _validation_loss(
    network: Network,
    tokens: Mapping[str, Packed],
    present: np.ndarray,
    value: Tensor,
    event: Tensor,
    rows: np.ndarray,
    device: str,
    aim: Objective,
) -> float:
    network.eval()
    links = []
    if not len(rows):  # nobody is held out (one group is the whole cohort), so all epochs are run
        return 0.0
    with torch.inference_mode():
        for start in range(0, len(rows), READING_BATCH):
            batch = rows[start : start + READING_BATCH]
            links.append(network(take(tokens, batch, device), torch.from_numpy(present[batch]).to(device))[0].cpu())
        return aim.validated(torch.cat(links), value[rows], event[rows])


def _best(losses: list[float]) -> int:
    """Return the number (from 1) of the epoch with the smallest loss; 0 before the first.

    Ties go to the last epoch: held-out patients without an event have loss zero in every epoch, which must not stop the
    training. A NaN loss is worse than any other.
    """
    ranked = [math.inf if math.isnan(loss) else loss for loss in reversed(losses)]
    return len(losses) - ranked.index(min(ranked)) if losses else 0


def _groups(trainable: list[nn.Parameter], groups: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    if groups is None:
        return [{"params": trainable}]
    listed = {id(parameter) for group in groups for parameter in group["params"]}
    if any(id(parameter) not in listed for parameter in trainable):
        raise ValueError("a parameter that is trained is in no group: list it, or freeze it")
    return [dict(group) for group in groups]


def _set_rate(optimiser: torch.optim.Optimizer, options: TrainOptions, epoch: float) -> None:
    warm = min(1.0, epoch + 0.1)
    rate = options.learning_rate * warm * (0.55 + 0.45 * math.cos(math.pi * min(1.0, epoch / options.epochs)))
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("scale", 1.0)


def _drop_modalities(present: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    if chance <= 0:
        return present
    kept = present & (torch.rand(present.shape, generator=generator) >= chance)
    return torch.where(kept.any(1, keepdim=True), kept, present)


def _write(
    path: Path,
    network: Network,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    best: Mapping[str, Tensor],
    losses: list[float],
    skipped: int,
    aim: Objective,
) -> None:
    moments = {str(index): dict(state) for index, state in optimiser.state_dict()["state"].items()}
    save_checkpoint(
        path,
        {
            "network": dict(network.state_dict()),
            "best": dict(best),
            "optimiser": moments,
            "generator": generator.get_state(),
            "torch_state": torch.get_rng_state(),
            "device_state": torch.cuda.get_rng_state() if next(network.parameters()).is_cuda else None,
            "losses": losses,
            "skipped": skipped,
            "objective": aim.state(),
        },
    )


def _resume(
    path: Path, network: Network, optimiser: torch.optim.Optimizer, generator: torch.Generator, aim: Objective
) -> tuple[dict[str, Tensor], list[float], int]:
    state = load_checkpoint(path)
    network.load_state_dict(_tensors(state["network"]))
    fresh = optimiser.state_dict()
    fresh["state"] = {int(index): _tensors(moments) for index, moments in state["optimiser"].items()}
    optimiser.load_state_dict(fresh)
    generator.set_state(torch.from_numpy(state["generator"]))
    torch.set_rng_state(torch.from_numpy(state["torch_state"]))
    aim.restore(state["objective"])
    if state["device_state"] is not None and next(network.parameters()).is_cuda:
        torch.cuda.set_rng_state(torch.from_numpy(state["device_state"]))
    return _tensors(state["best"]), [float(loss) for loss in state["losses"]], int(state["skipped"])


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}
