"""A landing zone whose names, fields and values are `PAYLOADS`, in every place where data can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lake_pipeline_tests.support.payloads import PAYLOADS

DAY = "2026-02-03"

FORGED = ("Batch 0000", "> quote", "- item", "| c")
"""How lines begin only if a line end in a payload was not escaped."""


def hostile_files() -> dict[str, bytes]:
    """Raw files by key, with each payload as a name, a mode, a field, a date and a text, and in malformed records."""
    files = dict(_files_of_names())
    records = [record for payload in PAYLOADS.values() for record in _records(payload)]
    lines = [json.dumps(record, ensure_ascii=False).encode() for record in records]
    malformed = [b'{"x": ' + payload.encode().replace(b"\n", b" ") for payload in PAYLOADS.values()]
    # Below the share of malformed records that refuses a whole file.
    plain = [json.dumps(_record(n=number)).encode() for number in range(10 * len(malformed))]
    files[f"2026/week06/date={DAY}_all.json"] = b"\n".join([*lines, *malformed, *plain]) + b"\n"
    return files


def _files_of_names() -> Iterator[tuple[str, bytes]]:
    for number, payload in enumerate(PAYLOADS.values()):
        name = payload.replace("/", "∕")
        yield f"2026/week06/{name}.json", json.dumps(_record(n=number)).encode()
        # Refused as a whole, with a reason that names the first malformed record.
        yield f"2026/week07/{name}.json", f'{{"{payload}"'.replace("\n", " ").encode() + b"\n{\n"


def _records(payload: str) -> Iterator[dict[str, Any]]:
    yield _record(mode=payload[:30])
    yield _record(mode={"m": payload})
    yield _record(event_time=payload)
    yield _record(text=payload, **{payload: payload})
    yield _record(nested={payload: {payload: 1}})
    # It does not fit the column of texts, so it is rescued.
    yield _record(text={payload: payload})


def _record(**fields: Any) -> dict[str, Any]:
    return {"event_time": f"{DAY}T10:00:00Z", "mode": "live", **fields}
