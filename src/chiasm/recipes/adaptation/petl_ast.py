"""`petl-ast`: PETL of AST (arXiv 2312.03694), bottleneck adapters at feed-forward and attention layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import Bottleneck, ScaleShift, Together
from chiasm.adapters.sites import attentions, blocks, feed_forwards, norms, width_of
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import choice
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe

BLOCKS, POSITIONS, LAYOUTS = ("mlp", "conv"), ("pfeiffer", "houlsby"), ("parallel", "sequential")


@dataclass(frozen=True)
class PetlAstRecipe(AdaptedRecipe):
    """Bottleneck adapters, `f(x) + up(act(conv(down(x))))` for a feed-forward or attention layer f, and trained norms.

    Args:
        block: "mlp", or "conv": gated, with a depthwise convolution along the tokens, as in a Conformer.
        position: "pfeiffer": at the feed-forward networks; "houlsby": at the attentions too.
        layout: "parallel", or "sequential": the adapter reads the output of f.
        residual: in a parallel layout also add x, which then counts twice; a sequential adapter always has it.
        reduction: ratio of token width to adapter width.
        kernel: size of the convolution, odd.
        norms: also train the norms.
    """

    block: str = "mlp"
    position: str = "pfeiffer"
    layout: str = "parallel"
    residual: bool = False
    reduction: int = 64
    kernel: int = 31
    norms: bool = True

    row: ClassVar[Row] = ROWS["petl-ast"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("block", self.block, BLOCKS)
        choice("position", self.position, POSITIONS)
        choice("layout", self.layout, LAYOUTS)
        if self.reduction < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"reduction={self.reduction} must be 1 or more and kernel={self.kernel} odd")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt each layer by a bottleneck, and each norm by a scale and a shift."""
        network = trunk.network
        if self.block == "conv" and trunk.pads:
            raise ValueError("its inputs are padded, and a convolution would read what stands there: take block=mlp")
        pairs = feed_forwards(network) + (attentions(network) if self.position == "houlsby" else ())
        width = max(1, width_of(network, blocks(network)[0]) // self.reduction)
        parallel = self.layout == "parallel"
        path = Bottleneck(
            width,
            dims=1 if self.block == "conv" else 0,
            parallel=parallel,
            kernel=self.kernel,
            activation="silu" if self.block == "conv" else "gelu",
            gate=self.block == "conv",
            residual=True if parallel and self.residual else None,
            pairs=pairs if parallel else (),
        )
        own = tuple(name for pair in pairs for name in (dict.fromkeys(pair) if parallel else pair[1:]))
        trained = norms(network) if self.norms else ()
        whole = Together((path, ScaleShift()), (own, tuple(name for name in trained if name not in trunk.unread)))
        return Adaptation(whole, whole.every)
