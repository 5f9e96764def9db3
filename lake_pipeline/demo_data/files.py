"""Encode the records of a planned file: lines, an array or one document; plain or gzip.

The same plan gives the same bytes: every file has its own random generator, seeded with its key.
"""

from __future__ import annotations

import gzip
import io
import json
from random import Random
from typing import Any

from lake_pipeline.demo_data.plan import PlannedFile, Shape
from lake_pipeline.demo_data.records import record, without_date

SEED = "lake_pipeline demo 1"


def file_bytes(file: PlannedFile) -> bytes:
    """The whole content of `file`."""
    rng = Random(f"{SEED} {file.key}")
    defects = _defects(rng, file)
    records = [record(rng, file, number) for number in range(file.records)]
    for number in defects["undated"]:
        records[number] = without_date(rng, records[number])
    if file.shape is Shape.LINES:
        lines = [_line(event) for event in records]
        for number in defects["broken"]:
            lines[number] = _break(rng, lines[number])
        text = "\n".join(lines) + "\n"
    elif file.shape is Shape.ARRAY:
        text = "[\n  " + ",\n  ".join(_line(event) for event in records) + "\n]\n"
    else:
        text = json.dumps(records[0], indent=2, ensure_ascii=False) + "\n"
    content = text.encode()
    return _gzip(content) if file.gzipped else content


def _defects(rng: Random, file: PlannedFile) -> dict[str, list[int]]:
    """The records that are malformed or undated; never the first one, from which readers detect the format."""
    numbers = rng.sample(range(1, file.records), file.broken + file.undated)
    return {"broken": numbers[: file.broken], "undated": numbers[file.broken :]}


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _break(rng: Random, line: str) -> str:
    """Typical output of crashed writers and full disks: half a line, a missing brace, a log line."""
    return rng.choice((line[: len(line) // 2], line[:-1], "ERROR 2026-01-12 disk full, event not written"))


def _gzip(content: bytes) -> bytes:
    """Without name and time in the header, which `gzip.compress` writes differently between Python versions."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()
