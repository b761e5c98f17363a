"""Recurrent stacks that read a sequence from left to right in pieces, each from the state that the last one left."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from chiasm.specs import loaded

PIECE = 64  # tokens that a stack reads at once: memory grows with it by the square, without it by the whole length

# cell -> the stack's class, `Stack(width, depth, heads)`
CELLS = {
    "gru": "chiasm.encoders.sequence.stacks:GruStack",
    "mamba": "chiasm.encoders.sequence.state_spaces:StateSpaceStack",
    "mamba2": "chiasm.encoders.sequence.state_spaces:Mamba2Stack",
    "mlstm": "chiasm.encoders.sequence.xlstm_blocks:MlstmStack",
    "xlstm": "chiasm.encoders.sequence.xlstm_blocks:XlstmStack",
}


class Stack(Protocol):
    """Protocol of a stack of recurrent layers: `scan` maps `(B, t, D)` and a state to `(B, t, D)` and the next state.

    Reading in pieces of any length, the state handed on, gives what reading at once does, to rounding. No position
    depends on a later one. None is the state before the first token.
    """

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]: ...


class GruStack(nn.Module):
    """Gated recurrent units (Cho et al., EMNLP 2014): layers, each added to what it reads, then a layer norm."""

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.GRU(width, width, batch_first=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def scan(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Read `(B, t, D)`; the state is one `(1, B, D)` for each layer."""
        after = []
        for place, layer in enumerate(self.layers):
            own, last = layer(x, None if state is None else state[place])
            x = x + own
            after.append(last)
        return self.norm(x), after


def make_stack(cell: str, width: int, depth: int, heads: int) -> Any:
    """Create a stack of a cell, with initial weights from torch's generator.

    Raises:
        ValueError: there is no such cell, or its heads do not divide the width.
        Unsupported: the package of the cell is missing.
    """
    if cell not in CELLS:
        raise ValueError(f"there is no cell '{cell[:40]}' for sequences: choose one of {', '.join(CELLS)}")
    return loaded(CELLS[cell])(width, depth, heads)
