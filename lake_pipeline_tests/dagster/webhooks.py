"""A local webhook that replaces Slack's in tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def webhook(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """The URL of a local webhook and the texts it receives. It responds with `statuses`, then with 200."""
    received: list[str] = []
    responses = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # called by the server
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(json.loads(body)["text"])
            self.send_response(next(responses, 200))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
