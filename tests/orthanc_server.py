"""Orthanc, a DICOM server, started for a test and stopped behind it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ORTHANC, PLUGIN = Path("/usr/sbin/Orthanc"), Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
needs_orthanc = pytest.mark.skipif(
    not (ORTHANC.exists() and PLUGIN.exists()), reason="no Orthanc: make services brings it"
)


@contextmanager
def running_orthanc(folder: Path) -> Iterator[str]:
    """Start Orthanc on a free port, its files in a folder; yields its address."""
    httpx = pytest.importorskip("httpx")
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
    settings = {
        "HttpPort": port, "HttpServerEnabled": True, "DicomServerEnabled": False, "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "StorageDirectory": str(folder), "IndexDirectory": str(folder),
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([ORTHANC, folder / "orthanc.json"], **quiet) as process:  # type: ignore[call-overload]
        base, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            try:
                if httpx.get(f"{base}/dicom-web/studies").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield base
        process.terminate()
