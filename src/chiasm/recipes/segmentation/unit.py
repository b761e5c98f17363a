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
from chiasm.segmentation.matched import Matched, MatchedMaps
from chiasm.segmentation.model import OutlinerDesign
from chiasm.segmentation.queried import Queried


@storable("unit")
@dataclass(frozen=True)
class QueriedDesign:
    """Sizes of a `Queried` network, and what lies within what.

    Args:
        parents: of each label the node that holds it, -1 where none does; behind the labels nodes that are none.
        queries: that are matched with what an image shows; 0: one a label.
    """

    width: int
    depth: int
    latent_width: int
    heads: int
    parents: tuple[int, ...]
    hierarchy: bool = True
    queries: int = 0

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_sizes(1, self.latent_width, 1, self.heads)
        check_size("depth", self.depth, 6)
        check_heads(self.latent_width, self.heads)
        check_tree(self.parents)
        if not 0 <= self.queries <= 1024:
            raise ValueError("queries lies between 0 and 1024")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> Queried | Matched:
        """Build a fresh network for these contrasts.

        Raises:
            ValueError: the tree is of other labels.
        """
        if len(self.parents) < labels:
            raise ValueError("the tree is of fewer labels than the network draws")
        if self.queries:
            return Matched(
                channels, axes, labels, self.queries, width=self.width, depth=self.depth, latent=self.latent_width,
                heads=self.heads,
            )  # fmt: skip
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
        queries: so many that have no label of their own, and are matched with what an image shows; 0: one a label.
    """

    tree: str = ""
    hierarchy: bool = True
    queries: int = 0
    width: int = 16
    depth: int = 3
    latent_width: int = 32
    heads: int = 4

    row: ClassVar[Row] = ROWS["unit"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.queries and self.tree:
            raise ValueError("a tree is of queries that have a label each: leave out tree, or queries")
        _ = self.sized((-1,))  # refuses invalid values

    def sized(self, parents: Parents) -> QueriedDesign:
        """The sizes of the network for a tree."""
        return QueriedDesign(
            self.width, self.depth, self.latent_width, self.heads, parents, self.hierarchy, self.queries
        )

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also where the tree is not one of the target's labels."""
        super().supports(cohort)
        assert cohort.target is not None  # asked above
        try:
            read_tree(self.tree, cohort.target.names)
        except ValueError as error:
            raise Unsupported(str(error)) from None
        if 0 < self.queries <= len(cohort.target.names):
            raise Unsupported("queries that are matched are more than the labels, as what has none is matched too")

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, DrawnMaps]:
        """Return the sizes of the network with the tree of the target's labels."""
        objective = MatchedMaps if self.queries else DrawnMaps
        return self.sized(read_tree(self.tree, training.target.names)), objective(self.flips, self.crops)
