"""Behavior of S3 that moto lacks: conditions of copies (`CopySourceIfMatch`) and deletes (`IfMatch`), and NoSuchUpload
when completing an upload that does not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from werkzeug.datastructures import Headers

_ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>Answered by local_aws.</Message></Error>'


class S3Conditions:
    """WSGI middleware that checks conditions before moto handles the request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        expected_etag, path = _condition(environ)
        if expected_etag is not None:
            status, headers = self._send(environ, "HEAD", path, "")
            if status.startswith("200") and headers.get("ETag", "").strip('"') != expected_etag:
                return _refuse(environ, start_response, "412 Precondition Failed", b"PreconditionFailed")
        query = environ.get("QUERY_STRING", "")
        if environ["REQUEST_METHOD"] == "POST" and query.startswith("uploadId="):
            status, _ = self._send(environ, "GET", environ["PATH_INFO"], query)
            if not status.startswith("200"):
                return _refuse(environ, start_response, "404 Not Found", b"NoSuchUpload")
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def _send(self, environ: dict[str, Any], method: str, path: str, query: str) -> tuple[str, Headers]:
        """Status and headers of moto's answer to another request with the same credentials."""
        answers: list[Any] = []
        request = {
            **{name: value for name, value in environ.items() if not name.startswith(("HTTP_X_AMZ_COPY", "HTTP_IF"))},
            "REQUEST_METHOD": method,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": "0",
            "wsgi.input": BytesIO(),
            "PATH_INFO": path,
            "RAW_URI": path,
            "REQUEST_URI": path,
        }
        list(self._app(request, lambda *answer: answers.append(answer)))
        return answers[0][0], Headers(answers[0][1])


def _condition(environ: dict[str, Any]) -> tuple[str | None, str]:
    """The required ETag, and the path of the object that must have it."""
    source = environ.get("HTTP_X_AMZ_COPY_SOURCE")
    expected_etag = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH")
    if source and expected_etag and "versionId=" not in source:
        # WSGI decodes the bytes of a path as Latin-1.
        return expected_etag.strip('"'), "/" + unquote(source, "latin-1").lstrip("/")
    if environ["REQUEST_METHOD"] == "DELETE" and (expected_etag := environ.get("HTTP_IF_MATCH")):
        return expected_etag.strip('"'), environ["PATH_INFO"]
    return None, ""


def _refuse(environ: dict[str, Any], start_response: Callable[..., Any], status: str, code: bytes) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = _ERROR % code
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
