"""`petl-ast`: PETL of AST (arXiv 2312.03694), bottleneck adapters at feed-forward and attention layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from chiasm.adapters import Bottleneck, ScaleShift, Together
from chiasm.adapters.sites import attentions, blocks, feed_forwards, norms, width_of
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import choice
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe

BLOCKS, POSITIONS = ("mlp", "conv", "conformer"), ("pfeiffer", "houlsby")
LAYOUTS, NORMS = ("parallel", "sequential", "replacing"), ("all", "adapted")


@dataclass(frozen=True)
class PetlAstRecipe(AdaptedRecipe):
    """Bottleneck adapters, `f(x) + up(act(conv(down(x))))` for a feed-forward or attention layer f, and trained norms.

    Args:
        block: "mlp", or "conv": gated, with a depthwise convolution along the tokens, as in a Conformer; "conformer":
            the same after a norm of its own, which the released code computes and drops.
        position: "pfeiffer": at the feed-forward networks; "houlsby": at the attentions too.
        layout: "parallel", or "sequential": the adapter reads the output of f; "replacing": the same without the
            residual, so that the adapter's output stands for f's.
        residual: in a parallel layout also add x, which then counts twice; a sequential adapter always has it.
        reduction: ratio of token width to adapter width.
        kernel: size of the convolution, odd.
        norms: also train norms.
        which_norms: "all", or "adapted": of each block the second norm (pfeiffer) or both (houlsby), and those outside
            the blocks. In a network with its norms first, these stand before the adapted layers.
    """

    block: str = "mlp"
    position: str = "pfeiffer"
    layout: str = "parallel"
    residual: bool = False
    reduction: int = 64
    kernel: int = 31
    norms: bool = True
    which_norms: str = "all"

    row: ClassVar[Row] = ROWS["petl-ast"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("block", self.block, BLOCKS)
        choice("position", self.position, POSITIONS)
        choice("layout", self.layout, LAYOUTS)
        choice("which_norms", self.which_norms, NORMS)
        if self.reduction < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"reduction={self.reduction} must be 1 or more and kernel={self.kernel} odd")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt each layer by a bottleneck, and each norm by a scale and a shift."""
        network = trunk.network
        convolves = self.block != "mlp"
        if convolves and trunk.pads:
            raise ValueError("its inputs are padded, and a convolution would read what stands there: take block=mlp")
        pairs = feed_forwards(network) + (attentions(network) if self.position == "houlsby" else ())
        width = max(1, width_of(network, blocks(network)[0]) // self.reduction)
        parallel = self.layout == "parallel"
        path = Bottleneck(
            width,
            dims=1 if convolves else 0,
            parallel=parallel,
            kernel=self.kernel,
            activation="silu" if convolves else "gelu",
            gate=convolves,
            norm=self.block == "conformer",
            residual=False if self.layout == "replacing" else True if parallel and self.residual else None,
            pairs=pairs if parallel else (),
        )
        own = tuple(name for pair in pairs for name in (dict.fromkeys(pair) if parallel else pair[1:]))
        trained = self.trained_norms(network) if self.norms else ()
        whole = Together((path, ScaleShift()), (own, tuple(name for name in trained if name not in trunk.unread)))
        return Adaptation(whole, whole.every)

    def trained_norms(self, network: nn.Module) -> tuple[str, ...]:
        """List the norms that are trained, by `which_norms`.

        Raises:
            ValueError: a block has not one norm for its attention and one for its feed-forward network.
        """
        every = norms(network)
        if self.which_norms == "all":
            return every
        found = [name for name in every if not any(name.startswith(f"{block}.") for block in blocks(network))]
        for block in blocks(network):
            own = [name for name in every if name.startswith(f"{block}.")]
            if len(own) != 2:
                raise ValueError(f"which_norms=adapted asks for two norms a block, and '{block}' has {len(own)}")
            found += own if self.position == "houlsby" else own[1:]
        return tuple(found)
