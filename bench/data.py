"""The raw data of the benchmarks: nested NDJSON with the demo's records, the same each time.

Only days before the demo's late field are used, so that every contender can read it with one schema: what
surprises cost is another question than how fast the plain path is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import orjson

from lake_pipeline.demo_data.plan import FIRST_DAY, PlannedFile, Shape
from lake_pipeline.demo_data.records import record

FILE_BYTES = 16_000_000
CALM_FORTNIGHT = PlannedFile(
    key="bench", shape=Shape.LINES, records=0, days=tuple(FIRST_DAY + timedelta(days=day) for day in range(14))
)


def generate(folder: Path, total_bytes: int) -> int:
    """Write about `total_bytes` of NDJSON into `folder`, in files of 16 MB; returns the bytes written."""
    folder.mkdir()
    written, lines = 0, _lines()
    for number in range(max(1, round(total_bytes / FILE_BYTES))):
        goal = min(FILE_BYTES, total_bytes)
        path = folder / f"part-{number:05}.json"
        with path.open("wb") as stream:
            while stream.tell() < goal:
                stream.write(next(lines))
        written += path.stat().st_size
    return written


def _lines() -> Iterator[bytes]:
    rng, number = Random("lake_pipeline bench 1"), 0
    while True:
        number += 1
        yield orjson.dumps(record(rng, CALM_FORTNIGHT, number), option=orjson.OPT_APPEND_NEWLINE)
