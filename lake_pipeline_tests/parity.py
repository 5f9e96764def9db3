"""What engines are compared by: sets of files, clean and dirty, and what must be the same of two conversions."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from lake_pipeline_tests.factories import Converted, ndjson


def _record(moments: random.Random) -> dict[str, Any]:
    day = date(2026, 1, 28) + timedelta(days=moments.randrange(9))
    return {
        "event_time": f"{day}T{moments.randrange(24):02d}:00:00Z",
        "mode": moments.choice(["live", "test", "a b/c"]),
        "n": moments.choice([moments.randrange(10**6), 2**60, None]),
        "share": moments.choice([0.5, 1, -0.0]),
        "user": {"id": moments.randrange(99), "tags": [moments.choice("abc") for _ in range(moments.randrange(3))]},
        "items": [{"sku": "ü", "amount": moments.random()} for _ in range(moments.randrange(3))],
    }


def _files(records: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    moments = random.Random(seed)
    return {f"2026/week06/{number}.json": [_record(moments) for _ in range(records)] for number in range(4)}


def clean() -> dict[str, bytes]:
    """NDJSON files of a few hundred records, one of them in gzip."""
    files = {key: ndjson(*records) for key, records in _files(300, 1).items()}
    return {**files, "2026/week06/z.json": gzip.compress(files["2026/week06/0.json"])}


def uneven() -> dict[str, bytes]:
    """One file that is far larger than the others."""
    files = {key: ndjson(*records) for key, records in _files(20, 2).items()}
    return {**files, "2026/week06/large.json": ndjson(*(each for some in _files(2000, 3).values() for each in some))}


def dirty() -> dict[str, bytes]:
    """Broken lines, values that fit no column, records without a place; one file is refused for it."""
    moments = random.Random(4)
    bad = [b"{broken", b"[1]", b"\xff\xfe", b'{"mode":"live"}', b'{"event_time":"2026-02-30","mode":"live"}']
    odd = [b'{"event_time":"2026-02-03","mode":"live","n":"text"}', b'{"event_time":"2026-02-03","user":[1]}', b""]
    files = {}
    for key, records in _files(400, 5).items():
        lines = ndjson(*records).splitlines()
        for _ in range(60):
            lines.insert(moments.randrange(len(lines)), moments.choice(bad + odd))
        files[key] = b"\n".join(lines)
    return {**files, "2026/week06/damaged.json": b"{broken\n" * 300 + ndjson(*_files(40, 6)["2026/week06/0.json"])}


def empty() -> dict[str, bytes]:
    """Nothing to read."""
    return {"2026/week06/empty.json": b"", "2026/week06/blank.json": b" \n\n"}


SETS: dict[str, Callable[[], dict[str, bytes]]] = {each.__name__: each for each in (clean, uneven, dirty, empty)}


def same(found: Converted, expected: Converted) -> None:
    """Rows value by value, contract, quarantine, accounts and evidence."""
    assert list(map(repr, map(_sorted, found.rows()))) == list(map(repr, map(_sorted, expected.rows())))
    assert found.quarantined() == expected.quarantined()
    assert found.report.manifest.files == expected.report.manifest.files
    assert found.contract == expected.contract
    assert found.report.evidence.seen == expected.report.evidence.seen
    assert found.report.bytes_read == expected.report.bytes_read


def _sorted(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """As text a negative zero differs from zero, and an integer from a double."""
    return sorted(row.items())
