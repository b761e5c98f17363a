"""PETL of AST (arXiv 2312.03694): narrow paths beside the feed-forward networks and attentions of a transformer."""

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
    """`f(x) + up(act(conv(down(x))))`, f a feed-forward network or an attention, x what it reads; and trained norms.

    Args:
        block: "mlp", or "conv": gated, with a depthwise convolution along the tokens, as in a Conformer.
        position: "pfeiffer": at the feed-forward networks; "houlsby": at the attentions too.
        layout: "parallel", or "sequential": the path reads what f answers.
        residual: in parallel also adds x, so that it counts twice; in sequence it is there anyhow.
        reduction: width of the tokens over that of the path.
        kernel: of the convolution, odd.
        norms: whether the norms are trained.
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
        """A path at each layer, and a scale and a shift for each norm."""
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
