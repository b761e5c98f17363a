"""A DICOMweb server: which series a study has (QIDO-RS), their instances (WADO-RS), and storing one (STOW-RS)."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.serving.faults import Refused, refused
from chiasm.serving.hospital.writing import require_address

UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")
UID_LETTERS = 64
SECONDS = 30.0
LISTED_BYTES = 16 << 20
SERIES, MODALITY, INSTANCE, NUMBER, COUNT = "0020000E", "00080060", "00080018", "00200013", "00201209"
FAILED = "00081198"
DICOM_JSON = "application/dicom+json"
DICOM_PARTS = 'multipart/related; type="application/dicom"'


@dataclass(frozen=True, repr=False)
class DicomServer:
    """A DICOMweb server.

    Args:
        base: its address, as in `https://pacs.hospital.example/dicom-web`; without TLS only on this machine.
        token: a bearer token; "" without one.
        instances, bytes: of one series at most.
    """

    base: str
    token: str = ""
    instances: int = 2_000
    bytes: int = 2 << 30

    def __post_init__(self) -> None:
        require_address(self.base, "the DICOMweb server")

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        """Open a client of the server, which follows no redirect and no proxy of the environment."""
        import httpx

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        base = self.base.rstrip("/")
        async with httpx.AsyncClient(
            base_url=base, headers=headers, timeout=SECONDS, follow_redirects=False, trust_env=False
        ) as client:
            try:
                yield client
            except httpx.TransportError:
                raise refused(504, "no-dicomweb", "the DICOMweb server does not answer", retry_after=5) from None


def require_uid(value: object, field: str) -> str:
    """Return a UID.

    Raises:
        Refused: it is none.
    """
    if isinstance(value, str) and len(value) <= UID_LETTERS and UID.fullmatch(value):
        return value
    raise refused(422, "not-a-uid", "write the UID: digits and dots, up to 64", field)


async def series_of(client: Any, study: str, modality: str, wanted: str | None) -> tuple[str, int | None]:
    """Find the one series of a DICOM modality in a study, or the wanted one, and how many instances it has.

    Raises:
        Refused: 404 where there is none, 422 where there are several and none is named.
    """
    found = await _listed(client, f"/studies/{study}/series", {"Modality": modality, "includefield": COUNT})
    uids = sorted({uid for own in found if _value(own, MODALITY) == modality and (uid := _value(own, SERIES))})
    if wanted is not None:
        uids = [uid for uid in uids if uid == wanted]
    if not uids:
        raise refused(404, "no-series", f"the study has no such series of {modality}", "series" if wanted else "study")
    if len(uids) > 1:
        raise refused(422, "several-series", f"the study has {len(uids)} series of {modality}: name one", "series")
    count = next(_value(own, COUNT) for own in found if _value(own, SERIES) == uids[0])
    return require_uid(uids[0], "series"), int(count) if count.isascii() and count.isdigit() else None


async def fetch_series(
    server: DicomServer, client: Any, study: str, series: str, folder: Path, expected: int | None = None
) -> list[Path]:
    """Write the instances of a series into a folder, within the limits, and return their files in their order.

    Args:
        expected: how many instances the series has, where the server tells it.

    Raises:
        Refused: 413 where it has too many instances or bytes, 502 where the server answers something else, or a part.
    """
    place = f"/studies/{study}/series/{series}"
    found = dict[str, int]()
    while page := await _listed(client, f"{place}/instances", {"includefield": NUMBER, "offset": str(len(found))}):
        before = len(found)
        found |= {_value(own, INSTANCE): _whole(_value(own, NUMBER)) for own in page}
        if len(found) > server.instances:
            raise refused(413, "too-large", f"the series has over {server.instances:,} instances", "series")
        if len(found) == before:  # a server that does not page tells the same again
            break
    if not found:
        raise refused(404, "no-instances", "the series has no instance", "series")
    if expected is not None and len(found) != expected:
        raise _unlike(f"{len(found):,} instances of a series of {expected:,}")
    order = sorted((number, uid) for uid, number in found.items())
    files, left = [], server.bytes
    for number, (_, uid) in enumerate(order):
        path = folder / f"{number:06d}.dcm"
        left -= await _fetch_one(client, f"{place}/instances/{require_uid(uid, 'instance')}", path, left)
        files.append(path)
    return files


async def _fetch_one(client: Any, place: str, path: Path, most: int) -> int:
    """Write one instance, and return its bytes."""
    data = bytearray()
    async with client.stream("GET", place, headers={"Accept": DICOM_PARTS}) as answer:
        if answer.status_code != 200:
            raise _unlike(f"status {answer.status_code} for an instance")
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > most:
                raise refused(413, "too-large", "the series has too many bytes", "series")
        kind = answer.headers.get("content-type", "")
    content = only_part(bytes(data), kind)
    path.write_bytes(content)
    return len(data)


def only_part(data: bytes, kind: str) -> bytes:
    """Return the content of the only part of a multipart/related answer.

    Raises:
        Refused: 502, it is none, or has several parts.
    """
    match = re.search(r'boundary="?([^";,\s]{1,200})"?', kind)
    if not kind.lower().startswith("multipart/related") or match is None:
        raise _unlike("no multipart/related for an instance")
    mark = b"--" + match.group(1).encode("latin-1")
    begin, end = data.find(mark), data.rfind(b"\r\n" + mark + b"--")
    head = data.find(b"\r\n\r\n", begin)
    if begin < 0 or head < 0 or end < head + 4:
        raise _unlike("parts that cannot be read")
    content = data[head + 4 : end]
    if b"\r\n" + mark + b"\r\n" in content:
        raise _unlike("several parts for one instance")
    return content


async def store(client: Any, content: bytes) -> None:
    """Store an instance.

    Raises:
        Refused: 502, the server does not take it.
    """
    mark = secrets.token_hex(16)
    body = f"--{mark}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + f"\r\n--{mark}--\r\n".encode()
    headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={mark}', "Accept": DICOM_JSON}
    answer = await client.post("/studies", content=body, headers=headers)
    if answer.status_code not in (200, 202) or _failed(answer.content):  # 202: stored, with warnings
        raise _unlike(f"status {answer.status_code} for the report: it was not stored")


async def _listed(client: Any, place: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    data = bytearray()
    async with client.stream("GET", place, params=query, headers={"Accept": DICOM_JSON}) as answer:
        if answer.status_code in (204, 404):
            return []
        if answer.status_code != 200:
            raise _unlike(f"status {answer.status_code} for a search")
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > LISTED_BYTES:
                raise _unlike("a list that is too long")
    try:
        found = json.loads(bytes(data)) if data else []
    except (ValueError, RecursionError):
        raise _unlike("no JSON for a search") from None
    if not isinstance(found, list) or not all(isinstance(own, dict) for own in found):
        raise _unlike("no list for a search")
    return found


def _failed(content: bytes) -> bool:
    """Tell whether an answer of STOW-RS names an instance that was not stored."""
    try:
        found = json.loads(content) if content else {}
    except ValueError:
        return False
    parts = found if isinstance(found, list) else [found]
    return any(isinstance(own, dict) and bool((own.get(FAILED) or {}).get("Value")) for own in parts)


def _whole(text: str) -> int:
    """A number by which instances are put in order; zero where it is none."""
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else 0


def _value(own: Mapping[str, Any], tag: str) -> str:
    element = own.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _unlike(what: str) -> Refused:
    return refused(502, "unlike-dicomweb", f"the DICOMweb server answers {what}")
