"""`unit`: label maps by queries of organs, of tumours in them and of their kinds, each within what holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.neural import check_size, check_sizes
from chiasm.fitting.row import Row
from chiasm.fusion.transformer import check_heads
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.drawing import DrawnMaps
from chiasm.segmentation.label_tree import Parents, check_tree, read_tree
from chiasm.segmentation.model import OutlinerDesign
from chiasm.segmentation.queried import Queried


@storable("unit")
@dataclass(frozen=True)
class QueriedDesign:
    """Sizes of a `Queried` network, and what lies within what.

    Args:
        parents: of each label the node that holds it, -1 where none does; behind the labels nodes that are none.
    """

    width: int
    depth: int
    latent_width: int
    heads: int
    parents: tuple[int, ...]
    hierarchy: bool = True

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_sizes(1, self.latent_width, 1, self.heads)
        check_size("depth", self.depth, 6)
        check_heads(self.latent_width, self.heads)
        check_tree(self.parents)

    def network(self, channels: dict[str, int], axes: int, labels: int) -> Queried:
        """Build a fresh network for these contrasts.

        Raises:
            ValueError: the tree is of other labels.
        """
        if len(self.parents) < labels:
            raise ValueError("the tree is of fewer labels than the network draws")
        return Queried(
            channels, axes, labels, self.parents, width=self.width, depth=self.depth, latent=self.latent_width,
            heads=self.heads, hierarchy=self.hierarchy,
        )  # fmt: skip


@dataclass(frozen=True)
class UniT(OfMasks):
    """The label of each pixel by queries, one a label, and never more probable than the label that holds it.

    Args:
        tree: what lies within what, as `tumour<liver/benign<tumour`; a name that is no label stands for all in it;
            empty: no label lies within another.
        hierarchy: whether queries and probabilities follow the tree; false: as many parameters, and one softmax.
        width: channels at full size; each step down has twice as many.
        depth: steps down.
        latent_width, heads: of the queries.
    """

    tree: str = ""
    hierarchy: bool = True
    width: int = 16
    depth: int = 3
    latent_width: int = 32
    heads: int = 4

    row: ClassVar[Row] = ROWS["unit"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.sized((-1,))  # refuses invalid values

    def sized(self, parents: Parents) -> QueriedDesign:
        """The sizes of the network for a tree."""
        return QueriedDesign(self.width, self.depth, self.latent_width, self.heads, parents, self.hierarchy)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also where the tree is not one of the target's labels."""
        super().supports(cohort)
        assert cohort.target is not None  # asked above
        try:
            read_tree(self.tree, cohort.target.names)
        except ValueError as error:
            raise Unsupported(str(error)) from None

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, DrawnMaps]:
        """Return the sizes of the network with the tree of the target's labels."""
        return self.sized(read_tree(self.tree, training.target.names)), DrawnMaps(self.flips, self.crops)
