"""A curriculum: stages in turn, each with what it trains, on which questions and at which rate; nothing else moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from torch import Tensor

from chiasm.language.connected import AnswerLikelihood, Connected
from chiasm.training import Examples, History, Network, Objective, Phase, TrainOptions, train

CONNECTOR, TOWER, ADAPTER, LANGUAGE = "connectors.*", "towers.*", "adapted.*", "language.*"


@dataclass(frozen=True)
class Stage:
    """One stage.

    Args:
        name: enters the seed; the stages of a curriculum have different names.
        trains: patterns of the names of parameters that are trained, as `connectors.*`.
        examples: the questions, those held out among them.
        options: epochs, rate and batches.
        objective: what is minimised; the likelihood of the right answer unless told.
    """

    name: str
    trains: tuple[str, ...]
    examples: Examples
    options: TrainOptions
    objective: Objective = field(default_factory=AnswerLikelihood)


@dataclass(frozen=True)
class Finished:
    """What a stage did.

    Args:
        changed: names of the parameters that are others than before, sorted.
        history: losses by epoch.
    """

    name: str
    changed: tuple[str, ...]
    history: History


def run_stages(
    network: Network,
    stages: Sequence[Stage],
    *,
    seed: int,
    device: str = "cpu",
    checkpoint: Callable[[str], Path | None] = lambda stage: None,
) -> tuple[Finished, ...]:
    """Train a network of a `Connected` stage by stage; after each, only what it names has changed, to the byte.

    A stage of which nothing can be trained (a pattern without a parameter, as of adapters that there are none) is
    refused.

    Args:
        checkpoint: the file of each stage's checkpoint.

    Raises:
        ValueError: two stages have one name, or one trains nothing.
        RuntimeError: a parameter has changed that the stage does not train.
    """
    if len({own.name for own in stages}) < len(stages):
        raise ValueError("the stages of a curriculum have different names")
    fusion, found = network.fusion, []
    assert isinstance(fusion, Connected)
    for stage in stages:
        before = digests(fusion.everything())

        def trained(name: str, patterns: tuple[str, ...] = stage.trains) -> bool:
            return named(name.removeprefix("fusion."), patterns)

        phase = Phase(stage.options, stage.objective, trainable=trained, name=stage.name)
        (history,) = train(
            network, stage.examples, (phase,), seed=seed, checkpoint=checkpoint(stage.name), device=device
        )
        changed = moved(before, digests(fusion.everything()))
        wrong = [name for name in changed if not named(name, stage.trains)]
        if wrong:
            raise RuntimeError(f"stage '{stage.name}' changed '{wrong[0]}', which it does not train")
        found.append(Finished(stage.name, changed, history))
    return tuple(found)


def named(name: str, patterns: Iterable[str]) -> bool:
    """True if a parameter's name fits a pattern."""
    return any(fnmatchcase(name, own) for own in patterns)


def digests(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Return a hash of the bytes of each tensor by name."""
    return {
        name: hashlib.sha256(np.ascontiguousarray(own.detach().cpu().numpy()).tobytes()).hexdigest()
        for name, own in tensors
    }


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names whose bytes differ, sorted."""
    return tuple(sorted(name for name in before if before[name] != after.get(name)))
