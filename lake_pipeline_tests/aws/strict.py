"""What S3 does and moto does not: conditions of a copy on its source, of a delete on what is deleted, and the right
answer to completing an upload that is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from werkzeug.datastructures import Headers

_ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>Told by the tests in place of moto.</Message></Error>'


class Strict:
    """A WSGI application around moto that answers as S3 would."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        wanted, path = _condition(environ)
        if wanted is not None:
            status, headers = self._ask(environ, "HEAD", path, "")
            if status.startswith("200") and headers.get("ETag", "").strip('"') != wanted:
                return _refuse(environ, start_response, "412 Precondition Failed", b"PreconditionFailed")
        query = environ.get("QUERY_STRING", "")
        if environ["REQUEST_METHOD"] == "POST" and query.startswith("uploadId="):
            status, _ = self._ask(environ, "GET", environ["PATH_INFO"], query)
            if not status.startswith("200"):
                return _refuse(environ, start_response, "404 Not Found", b"NoSuchUpload")
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def _ask(self, environ: dict[str, Any], method: str, path: str, query: str) -> tuple[str, Headers]:
        """What moto itself answers to another request of the same caller."""
        told: list[Any] = []
        question = {
            **{name: value for name, value in environ.items() if not name.startswith(("HTTP_X_AMZ_COPY", "HTTP_IF"))},
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": "0",
            "wsgi.input": BytesIO(),
            "PATH_INFO": path,
            "RAW_URI": path,
            "REQUEST_URI": path,
        }
        list(self._app(question, lambda *answer: told.append(answer)))
        return told[0][0], Headers(told[0][1])


def _condition(environ: dict[str, Any]) -> tuple[str | None, str]:
    """The ETag that is asked for, and the path of the object it is asked of."""
    source = environ.get("HTTP_X_AMZ_COPY_SOURCE")
    wanted = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH")
    if source and wanted and "versionId=" not in source:
        # WSGI has the bytes of a path as if they were Latin-1.
        return wanted.strip('"'), "/" + unquote(source, "latin-1").lstrip("/")
    if environ["REQUEST_METHOD"] == "DELETE" and (wanted := environ.get("HTTP_IF_MATCH")):
        return wanted.strip('"'), environ["PATH_INFO"]
    return None, ""


def _refuse(environ: dict[str, Any], start_response: Callable[..., Any], status: str, code: bytes) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = _ERROR % code
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
