"""Faults between the pipeline and AWS, at a share of the calls: what a network and a busy service do sooner or later.

`error` and `slow` are answers 500 and 503 SlowDown, `reset` and `stall` break the connection, at once or after silence:
in these four the call had no effect. In `lost` it had, but the answer never comes. `truncate` ends a body half-way.
`refuse`, made only when asked for by name, is an answer of the test's own choice.
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

_ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>A fault made by the tests.</Message></Error>'


class Faults:
    """A WSGI application around another one. Makes no faults until it is told to."""

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
        """From now on break a call with probability `rate`, in one of `kinds`, at most `most` of them.

        `only` limits it to calls of these HTTP methods.
        """
        with self._lock:
            self._random = random.Random(seed)
            self._rate, self._kinds, self._services = rate, tuple(kinds), tuple(services)
            self._stall_seconds, self._only, self._left = stall_seconds, tuple(only), most
            self._status, self._code = refusal
            self.made: Counter[str] = Counter()

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
            self.made[kind] += 1
            return kind


def _refuse(environ: dict[str, Any], start_response: Callable[..., Any], status: str, code: bytes) -> Iterable[bytes]:
    # An answer before the body was taken would be a reset to a client that is still sending.
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else _ERROR % code
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _truncated(answer: Iterable[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
    """The first half of the body under the length of all of it."""
    body = b"".join(answer)
    yield body[: len(body) // 2]
    _reset(environ)
    raise ConnectionResetError


def _reset(environ: dict[str, Any]) -> None:
    """End the connection as a crashed peer does. The socket object keeps no descriptor, so nobody can use it."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
