"""Images as words: the codes of MONAI's VQVAE, behind the words of a tokenizer in one vocabulary.

`ids = [0, V)` are words, `[V, V + C)` the C codes, `V + C` begins an image and `V + C + 1` ends it: the ranges are
disjoint, so that one model reads and writes both, in any order. An image has as many codes as the VQVAE's grid has
places. Source: Chameleon (arXiv 2405.09818) and MedMax (arXiv 2412.12661), whose VQGAN is a VQVAE without an adversary
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.compute.isolation import own_randomness
from chiasm.readers.registry import missing

MOST_CODES = 65_536


@dataclass(frozen=True)
class SharedVocabulary:
    """Which ids are words, and which are codes of images.

    Args:
        words: V, ids of the tokenizer.
        codes: C, of the VQVAE.
        places: codes of an image.
    """

    words: int
    codes: int
    places: int

    def __post_init__(self) -> None:
        if min(self.words, self.codes, self.places) < 1:
            raise ValueError("a shared vocabulary has one word, one code and one place at least")

    @property
    def begin(self) -> int:
        """Id that begins an image."""
        return self.words + self.codes

    @property
    def end(self) -> int:
        """Id that ends an image."""
        return self.begin + 1

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self.end + 1

    def of_images(self, codes: Tensor) -> Tensor:
        """Codes `(B, places)` as ids with begin and end, `(B, places + 2)`.

        Raises:
            ValueError: not as many codes as an image has, or one that the VQVAE does not have.
        """
        if codes.shape[1:] != (self.places,):
            raise ValueError(f"an image has {self.places} codes, and these have {tuple(codes.shape[1:])}")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codes:
            raise ValueError(f"a code lies outside 0 to {self.codes - 1}: it is of another VQVAE")
        edge = codes.new_ones(len(codes), 1)
        return torch.cat([edge * self.begin, codes + self.words, edge * self.end], 1)

    def codes_of(self, ids: Tensor) -> Tensor:
        """Codes `(B, places)` of ids `(B, places + 2)`, as `of_images` writes them.

        Raises:
            ValueError: these are no images.
        """
        inner = ids[:, 1:-1]
        found = inner - self.words
        whole = ids.shape[1:] == (self.places + 2,) and bool((ids[:, 0] == self.begin).all())
        if not (whole and bool((ids[:, -1] == self.end).all()) and bool(((found >= 0) & (found < self.codes)).all())):
            raise ValueError(f"an image is its begin, {self.places} codes and its end, and these ids are not")
        return found


@storable("vqvae")
@dataclass(frozen=True)
class QuantiserDesign:
    """Sizes of a VQVAE.

    Args:
        channels: of the images.
        size: pixels a side, a multiple of `2 ** halvings`.
        halvings: how often a side is halved; an image has `(size / 2 ** halvings) ** 2` codes.
        codes, code_width: size of the codebook.
        width: channels of the convolutions.
    """

    channels: int
    size: int
    halvings: int = 2
    codes: int = 64
    code_width: int = 8
    width: int = 16

    def __post_init__(self) -> None:
        if min(self.channels, self.size, self.halvings, self.code_width, self.width) < 1 or self.size > 4096:
            raise ValueError("channels, size, halvings and widths of a VQVAE are 1 or more, and size 4,096 at most")
        if self.size % 2**self.halvings:
            raise ValueError(f"size={self.size} cannot be halved {self.halvings} times: take another, or halve less")
        if not 2 <= self.codes <= MOST_CODES:
            raise ValueError(f"codes={self.codes} lies outside 2 to {MOST_CODES:,}")

    @property
    def side(self) -> int:
        """Codes a side."""
        return int(self.size // 2**self.halvings)

    def build(self) -> Quantiser:
        """Create a VQVAE with random weights."""
        return Quantiser(self)


class Quantiser(nn.Module):
    """MONAI's VQVAE of images of one size, by their codes.

    Raises:
        Unsupported: MONAI is not installed.
    """

    def __init__(self, design: QuantiserDesign) -> None:
        super().__init__()
        self.design = design
        wide = (design.width,) * design.halvings
        self.network: Any = vqvae()(
            spatial_dims=2, in_channels=design.channels, out_channels=design.channels, channels=wide,
            num_res_layers=1, num_res_channels=wide, downsample_parameters=((2, 4, 1, 1),) * design.halvings,
            upsample_parameters=((2, 4, 1, 1, 0),) * design.halvings, num_embeddings=design.codes,
            embedding_dim=design.code_width, decay=0.9, ddp_sync=False,
        )  # fmt: skip

    def encode(self, images: Tensor) -> Tensor:
        """Codes `(B, places)` long of images `(B, C, size, size)`, row by row."""
        found: Tensor = self.network.index_quantize(images)
        return found.flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images `(B, C, size, size)` of codes `(B, places)`."""
        side = self.design.side
        found: Tensor = self.network.decode_samples(codes.reshape(-1, side, side))
        return found

    def seen_again(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images as the VQVAE draws them again, and its loss of commitment."""
        drawn, loss = self.network(images)
        return drawn, loss


def taught_quantiser(
    design: QuantiserDesign, images: Tensor, *, steps: int = 400, batch: int = 32, rate: float = 3e-3, seed: int = 0
) -> Quantiser:
    """Train a VQVAE on images `(N, C, size, size)`: squared error and commitment, the codebook by moving means.

    The codebook begins with encodings of training images, since one that begins at random leaves most codes unused.

    Raises:
        ValueError: no image, or images of another shape.
    """
    expected = (design.channels, design.size, design.size)
    if not len(images) or images.shape[1:] != expected:
        raise ValueError(f"the VQVAE is for images of shape {expected}, and these are {tuple(images.shape)}")
    with own_randomness(seed):
        made = design.build().train()
        source = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(made.parameters(), lr=rate)
        for step in range(steps):
            own = images[torch.randint(0, len(images), (batch,), generator=source)]
            if step == 0:
                _begin_codebook(made, images, source)
            drawn, commitment = made.seen_again(own)
            loss = nn.functional.mse_loss(drawn, own) + commitment
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return made.eval().requires_grad_(False)


def _begin_codebook(made: Quantiser, images: Tensor, source: torch.Generator) -> None:
    """Set the codebook to encodings of places of training images."""
    quantiser = made.network.quantizer.quantizer
    with torch.no_grad():
        some = images[torch.randint(0, len(images), (min(len(images), 256),), generator=source)]
        every = made.network.encode(some).permute(0, 2, 3, 1).reshape(-1, made.design.code_width)
        chosen = every[torch.randint(0, len(every), (made.design.codes,), generator=source)]
        quantiser.embedding.weight.copy_(chosen)
        quantiser.ema_w.copy_(chosen)
        quantiser.ema_cluster_size.fill_(1.0)


def vqvae() -> Any:
    """Import MONAI's VQVAE on first use; raise an error with the installation command if it is missing."""
    try:
        from monai.networks.nets.vqvae import VQVAE
    except ImportError:
        raise missing("monai", "imaging", "images as words") from None
    return VQVAE
