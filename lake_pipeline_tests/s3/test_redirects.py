"""A server that redirects every request, as the address of a web site or of a proxy may."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lake_pipeline.errors import StorageRefused
from local_aws.server import CREDENTIALS, AwsServer

BODY = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"


class Redirecting(BaseHTTPRequestHandler):
    """Answers each request as S3 does for a bucket in another region, and does not say which."""

    def do_GET(self) -> None:
        self._redirect(BODY)

    def do_HEAD(self) -> None:
        self._redirect(b"")

    def _redirect(self, body: bytes) -> None:
        self.send_response(301)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_redirects_every_request_is_refused_with_a_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = AwsServer(f"http://127.0.0.1:{server.server_address[1]}").store("bucket")
        for use in (lambda: store.stat("key"), lambda: store.open("key"), lambda: list(store.objects(""))):
            with pytest.raises(StorageRefused, match="LAKE_AWS_REGION"):
                use()
        server.shutdown()
