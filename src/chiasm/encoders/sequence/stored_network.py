"""A sequence network as a folder of safetensors and JSON, which pretraining writes and an encoder opens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm import artifact
from chiasm.artifact import storable
from chiasm.encoders.sequence.network import SequenceConfig, SequenceNetwork, untrained
from chiasm.encoders.weights import fill


@storable("sequence-network")
@dataclass(frozen=True)
class StoredNetwork:
    """What the folder of a sequence network holds.

    Args:
        config: the network's shape.
        weights: its parameters by name.
        method: the objective that trained it.
        facts: what is known of its training, without identifiers: texts, numbers, lists of them.
    """

    config: SequenceConfig
    weights: dict[str, np.ndarray]
    method: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def network(self) -> SequenceNetwork:
        """Return the network, in evaluation mode.

        Raises:
            ValueError: the weights are of another network.
        """
        network = untrained(self.config)
        fill(network, {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()})
        return network.eval()


def store_network(
    folder: Path | str, network: SequenceNetwork, method: str = "", facts: dict[str, Any] | None = None
) -> None:
    """Write a network as a folder, whole or not at all; raises as `artifact.save` does."""
    weights = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    artifact.save(folder, StoredNetwork(network.config, weights, method, dict(facts or {})))


def stored_network(folder: Path | str) -> StoredNetwork:
    """Open what `store_network` wrote.

    Raises:
        ArtifactError: it is no such folder, or it is damaged.
    """
    found = artifact.load(Path(folder))
    if not isinstance(found, StoredNetwork):
        raise artifact.ArtifactError(f"'{Path(folder).name}' holds no sequence network: name the folder of one")
    return found
