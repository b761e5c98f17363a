"""A receiver of HL7 v2 predictions, for the tests of what is sent and of who may send."""

from __future__ import annotations

import asyncio
import socket
import threading

from chiasm.serving.hospital.hl7 import read_message
from chiasm.serving.hospital.mllp import Listener


class Receiver:
    """A server that takes predictions; `code` is what it acknowledges with."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.code = "AA"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = Listener(self._answer, lambda *_, **__: None)
        listening = self._listener.start(socket.create_server(("127.0.0.1", 0)))
        self.port = asyncio.run_coroutine_threadsafe(listening, self._loop).result(10)

    async def _answer(self, data: bytes, _: str) -> bytes:
        self.taken.append(data)
        control = read_message(data).control
        return f"MSH|^~\\&|R||CHIASM||20260301||ACK|1|P|2.5.1\rMSA|{self.code}|{control}\r".encode()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._listener.stop(1.0), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
