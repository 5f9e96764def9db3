"""Fault injection: a fraction of the calls fails as with a bad network or a throttling service.

`error` and `slow` answer with 500 and 503 SlowDown. `reset` and `stall` break the connection, at once or after a pause.
In these four the call has no effect. In `lost` it has, but the answer is lost. `truncate` ends a body halfway.
`refuse` is only used if named in `kinds`; the caller chooses its answer.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

KINDS = ("error", "slow", "reset", "stall", "lost", "truncate")

_ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>A fault injected by local_aws.</Message></Error>'


class Faults:
    """WSGI middleware. Injects no faults until `configure` is called."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.configure()

    def configure(
        self,
        *,
        rate: float = 0.0,
        kinds: Sequence[str] = KINDS,
        seed: int = 0,
        services: Sequence[str] = ("s3",),
        stall_seconds: float = 1.5,
        only: Sequence[str] = (),
        most: int | None = None,
        refusal: tuple[str, str] = ("403 Forbidden", "AccessDenied"),
    ) -> None:
        """From now on, break a call with probability `rate` by one of `kinds`, at most `most` times.

        `only` limits faults to these HTTP methods.
        """
        with self._lock:
            self._random = random.Random(seed)
            self._rate, self._kinds, self._services = rate, tuple(kinds), tuple(services)
            self._stall_seconds, self._only, self._left = stall_seconds, tuple(only), most
            self._status, self._code = refusal
            self.injected: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match self._choose(environ):
            case None:
                return self._passed(environ, start_response)
            case "error":
                return _refuse(environ, start_response, "500 Internal Server Error", b"InternalError")
            case "slow":
                return _refuse(environ, start_response, "503 Slow Down", b"SlowDown")
            case "refuse":
                return _refuse(environ, start_response, self._status, self._code.encode())
            case "stall":
                time.sleep(self._stall_seconds)
                _reset(environ)
            case "lost":
                list(self._passed(environ, lambda *_: lambda _: None))
                _reset(environ)
            case "truncate":
                return _truncated(self._passed(environ, start_response), environ)
            case _:
                _reset(environ)
        raise ConnectionResetError

    def _passed(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def _choose(self, environ: dict[str, Any]) -> str | None:
        service = "s3" if "HTTP_X_AMZ_TARGET" not in environ else "other"
        method = environ["REQUEST_METHOD"]
        with self._lock:
            if not self._rate or service not in self._services or (self._only and method not in self._only):
                return None
            if self._left == 0 or self._random.random() >= self._rate:
                return None
            kind = self._random.choice(self._kinds)
            if kind == "truncate" and method != "GET":
                return None
            self._left = None if self._left is None else self._left - 1
            self.injected[kind] += 1
            return kind


def _refuse(environ: dict[str, Any], start_response: Callable[..., Any], status: str, code: bytes) -> Iterable[bytes]:
    # To a client that is still sending, an answer before the end of the body would be a reset.
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else _ERROR % code
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _truncated(answer: Iterable[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
    """Half of the body, with the Content-Length of the whole."""
    body = b"".join(answer)
    yield body[: len(body) // 2]
    _reset(environ)
    raise ConnectionResetError


def _reset(environ: dict[str, Any]) -> None:
    """Reset the connection, as a crashed peer does. Detaches the descriptor, so that the socket can't be used again."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
