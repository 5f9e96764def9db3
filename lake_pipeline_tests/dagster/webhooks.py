"""A webhook on this machine that stands in for Slack's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def webhook(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """The URL of a webhook on this machine, and the texts it was told. It answers with `statuses`, then with 200."""
    told: list[str] = []
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # its name is given
            body = self.rfile.read(int(self.headers["content-length"]))
            told.append(json.loads(body)["text"])
            self.send_response(next(answers, 200))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
