"""What the tokens of a modality are: columns, gene sets, hours, patches, slices; of a bag only their numbers."""

from __future__ import annotations

from chiasm.cohort import Encoding
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.patches import ImagePatches, VolumePatches
from chiasm.encoders.record.events import EventEncoder
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.table import TableEncoder
from chiasm.protocols import Encoder, NamesId

NAMED = 3  # columns of a token that are named


def token_names(encoder: Encoder, encoding: Encoding | None) -> tuple[str, ...]:
    """Return a name for each position of a fitted encoder's tokens; empty for a bag, whose tokens have none.

    Args:
        encoding: how the modality's files or cells were encoded, where they were.
    """
    if not encoder.slots:
        return ()
    if isinstance(encoder, TableEncoder):
        return tuple(_listed(names) for names in encoder.token_names)
    if isinstance(encoder, OmicsEncoder):
        return _of_omics(encoder)
    if isinstance(encoder, EventEncoder) and encoder.grid is not None:
        return tuple(f"hour {hour:.3g}" for hour in encoder.grid)
    frozen = None if encoding is None else make_encoder(encoding.encoder, encoding.kind)
    if isinstance(frozen, ImagePatches | VolumePatches) and frozen.slots == encoder.slots:
        side = frozen.size // frozen.patch
        if isinstance(frozen, ImagePatches):
            return tuple(f"row {k // side + 1}, column {k % side + 1} of {side}" for k in range(encoder.slots))
        return tuple(
            f"slab {k // side**2 + 1}, row {k // side % side + 1}, column {k % side + 1} of {side}"
            for k in range(encoder.slots)
        )
    noun = "slice" if isinstance(frozen, NamesId) and frozen.id == "slices" else "token"
    return tuple(f"{noun} {k + 1} of {encoder.slots}" for k in range(encoder.slots))


def _of_omics(encoder: OmicsEncoder) -> tuple[str, ...]:
    """Names of sets in the order of the encoder's tokens; without sets, which principal components a token holds."""
    if encoder.scaler is None:
        raise ValueError("the omics encoder is not fitted: call fit on training rows first")
    if len(encoder.projections) == 1:
        wide, most = encoder.width, int(encoder.projections[0].components.shape[1])
        return tuple(f"components {k * wide + 1} to {min(most, (k + 1) * wide)}" for k in range(encoder.slots))
    left, names = sorted(encoder.groups), []  # a set without a token has fewer columns than any token
    for members in encoder.members:
        own = {encoder.scaler.columns[place] for place in members.tolist()}
        name = next((name for name in left if own <= set(encoder.groups[name])), None)
        names.append("columns of no set" if name is None else name)
        left = [] if name is None else left[left.index(name) + 1 :]
    return tuple(names)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
