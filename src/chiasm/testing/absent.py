"""Check of every training step that a fit takes: a batch in which nobody has a modality trains nothing of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from chiasm.compute.isolation import own_randomness
from chiasm.testing.laws import require
from chiasm.training import Examples, Network, Phase
from chiasm.training.loop import train
from chiasm.training.objective import PENALTY, Objective
from chiasm.training.phase import Hook, Step

PATIENTS = 16
TRAIN = "chiasm.fitting.neural.train"
LAW = "a batch in which nobody has a modality trains nothing of it"
Unit = tuple[str, int]
"""A parameter by its name, and which of its rows; -1: the whole."""
WHOLE = -1
Parts = tuple[Network, Objective, Sequence[Hook]]


@contextmanager
def batches_that_lack_a_modality() -> Iterator[list[str]]:
    """Within, each phase of each training is first asked for one batch without each of its modalities.

    The loss is finite, and so are its gradients, as the phase's hooks leave them; what belongs to the modality alone
    has none, or zero. What belongs to it `parted` finds; a penalty of weights, which reads no patient, is left out.
    Network, objective, hooks and all randomness are copies: the training itself is left as it is.

    Yields:
        the phases that were asked, with the modality, in their order.

    Raises:
        AssertionError: the law does not hold; the message names the phase, the modality and the parameter.
    """
    asked: list[str] = []

    def watched(network: Network, examples: Examples, phases: Sequence[Phase], **options: Any) -> Any:
        names = sorted(examples.tokens)
        for phase in phases:
            found: dict[int, set[Unit]] = {}
            left: dict[int, set[Unit]] = {}  # what the hooks leave
            copied = None if phase.hooks else _copied(network, phase)  # hooks may remember a batch: each has fresh ones
            for m, name in enumerate(names):
                rows = np.flatnonzero(~examples.held_out & np.delete(examples.present, m, 1).any(1))[:PATIENTS]
                if len(rows) > 1:
                    found[m], left[m] = _moved(copied or _copied(network, phase), examples, phase, rows, m, name)
                    asked.append(f"{phase.name} without {name}")
            for parts in parted(network, names, found):
                for m in left:
                    for key, _ in sorted(parts[m] & left[m]):
                        require(False, LAW, f"in phase '{phase.name}' without '{names[m]}' {key} has a gradient")
        return train(network, examples, phases, **options)

    with patch(TRAIN, watched):
        yield asked


def _copied(network: Network, phase: Phase) -> Parts:
    """Copy them together: an objective or a hook may know the network's parts."""
    return copy.deepcopy((network, phase.objective, phase.hooks))


def _moved(
    copied: Parts, examples: Examples, phase: Phase, rows: np.ndarray, m: int, name: str
) -> tuple[set[Unit], set[Unit]]:
    """Take one step, without the optimiser, of patients who lack modality m.

    Returns:
        What has a gradient in it, and what has one after the hooks.
    """
    made, objective, hooks = copied
    made.zero_grad(set_to_none=True)
    where = f"phase '{phase.name}' without '{name}'"
    present = torch.from_numpy(examples.present[rows])
    present[:, m] = False
    with own_randomness(0), phase.only(made):
        phase.training_mode(made)
        batch = examples.batch(rows, "cpu", present)
        computed = objective(made, batch)
        total = sum((own for name, own in computed.losses.items() if not name.startswith(PENALTY)), torch.zeros(()))
        require(bool(torch.isfinite(total)), LAW, f"in {where} the loss is not finite")
        if not total.requires_grad:
            return set(), set()
        total.backward()  # type: ignore[no-untyped-call]
        before = _with_gradient(made, len(examples.tokens), where)
        for hook in hooks:
            hook(Step(made, batch, computed, 0))
        return before, _with_gradient(made, len(examples.tokens), where) if hooks else before


def _with_gradient(network: Network, modalities: int, where: str) -> set[Unit]:
    moved: set[Unit] = set()
    for key, parameter in network.named_parameters():
        gradient = parameter.grad
        if gradient is not None:
            require(bool(torch.isfinite(gradient).all()), LAW, f"in {where} a gradient of {key} is not finite")
            moved |= {(key, row) for row in _rows(parameter, modalities) if bool(gradient[row].any())}
            moved |= {(key, WHOLE)} if bool(gradient.any()) else set()
    return moved


def parted(network: Network, names: Sequence[str], found: Mapping[int, set[Unit]]) -> Iterator[list[set[Unit]]]:
    """Yield what holds one part for each modality: the parts, by modality.

    A dictionary by the modalities' names does, registered or not. A list of as many modules or parameters as there are
    modalities, and a parameter of as many rows, do where most of the parts that learn show it: something in the part
    has no gradient without the modality, and one without another. So layers, of which there may be as many, do not.

    Args:
        found: what had a gradient in a batch without modality m, by m, before hooks.
    """
    count, keys = len(names), {id(own): key for key, own in network.named_parameters()}

    def units(part: object) -> set[Unit]:
        own = part.parameters() if isinstance(part, nn.Module) else [part]
        return {(keys[id(parameter)], WHOLE) for parameter in own if id(parameter) in keys}

    for module in network.fusion.modules():
        for held in (module, *vars(module).values()):
            if isinstance(held, nn.ModuleDict | nn.ParameterDict | dict) and set(held) & set(names):
                parts = {name: held[name] for name in names if name in held}
                if all(isinstance(own, nn.Module | nn.Parameter) for own in parts.values()):
                    named = [units(parts[name]) if name in parts else set() for name in names]
                    yield [own.difference(*named[:m], *named[m + 1 :]) for m, own in enumerate(named)]
        if isinstance(module, nn.ModuleList | nn.ParameterList) and len(module) == count:
            listed = [units(part) for part in module]
            if _shown(listed, found):
                yield listed
    for key, parameter in network.fusion.named_parameters(prefix="fusion"):
        rows: list[set[Unit]] = [{(key, row)} for row in _rows(parameter, count)]
        if rows and _shown(rows, found):
            yield rows


def _shown(parts: Sequence[set[Unit]], found: Mapping[int, set[Unit]]) -> bool:
    """Tell whether most of the parts that learn hold something that learns of their own modality alone."""
    learn = [m for m in found if any(parts[m] & moved for moved in found.values())]
    own = [m for m in learn if any(parts[m] & (moved - found[m]) for k, moved in found.items() if k != m)]
    return 2 * len(own) > len(learn)


def _rows(parameter: nn.Parameter, modalities: int) -> range:
    return range(modalities if parameter.ndim > 1 and len(parameter) == modalities else 0)
