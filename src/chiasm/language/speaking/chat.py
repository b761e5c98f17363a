"""A server with chat completions as OpenAI's, on this machine, as a speaker.

What is asked may be about a patient, so nothing is sent beyond this machine: the address is a loopback one, no proxy is
used and no redirection followed. A server that hangs, breaks off, refuses, or answers with something else than an
answer gave none: it is said which it was, and nothing of what it sent is repeated.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

from chiasm.language.speaking.speaker import Manner, NotSaid, Said, upto

PATH = "/chat/completions"
MOST_BYTES = 1 << 20
STOPS = 4
"""Stops that the interface takes."""
ENDED, AS_LONG = "stop", "length"


@dataclass(frozen=True)
class ChatSpeaker:
    """A server on this machine, and the model that it is asked for.

    Args:
        host, port, base: where it is, the last without a stroke at its end.
        model: the name of the model, as the server knows it.
        seconds: within which an answer is there, whole.
    """

    host: str
    port: int
    base: str
    model: str
    seconds: float = 60.0
    turn: bool = True

    @property
    def name(self) -> str:
        """The model, where it is named, or the place."""
        return self.model or f"{self.host}:{self.port}"

    @property
    def identity(self) -> str:
        """Hash of the address and the model's name: what the server holds under that name cannot be seen from here."""
        return hashlib.sha256(json.dumps([self.host, self.port, self.base, self.model]).encode()).hexdigest()

    def say(self, prompt: str, manner: Manner) -> Said:
        """Ask, and read the first choice.

        Raises:
            NotSaid: it was silent, refused, broke off, or sent what is no answer.
        """
        body: dict[str, Any] = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": manner.tokens,
            "temperature": manner.temperature,
            "seed": manner.seed,
            "n": 1,
            "stream": False,
        }
        stops = [own for own in manner.stops if own.strip()][:STOPS]  # a blank one may stand before the answer
        body |= ({"stop": stops} if stops else {}) | ({"model": self.model} if self.model else {})
        return said_in(self.sent(json.dumps(body).encode()), manner)

    def sent(self, body: bytes) -> bytes:
        """Send a request, and return what came back before the time is over.

        Raises:
            NotSaid: nothing did, or not all of it, or no success.
        """
        line = HTTPConnection(self.host, self.port, timeout=self.seconds)
        over, held = list[bool](), list[socket]()

        def end() -> None:
            over.append(True)
            for own in held:
                with suppress(OSError):
                    own.shutdown(SHUT_RDWR)

        clock = Timer(self.seconds, end)  # of the whole: a server that sends a byte a second keeps each read alive
        clock.daemon = True
        clock.start()
        try:
            line.connect()
            held.append(line.sock)
            line.request("POST", f"{self.base}{PATH}", body, {"Content-Type": "application/json"})
            with line.getresponse() as answer:
                found = answer.read(MOST_BYTES + 1)
                promised = answer.getheader("Content-Length", "")
            if over:
                raise TimeoutError
            if answer.status != 200:
                raise NotSaid("crashed", f"the server answered with status {answer.status}")
            if len(found) < promised_bytes(promised):
                raise NotSaid("crashed", "the server broke off before the length that it told")
            if len(found) > MOST_BYTES:
                raise NotSaid("too long", f"the server's answer has over {MOST_BYTES:,} bytes")
            return found
        except TimeoutError:
            raise NotSaid("silent", f"the server did not answer in {self.seconds:g} s") from None
        except (OSError, HTTPException) as error:
            if over:
                raise NotSaid("silent", f"the server did not answer in {self.seconds:g} s") from None
            raise NotSaid("crashed", f"the server cannot be reached or broke off ({type(error).__name__})") from None
        finally:
            clock.cancel()
            line.close()


def promised_bytes(header: str) -> int:
    """How many bytes an answer promises by its header, `MOST_BYTES` at most; 0 where that is no number."""
    digits = header.strip().lstrip("0")
    if not (digits.isascii() and digits.isdecimal()):
        return 0
    return MOST_BYTES if len(digits) > len(str(MOST_BYTES)) else min(int(digits), MOST_BYTES)


def said_in(sent: bytes, manner: Manner) -> Said:
    """Read the first choice of an answer.

    Raises:
        NotSaid: it is no JSON, or has no choice with a text.
    """
    try:
        row = json.loads(sent)
    except (ValueError, RecursionError):
        raise NotSaid("crashed", "the server's answer is no JSON, or was cut off") from None
    choices = row.get("choices") if isinstance(row, dict) else None
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = first.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str):
        raise NotSaid("crashed", "the server's answer has no choice with a text")
    usage = row.get("usage")
    read, written = (tokens(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    plain = upto(text, manner.stops)
    ended = first.get("finish_reason") != AS_LONG or plain != text.strip()
    return Said(plain, read, written, False, ended)


def tokens(usage: Any, name: str) -> int | None:
    """A number of tokens, None where none is told that can be one."""
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < MOST_BYTES * 64 else None


def open_chat(address: str, model: str = "", seconds: float = 60.0) -> ChatSpeaker:
    """Open a server by its address, as `http://127.0.0.1:8000/v1`.

    Raises:
        ValueError: the address is none, or not of this machine, or the time is not above zero.
    """
    wrong = f"'{address}' is no address of a server on this machine: write http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(address)
        port = parts.port or 80
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme != "http" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(wrong)
    if not is_here(parts.hostname):
        raise ValueError(
            f"{wrong}; what is asked may be about a patient and is not sent elsewhere: for another machine, forward a "
            "port of this one to it by a way that you trust"
        )
    if not seconds > 0:
        raise ValueError(f"a server needs more than {seconds:g} s for an answer: choose a --timeout above 0")
    return ChatSpeaker(parts.hostname, port, parts.path.rstrip("/"), model, seconds)


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
