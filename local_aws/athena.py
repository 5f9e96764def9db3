"""Behavior of Athena that moto lacks: paged results, failing and endless queries, and statistics of scanned bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

TARGET = "AmazonAthena."


class Athena:
    """WSGI middleware that changes some answers of moto."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.configure()

    def configure(self, *, reason: str = "", scanned: int = 0, refusal: str = "", endless: bool = False) -> None:
        """From now on, queries fail with `reason`, report `scanned` bytes, are rejected with the message `refusal`, or
        run until they are stopped (`endless`)."""
        self._reason, self._scanned, self._refusal, self._endless = reason, scanned, refusal, endless

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if not target.startswith(TARGET):
            passed: Iterable[bytes] = self._app(environ, start_response)
            return passed
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        operation, request = target.removeprefix(TARGET), json.loads(body)
        if operation == "StartQueryExecution" and self._refusal:
            error = {"__type": "InvalidRequestException", "Message": self._refusal}
            return _json(start_response, "400 Bad Request", error)
        statuses: list[str] = []

        def keep_status(status: str, *_: Any) -> None:
            statuses.append(status)

        answer = json.loads(b"".join(self._app({**environ, "wsgi.input": BytesIO(body)}, keep_status)) or b"{}")
        if statuses[0].startswith("200"):
            if operation == "GetQueryExecution":
                self._change_execution(answer["QueryExecution"])
            elif operation == "GetQueryResults":
                _cut_page(answer, request)
        return _json(start_response, statuses[0], answer)

    def _change_execution(self, execution: dict[str, Any]) -> None:
        status = execution["Status"]
        if status["State"] == "SUCCEEDED" and self._endless:
            status["State"] = "RUNNING"
        elif status["State"] == "SUCCEEDED" and self._reason:
            status.update(State="FAILED", StateChangeReason=self._reason)
        execution["Statistics"].update(DataScannedInBytes=self._scanned, TotalExecutionTimeInMillis=1500)


def _cut_page(answer: dict[str, Any], request: dict[str, Any]) -> None:
    rows = answer["ResultSet"]["Rows"]
    begin, size = int(request.get("NextToken", 0)), request.get("MaxResults", 1000)
    answer["ResultSet"]["Rows"] = rows[begin : begin + size]
    if begin + size < len(rows):
        answer["NextToken"] = str(begin + size)


def _json(start_response: Callable[..., Any], status: str, answer: dict[str, Any]) -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    start_response(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
    return [body]
