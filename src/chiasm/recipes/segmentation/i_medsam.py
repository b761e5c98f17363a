"""`i-medsam`: label maps by a field over coordinates, drawn anew where it is unsure, on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

from torch import nn

from chiasm.artifact import ArtifactError, storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.stored_raster import StoredRaster, stored_raster
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.drawing import DrawnMaps
from chiasm.segmentation.grids import grids_of
from chiasm.segmentation.implicit import UNSURE, CoarseAndFine, Implicit
from chiasm.segmentation.model import OutlinerDesign
from chiasm.segmentation.patch_trunk import PatchTrunk


@storable("i-medsam")
@dataclass(frozen=True)
class ImplicitDesign:
    """Sizes of an `Implicit` network."""

    width: int
    depth: int
    hidden: int
    bands: int
    dropout: float
    share: float
    unsure: str
    narrow: int
    patches: RasterConfig | None = None
    rank: int = 4

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)
        check_size("hidden", self.hidden, 1024)
        check_size("bands", self.bands, 16)
        check_size("rank", self.rank, 256)
        choice("unsure", self.unsure, UNSURE)
        if not 0 <= self.dropout < 1 or not 0 < self.share <= 1 or not 0 <= self.narrow <= 1024:
            raise ValueError("dropout lies between 0 and below 1, share between 0 and 1, and narrow between 0 and 1024")
        if self.unsure == "dropout" and self.dropout == 0:
            raise ValueError("without dropout nothing is unsure: write dropout=0.2, or unsure=entropy")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> Implicit:
        """Build a fresh network for these contrasts."""
        return Implicit(
            channels, axes, labels, self.width, self.depth, hidden=self.hidden, bands=self.bands, dropout=self.dropout,
            share=self.share, unsure=self.unsure, narrow=self.narrow, patches=self.patches, rank=self.rank,
        )  # fmt: skip


@dataclass(frozen=True)
class IMedSAM(OfMasks):
    """The label at any place by a field over coordinates and a U-Net's features, refined where it is unsure.

    Args:
        width: channels at full size; each step down has twice as many.
        depth: steps down.
        hidden: width of the field's hidden layers.
        bands: frequencies of coordinates; the highest turns 2^(bands - 2) times over a window's side.
        dropout: chance that a hidden unit of the coarse field is silent.
        share: of the places of an image that are drawn anew.
        unsure: what says so, the variance over masks of `dropout`, or `entropy`.
        narrow: width within the adapter of what frequencies an image has; 0: none.
        trunk: folder of a vit that `chiasm pretrain` wrote, which stays as it is; empty: a U-Net of width and depth.
        rank: of the products that are learned beside the attention of such a trunk.
    """

    width: int = 16
    depth: int = 3
    hidden: int = 64
    bands: int = 5
    dropout: float = 0.2
    share: float = 0.125
    unsure: str = "dropout"
    narrow: int = 16
    trunk: str = ""
    rank: int = 4

    file_options: ClassVar[tuple[str, ...]] = ("plan", "trunk")
    row: ClassVar[Row] = ROWS["i-medsam"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid values

    def design(self, patches: RasterConfig | None = None) -> ImplicitDesign:
        """Return the sizes of the network; `patches` are those of its trunk where it is no U-Net."""
        return ImplicitDesign(
            self.width, self.depth, self.hidden, self.bands, self.dropout, self.share, self.unsure, self.narrow,
            patches, self.rank,
        )  # fmt: skip

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also where a trunk that is named does not suit the images."""
        super().supports(cohort)
        if not self.trunk:
            return
        config = self.stored().config
        if config.network != "vit":
            raise Unsupported("the folder of trunk= holds no vit: pretrain one with network=vit")
        for name in self.modalities(cohort):
            axes = 2 if kind_of_source(cohort, name) == "image" else 3
            if grids_of(cohort, name).channels != config.channels or axes != config.axes:
                raise Unsupported(
                    f"the trunk reads {config.axes} axes and {config.channels} channels, and modality '{name}' has "
                    f"{axes} and {grids_of(cohort, name).channels}: name one that was pretrained on such images"
                )

    def stored(self) -> StoredRaster:
        """The trunk that is named.

        Raises:
            Unsupported: it is none, or damaged.
        """
        try:
            return stored_raster(self.trunk)
        except ArtifactError as error:
            raise Unsupported(str(error)) from None

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, DrawnMaps]:
        """Return the sizes of the network, which is trained on what either field draws."""
        design = self.design(self.stored().config if self.trunk else None)
        return design, CoarseAndFine(self.flips, self.crops)

    def begun(self, network: nn.Module, training: Training) -> None:
        """Put the weights of a trunk that is named into its place."""
        if self.trunk:
            trunk = cast(PatchTrunk, cast(Implicit, network).trunk).transformer
            trunk.load_state_dict(self.stored().network().state_dict())
