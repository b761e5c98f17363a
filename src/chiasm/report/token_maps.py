"""Pictures of what tokens bring to a prediction, over the image, the slices or the slide that they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chiasm.palette import AGAINST, FOR
from chiasm.report.drawing import QUIET, Picture, style
from chiasm.report.drawing import sheet as clear_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Extent = tuple[float, float, float, float]
COLOURS = "RdBu_r"  # red raises the output, blue lowers it; told apart by the colour-blind
PANELS = 4
SPACE = 60_000  # square points that tiles share
HEIGHT, WIDTH = 3.2, 8.4


def over_image(image: Array, heat: Array, output: str, extent: Extent | None = None) -> Picture:
    """Draw an image beside itself under the shares of its patches.

    Args:
        image: `(H, W)` grey or `(H, W, 3)` colour.
        heat: `(rows, columns)` shares; a patch without a token is NaN.
        extent: left, right, bottom and top of the patches in pixels of the image; None: all of it.
    """
    return over_panels([image], [heat], [""], output, extent)


def over_panels(
    images: Sequence[Array], heats: Sequence[Array], titles: Sequence[str], output: str, extent: Extent | None = None
) -> Picture:
    """Draw images in a row, and below each of them itself under the shares of its patches, all on one scale."""
    most = _most(np.concatenate([heat.ravel() for heat in heats]))
    with style():
        figure = sheet(1.4 * HEIGHT if len(images) > 1 else HEIGHT, WIDTH)
        shape = (2, len(images)) if len(images) > 1 else (1, 2)
        axes = figure.subplots(*shape, squeeze=False)
        drawn: Any = None
        for k, (image, heat, title) in enumerate(zip(images, heats, titles, strict=True)):
            plain, under = (axes[0, k], axes[1, k]) if len(images) > 1 else (axes[0, 0], axes[0, 1])
            for ax in (plain, under):
                _show(ax, image)
            high, wide = image.shape[:2]
            drawn = under.imshow(
                heat, cmap=COLOURS, vmin=-most, vmax=most, alpha=0.55, interpolation="nearest",
                extent=extent or (-0.5, wide - 0.5, high - 0.5, -0.5),
            )  # fmt: skip
            under.set_xlim(-0.5, wide - 0.5)
            under.set_ylim(high - 0.5, -0.5)
            plain.set_title(title)
        figure.colorbar(drawn, ax=axes[-1, :].tolist(), label=_label(output), shrink=0.8)
    text = (
        f"Shares of patches over {len(images)} image{'s' if len(images) > 1 else ''}, up to {most:.2g} for '{output}'"
    )
    return Picture(figure, tuple(axes.ravel()), text)


def by_slice(images: Sequence[Array], titles: Sequence[str], shares: Array, output: str) -> Picture:
    """Draw the foremost slices, and the shares of all as bars from the first to the last."""
    with style():
        figure = sheet(2 * HEIGHT, WIDTH)
        grid = figure.add_gridspec(2, len(images), height_ratios=(1.6, 1))
        axes = [figure.add_subplot(grid[0, k]) for k in range(len(images))]
        for ax, image, title in zip(axes, images, titles, strict=True):
            _show(ax, image)
            ax.set_title(title)
        bars = figure.add_subplot(grid[1, :])
        bars.bar(np.arange(1, len(shares) + 1), shares, color=[FOR if own > 0 else AGAINST for own in shares])
        bars.axhline(0, color=QUIET, linewidth=0.8)
        bars.set_xlabel("slice")
        bars.set_ylabel(_label(output))
    return Picture(
        figure, (*axes, bars), f"Shares of {len(shares):,} slices for '{output}', the foremost of them drawn"
    )


def by_place(places: Array, shares: Array, output: str) -> Picture:
    """Draw the tiles of a bag where they lie, `places` `(T, 2)` across and down, coloured by their shares `(T,)`."""
    most = _most(shares)
    with style():
        figure = sheet(2 * HEIGHT, WIDTH)
        ax = figure.subplots()
        span = np.ptp(places, axis=0)
        size = min(max(SPACE / max(len(places), 1), 4), 400)
        drawn = ax.scatter(
            places[:, 0],
            places[:, 1],
            c=shares,
            cmap=COLOURS,
            vmin=-most,
            vmax=most,
            marker="s",
            s=size,
        )
        ax.set_aspect("equal" if (span > 0).all() else "auto")
        ax.invert_yaxis()
        ax.set_xlabel("across")
        ax.set_ylabel("down")
        figure.colorbar(drawn, ax=ax, label=_label(output))
    return Picture(figure, (ax,), f"Shares of {len(places):,} tiles where they lie, up to {most:.2g} for '{output}'")


def sheet(height: float, width: float) -> Figure:
    """Make an empty white figure: a file of its own may be looked at on any ground."""
    figure = clear_sheet(height, width)
    figure.set_facecolor("white")
    return figure


def _show(ax: Axes, image: Array) -> None:
    grey: dict[str, Any] = {}
    shown = image
    if image.ndim == 2:
        low, high = np.percentile(image, [0.5, 99.5])
        grey = {"cmap": "gray", "vmin": low, "vmax": high if high > low else low + 1}
    else:
        top = float(image.max())
        shown = np.clip(image / (255.0 if top > 1 else 1.0), 0, 1)
    ax.imshow(shown, **grey)
    ax.set_xticks([])
    ax.set_yticks([])


def _most(shares: Array) -> float:
    known = np.abs(shares[np.isfinite(shares)])
    return float(known.max()) if len(known) and known.max() > 0 else 1.0


def _label(output: str) -> str:
    return f"share of the link of {output}"
