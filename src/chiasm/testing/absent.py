"""Check of every training step that a fit takes: a batch in which nobody has a modality trains nothing of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
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

PATIENTS = 16
TRAIN = "chiasm.fitting.neural.train"


@contextmanager
def batches_that_lack_a_modality() -> Iterator[list[str]]:
    """Within, each phase of each training is first asked for one batch without each of its modalities.

    The loss is finite, and so are its gradients; what belongs to the modality alone has none, or zero. It belongs to
    it where a list within the fusion has one module for each modality, or a dictionary one by its name. The network,
    the objective and all randomness are copies: the training itself is left as it is.

    Yields:
        the phases that were asked, with the modality, in their order.

    Raises:
        AssertionError: the law does not hold; the message names the phase, the modality and the parameter.
    """
    asked: list[str] = []

    def watched(network: Network, examples: Examples, phases: Sequence[Phase], **options: Any) -> Any:
        for phase in phases:
            for m, name in enumerate(sorted(examples.tokens)):
                rows = np.flatnonzero(~examples.held_out & np.delete(examples.present, m, 1).any(1))[:PATIENTS]
                if len(rows) > 1:
                    _check(network, examples, phase, rows, m, name)
                    asked.append(f"{phase.name} without {name}")
        return train(network, examples, phases, **options)

    with patch(TRAIN, watched):
        yield asked


def _check(network: Network, examples: Examples, phase: Phase, rows: np.ndarray, m: int, name: str) -> None:
    """Take one step, without the optimiser, of patients who lack modality m."""
    made, objective = copy.deepcopy(network), copy.deepcopy(phase.objective)
    law, where = "a batch in which nobody has a modality trains nothing of it", f"phase '{phase.name}' without '{name}'"
    present = torch.from_numpy(examples.present[rows])
    present[:, m] = False
    with own_randomness(0), phase.only(made):
        phase.training_mode(made)
        total = objective(made, examples.batch(rows, "cpu", present)).total
        require(bool(torch.isfinite(total)), law, f"in {where} the loss is not finite")
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
    own = {id(parameter) for parameter in belonging(made.fusion, m, name, len(examples.tokens))}
    for key, parameter in made.named_parameters():
        gradient = parameter.grad
        if gradient is not None:
            require(bool(torch.isfinite(gradient).all()), law, f"in {where} a gradient of {key} is not finite")
            none = id(parameter) not in own or not bool(gradient.any())
            require(none, law, f"in {where} {key} has a gradient")


def belonging(fusion: nn.Module, m: int, name: str, modalities: int) -> list[nn.Parameter]:
    """Return the parameters of modality m alone: its module in each list of as many modules, or dictionary of names."""
    found: list[nn.Parameter] = []
    for module in fusion.modules():
        if isinstance(module, nn.ModuleList) and len(module) == modalities:
            found += module[m].parameters()
        elif isinstance(module, nn.ModuleDict) and name in module:
            found += module[name].parameters()
    return found
