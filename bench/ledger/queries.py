"""Registration of a million new keys, and the queries of people and of the sensor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from statistics import median

from bench.ledger.figures import Figure
from lake_pipeline.ledger.ledger import Ledger
from lake_pipeline.model.files import DiscoveredFile, Lane
from lake_pipeline.model.partitions import PartitionKey

RUNS = 9
"""Runs of each query, including the first; the median is reported."""

QUERY_MS = 300.0
REGISTERED_PER_SECOND = 50_000.0


def register(ledger: Ledger, keys: int, tag: str) -> Figure:
    """Register `keys` new files in the order of a listing."""
    files = list(_new_files(keys, tag))
    started = time.perf_counter()
    registered = ledger.files.register(files)
    seconds = time.perf_counter() - started
    assert registered.new == keys, f"only {registered.new} of {keys} files were new"
    return Figure(
        what=f"register {keys:,} keys",
        value=keys / seconds,
        unit="keys/s",
        target=REGISTERED_PER_SECOND,
        more_is_better=True,
    )


def query_times(ledger: Ledger) -> list[Figure]:
    """The queries of `lake status` and of the sensor."""
    return [
        _timed("status", ledger.views.status),
        _timed("sensor: pending by partition", lambda: ledger.views.pending_by_partition(limit=1000)),
        _timed("sensor: pending without a partition", ledger.views.pending_unpartitioned),
        _timed("backlog of all partitions, by lane", lambda: ledger.views.pending_by_partition(limit=1_000_000)),
        _timed("modes", ledger.views.modes),
    ]


def _timed(what: str, look: Callable[[], object]) -> Figure:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        look()
        times.append((time.perf_counter() - started) * 1000)
    return Figure(
        what=what, value=median(times), unit="ms", target=QUERY_MS, note=f"{min(times):.1f} – {max(times):.1f} ms"
    )


def _new_files(keys: int, tag: str) -> Iterator[DiscoveredFile]:
    for number in range(keys):
        day = date(2026, 1, 1) + timedelta(days=number * 300 // keys)
        yield DiscoveredFile(
            key=f"2026/week05/date={day}/mode=live/{tag}-{number:010}.json.gz",
            etag=f"{number:032x}",
            size=100_000 + number % 900_000,
            lane=Lane.WEEKLY,
            expected=PartitionKey(day, "live") if number % 5 else None,
        )
