"""What Athena does and moto does not: results come in pages, queries fail or run for long, and tell what they read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

TARGET = "AmazonAthena."


class Athena:
    """A WSGI application around moto that changes some of its answers."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.configure()

    def configure(self, *, reason: str = "", scanned: int = 0, refusal: str = "", endless: bool = False) -> None:
        """From now on: queries fail for `reason`, or have read so many bytes, are refused, or never end unless they
        are stopped."""
        self._reason, self._scanned, self._refusal, self._endless = reason, scanned, refusal, endless

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if not target.startswith(TARGET):
            passed: Iterable[bytes] = self._app(environ, start_response)
            return passed
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        operation, asked = target.removeprefix(TARGET), json.loads(body)
        if operation == "StartQueryExecution" and self._refusal:
            refused = {"__type": "InvalidRequestException", "Message": self._refusal}
            return _json(start_response, "400 Bad Request", refused)
        told: list[str] = []

        def remember(status: str, *_: Any) -> None:
            told.append(status)

        answer = json.loads(b"".join(self._app({**environ, "wsgi.input": BytesIO(body)}, remember)) or b"{}")
        if told[0].startswith("200"):
            if operation == "GetQueryExecution":
                self._end(answer["QueryExecution"])
            elif operation == "GetQueryResults":
                _page(answer, asked)
        return _json(start_response, told[0], answer)

    def _end(self, execution: dict[str, Any]) -> None:
        status = execution["Status"]
        if status["State"] == "SUCCEEDED" and self._endless:
            status["State"] = "RUNNING"
        elif status["State"] == "SUCCEEDED" and self._reason:
            status.update(State="FAILED", StateChangeReason=self._reason)
        execution["Statistics"].update(DataScannedInBytes=self._scanned, TotalExecutionTimeInMillis=1500)


def _page(answer: dict[str, Any], asked: dict[str, Any]) -> None:
    rows = answer["ResultSet"]["Rows"]
    begin, most = int(asked.get("NextToken", 0)), asked.get("MaxResults", 1000)
    answer["ResultSet"]["Rows"] = rows[begin : begin + most]
    if begin + most < len(rows):
        answer["NextToken"] = str(begin + most)


def _json(start_response: Callable[..., Any], status: str, answer: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
    return [body]
