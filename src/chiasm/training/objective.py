"""Training objectives: the interface of a loss that may adapt after each validation, and the head's own loss."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from chiasm.heads.head import Head
from chiasm.protocols import Fused


class Objective(Protocol):
    """Loss with a state, which checkpoints store; one object serves one training run."""

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """Return the loss of a training batch, a finite scalar; the loop adds the terms in `fused.losses`."""
        ...

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """Return the held-out loss by which epochs are compared; called once after each epoch."""
        ...

    def state(self) -> Any:
        """Return what was learned from validations so far, in a form that `save_checkpoint` stores."""
        ...

    def restore(self, state: Any) -> None:
        """Restore the state returned by `state`."""
        ...


class OwnLoss:
    """The head's own loss, without a state."""

    def __init__(self, head: Head) -> None:
        self.head = head

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """Return the mean loss of the batch."""
        return self.head.loss(link, value, event)

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """Return the mean loss of these patients."""
        return float(self.head.loss(link, value, event))

    def state(self) -> Any:
        """Return None: there is no state."""
        return None

    def restore(self, state: Any) -> None:
        """Do nothing: there is no state to restore."""
