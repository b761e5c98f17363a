"""What a mapping file asks for, added to a service: each standard that has a table in it."""

from __future__ import annotations

import stat
import sys
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from chiasm.serving.address import Address, address_of
from chiasm.serving.hospital.mapped import Mapped
from chiasm.serving.hospital.mapping import Hl7Keys, MappingError, read_keys
from chiasm.serving.service import Service

TOKEN_BYTES = 8_192


class Hospital:
    """The extension of an application by what one mapping file asks for.

    Raises:
        MappingError: the file cannot be read, asks for nothing, or names what is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._keys = path, read_keys(path)
        own = self._keys
        if not (own.fhir or own.cds_hooks or own.dicomweb or own.hl7):
            raise MappingError(f"'{path.name}' asks for no standard: add [fhir], [cds_hooks], [dicomweb] or [hl7]")

    def __call__(self, app: FastAPI, service: Service) -> None:
        own = self._keys
        try:
            mapped = Mapped(own, service)
            if own.fhir is not None:
                from chiasm.serving.hospital.fhir import fhir_routes
                from chiasm.serving.hospital.writing import FhirServer

                server = FhirServer(own.fhir.server, self._token(own.fhir.token)) if own.fhir.server else None
                app.include_router(fhir_routes(mapped, server))
            if own.cds_hooks is not None:
                from chiasm.serving.hospital.cds_hooks import cds_routes

                if own.records:
                    raise MappingError("`records` read all that is known, which CDS Hooks cannot ask for beforehand")
                if own.cds_hooks.keys:
                    self._sign(service, own.cds_hooks.keys, own.cds_hooks.audience)
                app.include_router(cds_routes(mapped))
            if own.dicomweb is not None:
                from chiasm.serving.hospital.dicomweb import DicomServer
                from chiasm.serving.hospital.imaging import imaging_routes

                place = own.dicomweb
                if not own.images:
                    raise MappingError("[dicomweb] fetches [[images]], and none is named")
                store = DicomServer(place.server, self._token(place.token), place.instances, place.megabytes << 20)
                app.include_router(imaging_routes(mapped, store))
            if own.hl7 is not None:
                from chiasm.serving.hospital.hl7_service import Hl7

                Hl7(mapped, self._place(own.hl7)).join(app)
        except ValueError as error:
            raise MappingError(f"'{self._path.name}': {error}") from None

    def _sign(self, service: Service, keys: str, audience: str) -> None:
        from chiasm.serving.hospital.client_keys import SignedAccess

        if not audience:
            raise MappingError("[cds_hooks] with `keys` needs `audience`, the address of this service for its clients")
        service.access = SignedAccess(service.access, self._file(keys), audience)

    def _place(self, own: Hl7Keys) -> Any:
        from chiasm.serving.hospital.hl7_service import Hl7Place

        listen, send = _address(own.listen, "listen"), _address(own.send, "send")
        if (own.certificate == "") != (own.key == ""):
            raise MappingError("TLS of [hl7] needs both `certificate` and `key`")
        if own.clients and not own.certificate:
            raise MappingError("`clients` of [hl7] are told by TLS: give `certificate` and `key` too")
        if not listen.is_local and not own.clients:
            raise MappingError(
                "[hl7] listens beyond this machine: give `certificate`, `key` and `clients`, the certificates by which "
                "senders are told, or listen on 127.0.0.1"
            )
        if not send.is_local and not own.authority:
            raise MappingError(
                "[hl7] sends beyond this machine: give `authority`, the certificates of the receiver's TLS"
            )
        names = (own.certificate, own.key, own.clients, own.authority)
        certificate, key, clients, authority = (self._file(name) if name else None for name in names)
        return Hl7Place(listen, (send.host, send.port), certificate, key, clients, authority, _zone(own.zone))

    def _file(self, name: str) -> Path:
        found = self._path.parent / name
        if not found.is_file():
            raise MappingError(f"there is no file '{name}'")
        return found

    def _token(self, name: str) -> str:
        """Read a token from its file, which nobody else may read."""
        if not name:
            return ""
        path = self._file(name)
        if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise MappingError(f"'{name}' may be read by others than its owner: chmod 600 it")
        if path.stat().st_size > TOKEN_BYTES or len(text := path.read_text("utf-8").strip()) == 0 or "\n" in text:
            raise MappingError(f"'{name}' holds no token: one line of text")
        return text


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        raise MappingError("`zone` of [hl7] is a name of the IANA time zones, as in Europe/Berlin") from None


def _address(text: str, key: str) -> Address:
    try:
        return address_of(text)
    except ValueError:
        raise MappingError(f"`{key}` of [hl7] is host:port, as in 127.0.0.1:2575") from None
