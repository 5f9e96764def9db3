"""Comparing engines: sets of clean and dirty files, and what must be equal after two conversions."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from lake_pipeline_tests.support.factories import Converted, ndjson


def _record(rng: random.Random) -> dict[str, Any]:
    day = date(2026, 1, 28) + timedelta(days=rng.randrange(9))
    return {
        "event_time": f"{day}T{rng.randrange(24):02d}:00:00Z",
        "mode": rng.choice(["live", "test", "a b/c"]),
        "n": rng.choice([rng.randrange(10**6), 2**60, None]),
        "share": rng.choice([0.5, 1, -0.0]),
        "user": {"id": rng.randrange(99), "tags": [rng.choice("abc") for _ in range(rng.randrange(3))]},
        "items": [{"sku": "ü", "amount": rng.random()} for _ in range(rng.randrange(3))],
    }


def _files(records: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    rng = random.Random(seed)
    return {f"2026/week06/{number}.json": [_record(rng) for _ in range(records)] for number in range(4)}


def clean() -> dict[str, bytes]:
    """NDJSON files of a few hundred records, one of them in gzip."""
    files = {key: ndjson(*records) for key, records in _files(300, 1).items()}
    return {**files, "2026/week06/z.json": gzip.compress(files["2026/week06/0.json"])}


def uneven() -> dict[str, bytes]:
    """One file much larger than the others."""
    files = {key: ndjson(*records) for key, records in _files(20, 2).items()}
    return {
        **files,
        "2026/week06/large.json": ndjson(*(record for records in _files(2000, 3).values() for record in records)),
    }


def dirty() -> dict[str, bytes]:
    """Malformed lines, rescued values and unpartitionable records; one file is refused because of them."""
    rng = random.Random(4)
    bad = [b"{broken", b"[1]", b"\xff\xfe", b'{"mode":"live"}', b'{"event_time":"2026-02-30","mode":"live"}']
    unusual = [b'{"event_time":"2026-02-03","mode":"live","n":"text"}', b'{"event_time":"2026-02-03","user":[1]}', b""]
    files = {}
    for key, records in _files(400, 5).items():
        lines = ndjson(*records).splitlines()
        for _ in range(60):
            lines.insert(rng.randrange(len(lines)), rng.choice(bad + unusual))
        files[key] = b"\n".join(lines)
    return {**files, "2026/week06/damaged.json": b"{broken\n" * 300 + ndjson(*_files(40, 6)["2026/week06/0.json"])}


def empty() -> dict[str, bytes]:
    """Files without records."""
    return {"2026/week06/empty.json": b"", "2026/week06/blank.json": b" \n\n"}


SETS: dict[str, Callable[[], dict[str, bytes]]] = {
    generate.__name__: generate for generate in (clean, uneven, dirty, empty)
}


def same(actual: Converted, expected: Converted) -> None:
    """Rows value by value, contract, quarantine, accounts and evidence."""
    assert list(map(repr, map(_sorted, actual.rows()))) == list(map(repr, map(_sorted, expected.rows())))
    assert actual.quarantined() == expected.quarantined()
    assert actual.report.manifest.files == expected.report.manifest.files
    assert actual.contract == expected.contract
    assert actual.report.evidence.seen == expected.report.evidence.seen
    assert actual.report.bytes_read == expected.report.bytes_read


def _sorted(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """Compared as text, in which a negative zero differs from zero, and an integer from a double."""
    return sorted(row.items())
