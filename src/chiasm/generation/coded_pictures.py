"""`vqvae`: pictures as codes of MONAI's VQVAE, which a transformer writes one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.compute.isolation import own_randomness, seeded
from chiasm.generation.code_writer import CodeWriterDesign
from chiasm.generation.picture_generator import (
    MOST_VALUES,
    Told,
    cropped,
    even,
    halvings_of,
    kept_state,
    line_of,
    monai_part,
    partly,
    require_options,
    require_pictures,
    some_untold,
    trained,
    with_state,
)

MOST_CODES, MOST_PLACES = 4096, 256
DECAY = 0.9  # of the moving means of the codebook
BEGUN_BY = 256  # pictures whose places the codebook begins with


@storable("picture-codes")
@dataclass(frozen=True)
class CodesDesign:
    """Sizes of a VQVAE of pictures.

    Args:
        axes: 2 of images, 3 of volumes.
        channels: of the pictures.
        halvings: how often each side is halved; each place that is left is one code.
        codes, code_width: of the codebook.
        width: channels of the convolutions.
    """

    axes: int
    channels: int
    halvings: int = 2
    codes: int = 64
    code_width: int = 8
    width: int = 16

    def __post_init__(self) -> None:
        if self.axes not in (2, 3) or min(self.channels, self.halvings, self.code_width, self.width) < 1:
            raise ValueError("a VQVAE has 2 or 3 axes, and channels, halvings and widths of 1 or more")
        if not 2 <= self.codes <= MOST_CODES:
            raise ValueError(f"codes={self.codes} lies outside 2 to {MOST_CODES:,}")

    @property
    def step(self) -> int:
        """Pixels a side that one code stands for."""
        return int(2**self.halvings)

    def build(self) -> nn.Module:
        """Create MONAI's `VQVAE` with random weights."""
        wide = (self.width,) * self.halvings
        made: nn.Module = monai_part("networks.nets.vqvae", "VQVAE")(
            spatial_dims=self.axes, in_channels=self.channels, out_channels=self.channels, channels=wide,
            num_res_layers=1, num_res_channels=wide, downsample_parameters=((2, 4, 1, 1),) * self.halvings,
            upsample_parameters=((2, 4, 1, 1, 0),) * self.halvings, num_embeddings=self.codes,
            embedding_dim=self.code_width, decay=DECAY, ddp_sync=False,
        )  # fmt: skip
        return made


@storable("coded-pictures")
@dataclass(frozen=True)
class FittedCodes:
    """A writer of codes and the VQVAE that shows them as pictures of one size; it keeps no picture.

    Args:
        design: of the VQVAE. state: its parameters and codebook.
        writer: of the transformer. writing: its parameters, their mean over the training.
        grid: places along each axis.
        size: of a picture, without its channels.
    """

    design: CodesDesign
    state: dict[str, np.ndarray]
    writer: CodeWriterDesign
    writing: dict[str, np.ndarray]
    grid: tuple[int, ...]
    size: tuple[int, ...]

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"the weights of networks that draw pictures of {' x '.join(map(str, self.size))}"

    def networks(self) -> tuple[Any, Any]:
        """The VQVAE and the transformer with their weights, for prediction."""
        with own_randomness(0):
            shows, writes = self.design.build(), self.writer.build()
        return with_state(shows, self.state), with_state(writes, self.writing)

    def sample(self, n: int, seed: int, condition: Tensor | None = None, told: Told | None = None) -> Tensor:
        """Draw n pictures `(n, C, ...)` in -1 to 1; see `FittedPainter`."""
        shows, writes = self.networks()
        generator = torch.Generator().manual_seed(seeded(seed, "pictures"))
        at_once = max(1, MOST_VALUES // (self.design.channels * math.prod(self.size)))
        parts = [torch.zeros(0, self.design.channels, *self.size)]
        for start in range(0, n, at_once):
            many = min(at_once, n - start)
            known = None if condition is None else condition[start : start + many]
            with torch.no_grad():
                codes = writes.draw(many, generator, known)
                parts.append(cropped(shows.decode_samples(codes.reshape(many, *self.grid)), self.size))
            if told is not None:
                told(start + many, n)
        return torch.cat(parts)


@dataclass(frozen=True)
class PictureCodes:
    """A generator of codes and pictures with its options, before it has seen one.

    First a VQVAE is trained, `|x - D(q)|^2 + .25 |E(x) - q|^2` in means, q the nearest codes and the codebook moving
    means; it begins with places of training pictures, since one that begins at random leaves most codes unused. Then a
    transformer is trained to write the codes row by row, `-log p(code | codes before, c)`.

    Source: van den Oord et al. 2017 (arXiv 1711.00937), with the transformer of Tudosiu et al. 2022 (arXiv 2209.03177),
    both as in MONAI.

    Args:
        codes, code_width, halvings, encoder_width: of the VQVAE; sides are halved more often where there would be more
            than 256 codes.
        encoder_steps: of its training.
        width, depth, heads: of the transformer. steps: of its training.
        batch: pictures in each. learning_rate: of Adam.
    """

    codes: int = 64
    code_width: int = 8
    halvings: int = 2
    encoder_width: int = 32
    encoder_steps: int = 1000
    width: int = 64
    depth: int = 3
    heads: int = 4
    steps: int = 1500
    batch: int = 32
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        require_options(
            self.learning_rate, encoder_steps=self.encoder_steps, steps=self.steps, batch=self.batch,
            halvings=self.halvings,
        )  # fmt: skip
        CodesDesign(2, 1, self.halvings, self.codes, self.code_width, self.encoder_width)
        CodeWriterDesign(self.codes, 1, 0, self.width, self.depth, self.heads)

    @property
    def name(self) -> str:
        """The line by which it is asked for."""
        return line_of(self, "vqvae")

    def fit(self, pictures: Tensor, condition: Tensor | None, seed: int, told: Told | None = None) -> FittedCodes:
        """Fit to pictures `(n, C, ...)` in -1 to 1, and numbers `(n, F)` that are known of each patient or None.

        Raises:
            ValueError: fewer than 8 pictures, a value outside of -1 to 1, or a side of fewer than 4.
            Unsupported: MONAI is not installed.
        """
        require_pictures(pictures)
        size = tuple(pictures.shape[2:])
        halvings = halvings_of(size, self.halvings)
        while math.prod(-(-side // 2**halvings) for side in size) > MOST_PLACES:
            halvings += 1
        design = CodesDesign(
            len(size), pictures.shape[1], halvings, self.codes, self.code_width, self.encoder_width
        )  # fmt: skip
        filled, total = even(pictures, design.step), self.encoder_steps + self.steps
        grid = tuple(side // design.step for side in filled.shape[2:])
        writer = CodeWriterDesign(
            self.codes, math.prod(grid), 0 if condition is None else condition.shape[1], self.width, self.depth,
            self.heads,
        )  # fmt: skip
        with own_randomness(seeded(seed, "picture-codes")):
            shows: Any = design.build().train()
            writes: Any = writer.build().train()
            begin_codebook(shows, filled, design, seed)
            shows = trained(
                shows, lambda chosen, _: self.loss(shows, filled[chosen]), len(filled), steps=self.encoder_steps,
                batch=self.batch, rate=self.learning_rate, seed=seeded(seed, "picture-code-steps"),
                told=partly(told, 0, total), averaged=False,
            ).eval()  # fmt: skip
            with torch.no_grad():
                parts = [shows.index_quantize(some).flatten(1) for some in torch.split(filled, self.batch)]
            own = torch.cat(parts).long()
            writes = trained(
                writes,
                lambda chosen, generator: self.unlikely(
                    writes, own[chosen], some_untold(None if condition is None else condition[chosen], generator)
                ),
                len(own), steps=self.steps, batch=self.batch, rate=self.learning_rate,
                seed=seeded(seed, "picture-writer-steps"), told=partly(told, self.encoder_steps, total),
            )  # fmt: skip
        return FittedCodes(design, kept_state(shows), writer, kept_state(writes), grid, size)

    def loss(self, network: Any, pictures: Tensor) -> Tensor:
        """The loss of a VQVAE on a batch."""
        shown, commitment = network(pictures)
        found: Tensor = functional.mse_loss(shown, pictures) + commitment
        return found

    def unlikely(self, network: Any, codes: Tensor, condition: Tensor | None) -> Tensor:
        """Less the log probability of codes `(B, places)`, in the mean over them."""
        return functional.cross_entropy(network(codes, condition).transpose(1, 2), codes)


def begin_codebook(network: Any, pictures: Tensor, design: CodesDesign, seed: int) -> None:
    """Set the codebook of a VQVAE to its encodings of places of training pictures."""
    generator = torch.Generator().manual_seed(seeded(seed, "picture-codebook"))
    quantiser = network.quantizer.quantizer
    with torch.no_grad():
        some = pictures[torch.randint(len(pictures), (min(len(pictures), BEGUN_BY),), generator=generator)]
        every = network.encode(some).movedim(1, -1).reshape(-1, design.code_width)
        chosen = every[torch.randint(len(every), (design.codes,), generator=generator)]
        quantiser.embedding.weight.copy_(chosen)
        quantiser.ema_w.copy_(chosen)
        quantiser.ema_cluster_size.fill_(1.0)
