"""The request log: calls by API operation, for counting the requests S3 bills and for checking IAM policies."""

from __future__ import annotations

import io
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote


class RequestLog:
    """WSGI middleware. Counts calls by access key, service, operation, bucket and the first three folders."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str, str, str]] = Counter()
        self._examples: dict[tuple[str, str, str, str, str], str] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            for service, operation, bucket, key in _calls(environ):
                kind = (service, operation, bucket, "/".join(key.split("/")[:-1][:3]), _access_key(environ))
                self._counts[kind] += 1
                self._examples.setdefault(kind, key)
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def counts(self) -> list[dict[str, Any]]:
        """One object for each kind of call, with the first key of such a call."""
        with self._lock:
            return [
                {
                    "service": kind[0],
                    "operation": kind[1],
                    "bucket": kind[2],
                    "folder": kind[3],
                    "access_key": kind[4],
                    "key": self._examples[kind],
                    "count": count,
                }
                for kind, count in sorted(self._counts.items())
            ]

    def clear(self) -> None:
        """Discard all counts."""
        with self._lock:
            self._counts.clear()
            self._examples.clear()


def _access_key(environ: dict[str, Any]) -> str:
    """The access key that signed the call."""
    match = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return match.group(1) if match else ""


def _calls(environ: dict[str, Any]) -> Iterable[tuple[str, str, str, str]]:
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        service, _, operation = target.partition(".")
        # AmazonSQS, AWSGlue, Logs_20140328, secretsmanager
        yield service.removeprefix("Amazon").lower().removeprefix("aws").partition("_")[0], operation, "", ""
        return
    if "/sns/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
        yield "sns", _action(environ), "", ""
        return
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    yield "s3", _s3_operation(environ, bool(key)), bucket, key
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        from_bucket, _, from_key = unquote(source.partition("?")[0], "latin-1").lstrip("/").partition("/")
        operation = "CopySourceVersion" if "versionId=" in source else "CopySource"
        yield "s3", operation, from_bucket, from_key


def _action(environ: dict[str, Any]) -> str:
    """The operation of a service with form-encoded requests."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return parse_qs(body.decode())["Action"][0]


def _s3_operation(environ: dict[str, Any], has_key: bool) -> str:
    """The API operation of an S3 request."""
    method: str = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    copies = "HTTP_X_AMZ_COPY_SOURCE" in environ
    if not has_key:
        for name, operation in _BUCKET_SUBRESOURCES.items():
            if name in query:
                return {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}.get(method, "") + operation
        if method == "GET":
            return "ListMultipartUploads" if "uploads" in query else "ListVersions" if "versions" in query else "List"
        return {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket", "POST": "DeleteObjects"}[method]
    if "uploadId" in query:
        return {
            "PUT": "UploadPartCopy" if copies else "UploadPart",
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
        }[method]
    if method == "POST" and "uploads" in query:
        return "CreateMultipartUpload"
    if method == "DELETE" and "versionId" in query:
        return "DeleteObjectVersion"
    return {
        "GET": "GetObject",
        "HEAD": "HeadObject",
        "PUT": "CopyObject" if copies else "PutObject",
        "DELETE": "DeleteObject",
    }.get(method, method)


_BUCKET_SUBRESOURCES = {
    "lifecycle": "BucketLifecycleConfiguration",
    "encryption": "BucketEncryption",
    "versioning": "BucketVersioning",
    "publicAccessBlock": "PublicAccessBlock",
    "notification": "BucketNotificationConfiguration",
    "location": "BucketLocation",
    "policy": "BucketPolicy",
}
