"""The protocol of a Glue run: it reads a request from the lake, converts it, and writes a report next to it.

Both sides of the protocol are here: the objects that the engine and the run exchange. Nothing here starts a run or
imports the AWS SDK or Spark: the engine is an argument.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake_pipeline import __version__
from lake_pipeline.convert.request import ConversionOptions, ConversionReport, ConversionRequest, Engine
from lake_pipeline.engines.wire import (
    error_to_json,
    report_from_json,
    report_to_json,
    request_from_json,
    request_to_json,
)
from lake_pipeline.errors import ObjectMissing, PermanentError
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.json_document import parse_document
from lake_pipeline.storage.location import Location, location_from_json, location_to_json
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import RUNS

log = logging.getLogger(__name__)

REQUEST = "request.json"
REPORT = "report.json"

PROGRESS_SECONDS = 10.0
"""Minimum time between two progress lines."""

PROGRESS = re.compile(r"Progress: (\d+) files, (\d+) bytes")


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The request to a run: what to convert, where the lake is, and the size of a shard (None: derived from the
    batch).
    """

    request: ConversionRequest
    location: Location
    shard_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunError:
    """The error that ended a run, as `wire.error_to_json` writes it."""

    kind: str
    text: str


class OtherVersion(PermanentError):
    """A run was started by another version of lake_pipeline than its code."""


def write_request(store: ObjectStore, run: RunRequest) -> str:
    """Write a request to the lake and return its key, which is new for each request."""
    key = f"{RUNS}{run.request.batch_id}/{uuid.uuid4().hex}/{REQUEST}"
    data = {
        "version": __version__,
        "location": location_to_json(run.location),
        "shard_bytes": run.shard_bytes,
        "request": request_to_json(run.request),
    }
    _write(store, key, data)
    return key


def read_request(store: ObjectStore, key: str) -> RunRequest:
    """The request at `key`. Raises `ObjectMissing`, and `OtherVersion` if another version wrote it."""
    data = _read(store, key)
    if data["version"] != __version__:
        raise OtherVersion(
            f"This run was requested by lake_pipeline {data['version']}, but its code is {__version__}. "
            "Run `lake provision` with the version that starts runs: it uploads the code of the job."
        )
    return RunRequest(
        request=request_from_json(data["request"]),
        location=location_from_json(data["location"]),
        shard_bytes=data["shard_bytes"],
    )


def read_answer(store: ObjectStore, request_key: str) -> ConversionReport | RunError | None:
    """The answer to a request: its report, or the error that ended the run; None if there is neither."""
    try:
        data = _read(store, report_key(request_key))
    except ObjectMissing:
        return None
    if "error" in data:
        return RunError(**data["error"])
    return report_from_json(data["report"])


def report_key(request_key: str) -> str:
    """The key of the report on a request."""
    return request_key.removesuffix(REQUEST) + REPORT


def convert_requested(engine: Engine, store: ObjectStore, request: ConversionRequest, key: str) -> ConversionReport:
    """Convert and write the report to `key`. An error that ends the conversion is written there too, and raised."""
    try:
        report = engine.convert(request, on_progress=_ProgressLog())
    except Exception as error:
        _write(store, key, {"error": error_to_json(error)})
        raise
    _write(store, key, {"report": report_to_json(report)})
    return report


def request_for(
    store: ObjectStore, keys: Sequence[str], batch_id: str, options: ConversionOptions
) -> ConversionRequest:
    """A request for the current objects at `keys`, without a contract. Raises `ObjectMissing`."""
    files = []
    for number, key in enumerate(keys, start=1):
        info = store.stat(key)
        if info is None:
            raise ObjectMissing(key)
        files.append(RawFile(file_id=number, key=key, etag=info.etag, size=info.size))
    return ConversionRequest(batch_id=batch_id, files=tuple(files), contract=None, options=options)


class _ProgressLog:
    """Progress as log lines, which the waiting engine reads."""

    def __init__(self) -> None:
        self._last_line = time.monotonic()

    def __call__(self, files: int, size: int) -> None:
        if time.monotonic() - self._last_line >= PROGRESS_SECONDS:
            self._last_line = time.monotonic()
            log.info("Progress: %d files, %d bytes", files, size)


def _write(store: ObjectStore, key: str, data: Mapping[str, Any]) -> None:
    writer = store.put_pending(key)
    try:
        writer.write(json.dumps(data).encode())
        pending = writer.finish()
    except BaseException:
        writer.discard()
        raise
    store.publish(pending)


def _read(store: ObjectStore, key: str) -> dict[str, Any]:
    with store.open(key) as stream:
        data: dict[str, Any] = parse_document(stream.read())
    return data
