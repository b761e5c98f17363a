"""Targets of what a ward, a microphone or a camera writes: DICOM waveforms, aECG, MUSE XML, SCP-ECG, sounds, films."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import fuzz_paths  # noqa: F401
import test_audio
import test_video
import ward_files
from fuzz_target import Target, made, read

from chiasm.readers import reader_for
from chiasm.readers.signal.audio_header import ogg_checksum

FEW = ward_files.stored(8, 60)
LEADS = ward_files.TWELVE[:8]
PAGE = 27  # bytes of the header of an Ogg page


def checked_ogg(data: bytes) -> bytes:
    """The checksum of each page that can be followed, made right."""
    whole, at = bytearray(data), 0
    while at + PAGE <= len(whole) and whole[at : at + 4] == b"OggS":
        end = at + PAGE + whole[at + 26] + sum(whole[at + PAGE : at + PAGE + whole[at + 26]])
        whole[at + 22 : at + 26] = bytes(4)
        whole[at + 22 : at + 26] = ogg_checksum(bytes(whole[at:end])).to_bytes(4, "little")
        at = end
    return bytes(whole)


def film(path: Path) -> None:
    """A frame a second, as an encoder asks for them."""
    reader = reader_for("video")
    reader.inspect(path)
    for _ in reader.read(path).frames(1.0):
        pass


def sound(kind: str, subtype: str, channels: int = 1) -> partial[bytes]:
    return partial(
        test_audio.stored, kind=kind, values=test_audio.tone(220, 0.1, 8_000, channels), rate=8_000, subtype=subtype
    )


def shot(frames: int = 12, hz: int = 5, codec: str = "", bf: str = "0") -> partial[Path]:
    return partial(test_video.film, grey=[8 * k for k in range(frames)], hz=hz, codec=codec, options={"bf": bf})


# leads on a page below a strip, and one that was derived
GROUPS = [
    ward_files.parts(FEW[:2], 0, ("I", "II")),
    ward_files.parts(FEW[2:4], 120, ("V1", "V2"), originality="ORIGINAL"),
    ward_files.parts(FEW[:1], 0, ("I",), originality="DERIVED"),
]
RECORDINGS: dict[str, Target] = {
    "waveform": Target(
        ".dcm",
        made(
            "x.dcm",
            partial(ward_files.dicom, values=FEW, leads=LEADS),
            partial(ward_files.dicom, groups=GROUPS),
            partial(ward_files.dicom, values=FEW[:3], leads=LEADS[:3], kind=(8, "SB", "i1"), scheme="SCPECG"),
            partial(ward_files.dicom, values=FEW[:3], leads=LEADS[:3], kind=(16, "SS", ">i2")),
        ),
        partial(read, "signal"),
    ),
    "aecg": Target(
        ".xml",
        made(
            "x.xml",
            lambda path: ward_files.aecg(path, ward_files.sequence_set(FEW, LEADS)),
            lambda path: ward_files.aecg(
                path,
                ward_files.sequence_set(FEW[:2], LEADS[:2]),
                ward_files.sequence_set(FEW[2:4], LEADS[2:4], head="20020101235959.620"),
                more=f"<derivation>{ward_files.sequence_set(FEW[:1], LEADS[:1])}</derivation>",
            ),
        ),
        partial(read, "signal"),
    ),
    "muse": Target(
        ".xml",
        made(
            "x.xml",
            partial(ward_files.muse, values=FEW),
            partial(ward_files.muse, values=FEW[:2], leads=LEADS[:2], before=""),
        ),
        partial(read, "ecg"),
    ),
    "scp": Target(
        ".scp",
        made(
            "x.scp",
            partial(ward_files.scp, values=FEW, leads=LEADS),
            partial(ward_files.scp, values=FEW, leads=LEADS, coded=False, order=1),
            partial(ward_files.scp, values=FEW[:1], leads=LEADS[:1], order=0),
        ),
        partial(read, "signal"),
        ward_files.checked_scp,
    ),
    "wav": Target(
        ".wav",
        made(
            "x.wav",
            sound("WAV", "PCM_16"),
            sound("WAV", "FLOAT", 2),
            sound("WAVEX", "PCM_24"),
            sound("RF64", "PCM_16"),
            sound("WAV", "ULAW"),
        ),
        partial(read, "audio"),
    ),
    "flac": Target(
        ".flac", made("x.flac", sound("FLAC", "PCM_16"), sound("FLAC", "PCM_24", 2)), partial(read, "audio")
    ),
    "ogg": Target(
        ".ogg", made("x.ogg", sound("OGG", "VORBIS"), sound("OGG", "OPUS")), partial(read, "audio"), checked_ogg
    ),
    "mp4": Target(".mp4", made("x.mp4", shot(), shot(codec="mpeg4", bf="2")), film),
    "avi": Target(".avi", made("x.avi", shot(), shot(codec="mjpeg", frames=4)), film),
    "gif": Target(".gif", made("x.gif", shot(6), shot(2)), film),
    "mkv": Target(".mkv", made("x.mkv", shot(), shot(codec="libx264")), film),
    "mpg": Target(".mpg", made("x.mpg", shot(hz=25, frames=30)), film),
}  # fmt: skip
