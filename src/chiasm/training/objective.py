"""What a training minimises where it is not the head's own loss, and what it learns from every validation."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from chiasm.heads.head import Head
from chiasm.protocols import Fused


class Objective(Protocol):
    """A loss with a memory, which a checkpoint keeps; one object serves one training."""

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """Of a training batch, a finite scalar; the terms in `fused.losses` are added by the loop."""
        ...

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """The loss of the held-out patients, by which epochs are compared; called once after each of them."""
        ...

    def state(self) -> Any:
        """What was learned from validations so far, as `save_checkpoint` stores it."""
        ...

    def restore(self, state: Any) -> None:
        """Go on from what `state` gave."""
        ...


class OwnLoss:
    """The loss of the head, which remembers nothing."""

    def __init__(self, head: Head) -> None:
        self.head = head

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """The mean loss of the batch."""
        return self.head.loss(link, value, event)

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """The mean loss of these patients."""
        return float(self.head.loss(link, value, event))

    def state(self) -> Any:
        """Nothing."""
        return None

    def restore(self, state: Any) -> None:
        """Nothing to go on from."""
