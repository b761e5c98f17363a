"""A server with chat completions, that answers as a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def completion(text: object, **more: Any) -> bytes:
    """An answer as OpenAI's interface has it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 40, "completion_tokens": 2}, **more}).encode()


@contextmanager
def chat_server(answer: Answer, *, says: int | str | None = None, slowly: float = 0.0) -> Iterator[str]:
    """Serve on a free port of this machine, and yield the address.

    Args:
        answer: status and body, of what was asked.
        says: the length that is claimed, where it is not that of the body.
        slowly: seconds between two bytes of the body.
    """
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(asked | {"path": self.path})
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body) if says is None else says))
            self.end_headers()
            try:
                for place in range(len(body)) if slowly else ():
                    self.wfile.write(body[place : place + 1])
                    self.wfile.flush()
                    if over.wait(slowly):
                        return
                if not slowly:
                    self.wfile.write(body)
            except OSError:  # whoever asked has hung up
                return

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def sleeping(seconds: float) -> Answer:
    """An answer that comes late."""

    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        time.sleep(seconds)
        return 200, completion("A")

    return answer
