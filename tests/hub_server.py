"""A small Hub on loopback: what `huggingface_hub` asks of the Hub to make, fill and read a repository, over real HTTP.

Its answers can be made wrong by name: `server.fault`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors",)


@dataclass
class Repository:
    """Revisions of a repository, each with its files, the newest last."""

    private: bool
    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def add(self, files: dict[str, bytes]) -> str:
        """Add a revision and return its hash."""
        text = repr(
            (len(self.revisions), sorted((name, hashlib.sha256(own).hexdigest()) for name, own in files.items()))
        )
        revision = hashlib.sha1(text.encode()).hexdigest()
        self.revisions[revision] = files
        return revision

    @property
    def newest(self) -> str:
        return list(self.revisions)[-1]


class Hub(ThreadingHTTPServer):
    """The server, with its repositories, what was asked of it, and what it does wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of loopback."""
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str]] = []  # method, path, authorization
        self.fault = ""
        self.elsewhere = ""

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that went away."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Listings and files."""
        path = self._asked()
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path):
            return self._listing(found[1], unquote(found[2] or "main"))
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", path):
            return self._file(found[1], found[2], unquote(found[3]))
        return self._tell(404, {"error": "no such thing"})

    def do_POST(self) -> None:
        """Repositories, how files are sent, and commits."""
        path = self._asked()
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if path == "/api/validate-yaml":
            return self._tell(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            if name in self.server.repositories:
                return self._tell(409, {"error": "it exists", "url": f"{self.server.endpoint}/{name}"})
            made = self.server.repositories[name] = Repository(asked.get("visibility") == "private")
            made.add({".gitattributes": b"*.safetensors filter=lfs\n"})
            return self._tell(200, {"url": f"{self.server.endpoint}/{name}", "name": name})
        if re.fullmatch(r"/api/models/[^/]+/[^/]+/preupload/main", path):
            names = [own["path"] for own in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "lfs" if name.endswith(LARGE) else "regular"} for name in names]
            return self._tell(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**own, "actions": {"upload": {"href": f"{self.server.endpoint}/large/{own['oid']}"}}}
                for own in json.loads(body)["objects"]
            ]
            return self._tell(200, {"transfer": "basic", "objects": objects})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(found[1], body)
        return self._tell(404, {"error": "no such thing"})

    def do_PUT(self) -> None:
        """The bytes of a large file."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        oid = self._asked().removeprefix("/large/")
        if hashlib.sha256(body).hexdigest() != oid:
            return self._tell(400, {"error": "another content"})
        self.server.large[oid] = body
        return self._tell(200, {})

    def _asked(self) -> str:
        path = urlsplit(self.path).path
        self.server.asked.append((self.command, path, self.headers.get("authorization", "")))
        return path

    def _commit(self, name: str, body: bytes) -> None:
        repository = self.server.repositories[name]
        files = dict(repository.revisions[repository.newest])
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        revision = repository.add(files)
        told = {"commitOid": revision, "commitUrl": f"{self.server.endpoint}/{name}/commit/{revision}"}
        self._tell(200, {"success": True, **told})

    def _listing(self, name: str, asked: str) -> None:
        repository = self.server.repositories.get(name)
        revision = repository.newest if repository is not None and asked == "main" else asked
        if repository is None or revision not in repository.revisions:
            return self._tell(404, {"error": "no such thing"})
        rows = []
        for path, own in repository.revisions[revision].items():
            blob = hashlib.sha1(b"blob %d\0" % len(own) + own).hexdigest()
            large = {"sha256": hashlib.sha256(own).hexdigest(), "size": len(own), "pointerSize": 130}
            rows.append({"rfilename": path, "size": len(own), "blobId": blob})
            rows[-1] |= {"lfs": large} if path.endswith(LARGE) else {}
        if self.server.fault == "another revision":
            revision = "0" * 40
        if self.server.fault == "huge":
            rows = [row | {"lfs": {"sha256": "0" * 64, "size": 1 << 50}} if "lfs" in row else row for row in rows]
        if self.server.fault == "twice":
            rows += [row for row in rows if "lfs" in row]
        if self.server.fault == "endless listing":
            rows = [{"rfilename": "a" * 1000} for _ in range(6000)]
        return self._tell(200, {"id": name, "sha": revision, "private": repository.private, "siblings": rows})

    def _file(self, name: str, revision: str, path: str) -> None:
        own, fault = self.server.repositories[name].revisions[revision][path], self.server.fault
        if fault in ("elsewhere", "round") and path.endswith(LARGE):
            self.send_response(302)
            self.send_header("location", self.server.elsewhere if fault == "elsewhere" else self.path)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        sent = {"changed": own[:-1] + b"?", "too large": own + b"?" * 70000, "shorter": own[:-1]}.get(fault, own)
        self.send_response(500 if fault == "broken" else 200)
        self.send_header("content-length", str(len(own) if fault == "truncated" else len(sent)))
        self.end_headers()
        self.wfile.write(sent[: len(own) // 2] if fault == "truncated" else sent)
        self.close_connection = fault == "truncated"

    def _tell(self, status: int, document: Any) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def hub_on_loopback() -> Iterator[Hub]:
    """Serve a Hub until the block ends."""
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
