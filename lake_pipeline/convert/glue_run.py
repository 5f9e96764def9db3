"""What a Glue run does: read what is asked from the lake, convert it, leave a report beside it.

Both ends of a run are here: the objects through which the one who asks (`glue`) and the run understand each other.
Nothing here starts a run, and nothing imports the AWS SDK or Spark: the engine is given.
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
from lake_pipeline.convert.travelling import report_from_json, report_to_json, request_from_json, request_to_json
from lake_pipeline.errors import LakeError, ObjectMissing, PermanentError
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.places import Place, place_from_json, place_to_json
from lake_pipeline.storage.zones import RUNS

log = logging.getLogger(__name__)

REQUEST = "request.json"
REPORT = "report.json"

PROGRESS_SECONDS = 10.0
"""How often a run tells how far it is."""

PROGRESS = re.compile(r"Progress: (\d+) files, (\d+) bytes")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a run is asked: a request, where the lake is, the size of a share where it is not to follow from these."""

    request: ConversionRequest
    place: Place
    share_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The error that ended a run, as it told it: its class, its text, and whether it would come again."""

    kind: str
    text: str
    permanent: bool


class OtherVersion(PermanentError):
    """A run was started by another version of this program than the one its code is of."""


def ask(store: ObjectStore, asked: Asked) -> str:
    """Leave a request in the lake, each time under another key, which it returns."""
    key = f"{RUNS}{asked.request.batch_id}/{uuid.uuid4().hex}/{REQUEST}"
    data = {
        "version": __version__,
        "place": place_to_json(asked.place),
        "share_bytes": asked.share_bytes,
        "request": request_to_json(asked.request),
    }
    _write(store, key, data)
    return key


def asked_at(store: ObjectStore, key: str) -> Asked:
    """What was asked under `key`. Raises `ObjectMissing`, and `OtherVersion` where another version asked."""
    data = _read(store, key)
    if data["version"] != __version__:
        raise OtherVersion(
            f"This run was asked for by lake_pipeline {data['version']}, and its code is {__version__}. "
            "Run `lake provision` with the version that asks: it gives the job its code."
        )
    return Asked(
        request=request_from_json(data["request"]),
        place=place_from_json(data["place"]),
        share_bytes=data["share_bytes"],
    )


def answer_at(store: ObjectStore, request_key: str) -> ConversionReport | Refused | None:
    """What became of a request: its report, or the error that ended the run; None where the run left neither."""
    try:
        data = _read(store, report_key(request_key))
    except ObjectMissing:
        return None
    if "error" in data:
        return Refused(**data["error"])
    return report_from_json(data["report"])


def report_key(request_key: str) -> str:
    """Where the report on a request is."""
    return request_key.removesuffix(REQUEST) + REPORT


def convert_asked(engine: Engine, store: ObjectStore, request: ConversionRequest, key: str) -> ConversionReport:
    """Convert and leave the report at `key`; an error that ends the conversion is left there too, and raised."""
    try:
        report = engine.convert(request, on_progress=_Telling())
    except Exception as error:
        permanent = isinstance(error, PermanentError)
        # Of an error that nobody raised on purpose, the trace in the run's log tells more.
        text = str(error) if isinstance(error, LakeError) else f"{type(error).__name__}: {error}"
        _write(store, key, {"error": {"kind": type(error).__name__, "text": text, "permanent": permanent}})
        raise
    _write(store, key, {"report": report_to_json(report)})
    return report


def request_for(
    store: ObjectStore, keys: Sequence[str], batch_id: str, options: ConversionOptions
) -> ConversionRequest:
    """A request for the objects at `keys` as they are now, without a contract. Raises `ObjectMissing`."""
    files = []
    for number, key in enumerate(keys, start=1):
        found = store.stat(key)
        if found is None:
            raise ObjectMissing(key)
        files.append(RawFile(file_id=number, key=key, etag=found.etag, size=found.size))
    return ConversionRequest(batch_id=batch_id, files=tuple(files), contract=None, options=options)


class _Telling:
    """Progress as lines of the log, which whoever waits for the run reads."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, files: int, size: int) -> None:
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
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
        data: dict[str, Any] = json.loads(stream.read())
    return data
