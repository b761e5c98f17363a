"""What the Hugging Face Hub is asked, and how its answers are bounded: in bytes, in time and in where they lead."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from chiasm.errors import Unsupported
from chiasm.limits import MEGABYTE

ENDPOINT = "https://huggingface.co"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
FULL_HASH = re.compile(r"[0-9a-f]{40}")
LISTING_BYTES = 4 * MEGABYTE
REDIRECTS = 5
SECONDS = 30.0  # without a byte
SLOWEST = 20_000  # bytes a second over a whole file, beyond the first minute
CLIENT = ("huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "hf_xet")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class HubError(ValueError):
    """Error for a repository of the Hub that cannot be used, or an answer that is not what was asked for."""


@dataclass(frozen=True)
class HubPlace:
    """A repository of the Hub, and where the Hub is."""

    repository: str
    endpoint: str

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"{self.endpoint}/{self.repository}"

    def listing(self, revision: str) -> dict[str, Any]:
        """Ask what a revision holds, with sizes and hashes.

        Raises:
            HubError: there is no such revision, or the answer is no listing.
        """
        url = f"{self.endpoint}/api/models/{self.repository}/revision/{quote(revision, safe='')}?blobs=true"
        told = b"".join(self.read(url, LISTING_BYTES, "the list of files"))
        try:
            found = json.loads(told)
        except (ValueError, RecursionError):
            raise HubError("the Hub's list of files is not JSON: ask again later") from None
        if not isinstance(found, dict) or FULL_HASH.fullmatch(str(found.get("sha"))) is None:
            raise HubError("the Hub's list of files names no revision: ask again later")
        return found

    def file(self, revision: str, name: str, most: int) -> Iterator[bytes]:
        """Yield the bytes of a file of a revision, `most` at the most."""
        yield from self.read(f"{self.endpoint}/{self.repository}/resolve/{revision}/{quote(name)}", most, f"'{name}'")

    def read(self, url: str, most: int, what: str) -> Iterator[bytes]:
        """Yield the bytes of an answer.

        Redirects lead to https or to the Hub itself, and the token is sent to the Hub alone.

        Raises:
            HubError: no such thing, a redirect elsewhere, more bytes than `most`, or fewer a second than any network.
        """
        from huggingface_hub.utils import build_hf_headers, get_session

        with told_plainly(what):
            for _ in range(REDIRECTS + 1):
                own = same_place(url, self.endpoint)
                headers = {**build_hf_headers(token=None if own else False), "accept-encoding": "identity"}
                asked = get_session().stream("GET", url, headers=headers, follow_redirects=False, timeout=SECONDS)
                with asked as answer:
                    if answer.status_code in (301, 302, 303, 307, 308):
                        url = urljoin(url, answer.headers.get("location", ""))
                        require_safe(url, self.endpoint, what)
                        continue
                    if answer.status_code != 200:
                        raise HubError(refused(answer.status_code, self.repository, what))
                    yield from bounded(answer.iter_bytes(65536), most, what)
                    return
            raise HubError(f"the Hub redirects {what} more than {REDIRECTS} times: ask again later")


def bounded(parts: Iterator[bytes], most: int, what: str) -> Iterator[bytes]:
    """Yield parts, `most` bytes at the most and not slower than any network."""
    start, got = time.monotonic(), 0
    for part in parts:
        got += len(part)
        if got > most:
            raise HubError(f"the Hub sends more than {most:,} bytes for {what}: nothing of it was kept")
        if got < SLOWEST * (time.monotonic() - start - 60):
            raise HubError(f"the Hub sends {what} too slowly: ask again later")
        yield part


def hub_place(repository: str) -> HubPlace:
    """Return the place of a repository `owner/name`, at the Hub that `HF_ENDPOINT` names.

    Raises:
        Unsupported: huggingface_hub is not installed.
        HubError: the name is none, or the Hub is named without TLS.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise Unsupported('the Hub needs huggingface_hub: pip install "chiasm[tracking]"')
    if REPOSITORY.fullmatch(repository) is None or ".." in repository or "--" in repository:
        raise HubError("a repository of the Hub is named owner/name, of letters, digits, '-', '_' and '.'")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT
    if urlsplit(endpoint).scheme != "https" and urlsplit(endpoint).hostname not in LOOPBACK:
        raise HubError("HF_ENDPOINT is no https address: a token would be sent in the clear")
    return HubPlace(repository, endpoint)


def same_place(url: str, endpoint: str) -> bool:
    """Return whether an address is at the Hub itself."""
    return urlsplit(url)[:2] == urlsplit(endpoint)[:2]


def require_safe(url: str, endpoint: str, what: str) -> None:
    """Refuse a redirect that leaves the Hub without TLS."""
    parts = urlsplit(url)
    if not same_place(url, endpoint) and (parts.scheme != "https" or not parts.hostname):
        raise HubError(f"the Hub redirects {what} to an address without TLS: nothing was fetched from there")


def refused(status: int, repository: str, what: str) -> str:
    """Say what an answer other than 200 means."""
    if status in (401, 403, 404):
        return (
            f"the Hub does not show {what} of '{repository}' for you: look at name and revision, and sign in by "
            "'hf auth login' where it is private"
        )
    return f"the Hub answers {status} for {what}: ask again later"


@contextmanager
def told_plainly(what: str) -> Iterator[None]:
    """Turn what the Hub's client raises into a sentence."""
    try:
        yield
    except Exception as error:
        theirs = type(error).__module__.partition(".")[0] in CLIENT
        if not theirs and type(error) is not RuntimeError:  # by which it says that an upload failed
            raise
        raise HubError(told_of(error, what)) from None


def told_of(error: Exception, what: str) -> str:
    """Say why the Hub's client gave up, without its words, which may hold a token's address."""
    return f"the Hub cannot be asked for {what} ({type(error).__name__}): see that it is reached, and that you may"
