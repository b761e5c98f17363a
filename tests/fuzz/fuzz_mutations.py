"""Mutations of a sound file: bits, lengths, pieces and signs of trouble, so that most of its structure still holds."""

from __future__ import annotations

import struct
import zlib
from random import Random

TOKENS = [
    b"\0", b"\xff\xfe", b'"', b"'", b"\n", b"\r", b",", b"\t", b"[", b"]", b"{", b"}", b"=", b".", b"-", b"1e400",
    b"NaN", b"9" * 400, b"../", b"/dev/zero", b"{id}", b"\xc3\x28", b"\x1b[31m", b"\xe2\x80\xae", b"null", b"true",
    b"-1", b"$kind", b"0x", b"%n", b"\x00" * 64, b"\xff" * 16, b"Infinity", b"1;2", b"::", b"#", b"inf",
    b"\xef\xbb\xbf",
]  # fmt: skip
NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
WIDTHS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q", "<f", "<d")


def mangled(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """Change a sound file in one to four places; `others` are further ones of its kind, to take pieces from."""
    whole = bytearray(data)
    for _ in range(random.randint(1, 4)):
        reach = random.choice((64, 512, len(whole) + 1))  # near the start, where headers stand, as often as anywhere
        at, size = (
            random.randrange(max(1, min(reach, len(whole) + 1))),
            random.choice((1, 2, 4, 8, random.randint(1, 64))),
        )
        how = random.randrange(9)
        if how == 0 and at < len(whole):
            whole[at] ^= 1 << random.randrange(8)
        elif how == 1:
            del whole[at : at + size]
        elif how == 2:
            whole[at:at] = whole[at : at + size] * random.choice((1, 1, 1, 50))
        elif how == 3:
            whole[at:at] = random.choice(TOKENS)
        elif how == 4:
            piece = whole[at : at + size]
            del whole[at : at + size]
            to = random.randrange(len(whole) + 1)
            whole[to:to] = piece
        elif how == 5:
            form = random.choice(WIDTHS)
            number = random.choice(NUMBERS) * random.choice((1, 1, 1, -1))
            bits = 8 * struct.calcsize(form)
            coded = struct.pack(form, float(number)) if form[1] in "fd" else struct.pack(form, number % (1 << bits))
            whole[at : at + len(coded)] = coded
        elif how == 6 and others:
            other = random.choice(others)
            start = random.randrange(max(1, len(other)))
            whole[at : at + size] = other[start : start + random.randint(1, 200)]
        elif how == 7:
            digits = [k for k in range(at, min(len(whole), at + 400)) if 48 <= whole[k] <= 57]
            if digits:
                whole[digits[0] : digits[0] + 1] = random.choice((b"0", b"-1", b"99999999", b"1e9", b"", b"."))
        elif how == 8 and random.random() < 0.3:
            del whole[at:]
    return bytes(whole)


def png_checked(data: bytes) -> bytes:
    """The chunks of a PNG with right checksums, as far as they can be followed."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + size
    return bytes(out + data[at:])
