"""Decoders of compressed DICOM frames that pydicom finds no plugin for: JPEG lossless, JPEG-LS, 12 bits, HTJ2K."""

from __future__ import annotations

import threading
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

LABEL = "imagecodecs"
# transfer syntax -> decoder of imagecodecs; those of JPEG 2000 are tried after what pydicom has of its own
CODECS = {
    "1.2.840.10008.1.2.4.51": "jpeg8_decode",  # JPEG extended, 12 bits
    "1.2.840.10008.1.2.4.57": "jpegsof3_decode",  # JPEG lossless
    "1.2.840.10008.1.2.4.70": "jpegsof3_decode",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",  # near-lossless
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.201": "jpeg2k_decode",  # high-throughput JPEG 2000: lossless, with RPCL order, lossy
    "1.2.840.10008.1.2.4.202": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.203": "jpeg2k_decode",
}
DECODER_DEPENDENCIES = dict.fromkeys(CODECS, ("numpy", "imagecodecs"))  # a plugin of pydicom has this name
_lock = threading.Lock()


def is_available(syntax: str) -> bool:
    """Tell whether imagecodecs is installed."""
    return find_spec("imagecodecs") is not None


def add_decoders() -> None:
    """Offer imagecodecs to pydicom, as the last of its decoders of each compression; once a process."""
    with _lock:
        _add()


@cache
def _add() -> None:
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in CODECS:
        get_decoder(syntax).add_plugin(LABEL, (__name__, "decode_frame"))


def decode_frame(stream: bytes, runner: Any) -> bytearray:
    """Decode one frame to bytes, colour by pixel, in the smallest container that holds its bits.

    Args:
        stream: the frame as it is stored.
        runner: pydicom's `DecodeRunner`, which is told the container and the colours of what is returned.
    """
    import imagecodecs

    name = CODECS[str(runner.transfer_syntax)]
    pixels = np.asarray(getattr(imagecodecs, name)(stream))
    samples = int(runner.samples_per_pixel)
    if pixels.shape != ((runner.rows, runner.columns) if samples == 1 else (runner.rows, runner.columns, samples)):
        raise ValueError("the stream has another shape than the header announces")
    if name == "jpeg2k_decode" and str(runner.photometric_interpretation) in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")
    if name == "jpeg8_decode" and samples > 1:
        raise ValueError("colours of this coding are not decoded")
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytearray(np.ascontiguousarray(pixels).tobytes())
