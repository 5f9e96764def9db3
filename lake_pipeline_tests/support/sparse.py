"""Sparse records: many event types with fields of their own. A contract is wide then, and a record has few columns."""

from __future__ import annotations

from random import Random
from typing import Any

TYPES, FIELDS = 195, 10


def sparse_records(count: int, *, types: int = TYPES, fields: int = FIELDS) -> list[dict[str, Any]]:
    """Records of three days. Each has all fields of one type, with values of every kind."""
    random = Random(17)
    records = []
    for number in range(count):
        kind = random.randrange(types)
        values = (number, number / 8, f"text {number % 50} ü", number % 3 == 0, [number, None], {"inner": number})
        record: dict[str, Any] = {"event_time": f"2026-02-0{1 + number % 3}T10:00:00Z", "mode": "live"}
        records.append(record | {f"e{kind}_{field}": values[field % len(values)] for field in range(fields)})
    return records


def sparse_lines(count: int, *, types: int = TYPES, fields: int = FIELDS) -> bytes:
    """Lines of about 150 bytes with small numbers: the most rows, and so the most empty cells, for their size."""
    random = Random(17)
    lines = []
    for number in range(count):
        kind = random.randrange(types)
        values = ",".join(f'"e{kind}_{field}":{random.randrange(100)}' for field in range(fields))
        lines.append(f'{{"event_time":"2026-02-{1 + number % 3:02}","mode":"live",{values}}}\n')
    return "".join(lines).encode()
