"""Conservation, by property: generated documents, broken on purpose, against a plain reference on `json`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from lake_pipeline.contract.paths import parse_path
from lake_pipeline_tests.factories import Converted, LakeOnDisk

KEY = "2026/week06/a.json"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
keys = st.sampled_from(["a", "b", "A", "a_b", "x.y", "", "mode", "year", "_record", "ü"])
scalars = (
    st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
dates = st.sampled_from(["2026-02-03", "2026-02-03T23:30:00-02:00", "yesterday", None, 1770076800])
records = st.fixed_dictionaries({"event_time": dates, "v": json_values}, optional={"w": json_values, "mode": texts})
broken = st.sampled_from([b"{", b"null", b"[1]", b'{"a":1', b'{"a":tru}', b'"text"', b'{"a":"\xff"}', b"\x00"])
lines = st.lists(records.map(lambda record: json.dumps(record).encode()) | broken, max_size=30)


def reference(line: bytes) -> dict[str, Any] | None:
    """The record by the plainest means there are; None where it is broken."""
    try:
        record = json.loads(line.decode())
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def rebuilt(row: dict[str, Any], converted: Converted) -> dict[str, Any]:
    """The record that a published row tells of: its columns at their paths, and what was rescued at its path."""
    record: dict[str, Any] = {}
    found = {column.path: row[column.name] for column in converted.contract.columns}
    found |= {parse_path(path): value for path, value in json.loads(row["_rescued"] or "{}").items()}
    for path, value in found.items():
        if value is not None:
            inside = record
            for key in path[:-1]:
                inside = inside.setdefault(key, {})
            inside[path[-1]] = value
    return record


def alike(left: Any, right: Any) -> bool:
    """Equal as JSON, where a null is a missing key, and the keys inside lists may have become safe names."""
    if isinstance(left, dict) and isinstance(right, dict):
        mine, theirs = solid(left), solid(right)
        if mine.keys() == theirs.keys():
            return all(alike(mine[key], theirs[key]) for key in mine)
        pairs = zip(sorted(mine.values(), key=repr), sorted(theirs.values(), key=repr), strict=False)
        return len(mine) == len(theirs) and all(alike(one, other) for one, other in pairs)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right) or (hollow(left) and hollow(right))


def solid(found: dict[str, Any]) -> dict[str, Any]:
    """Without keys that hold no value."""
    return {key: value for key, value in found.items() if not hollow(value)}


def hollow(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(hollow(child) for child in value.values()))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=lines, share=st.sampled_from([0.2, 1.0]))
def test_every_record_is_published_or_quarantined_and_every_value_is_kept(lines: list[bytes], share: float) -> None:
    lines = [b'{"event_time":"2026-02-03"}', *lines]  # the first line tells the layout
    with tempfile.TemporaryDirectory() as folder:
        converted = LakeOnDisk(Path(folder)).convert({KEY: b"\n".join(lines)}, max_bad_share=share)
        outcome = converted.outcome(KEY)
        rows = {row["_record"]: row for row in converted.rows()}
        quarantined = {row["record"]: row for row in converted.quarantined()}
        broken = [index for index, line in enumerate(lines) if reference(line) is None]
        assert outcome.read == len(lines)
        if len(broken) > share * len(lines):
            assert (outcome.published, rows, quarantined) == (0, {}, {})
            return
        assert outcome.published == len(rows)
        assert outcome.quarantined == len(quarantined)
        assert sorted([*rows, *quarantined]) == list(range(len(lines)))
        assert set(broken) <= set(quarantined)
        for index, row in rows.items():
            record = reference(lines[index])
            assert record is not None
            assert alike(rebuilt(row, converted), record)
        for index, row in quarantined.items():
            assert row["raw"] == lines[index]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(generated=st.lists(records, min_size=1, max_size=20))
def test_the_fast_and_the_tolerant_parser_agree_on_every_record(generated: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeOnDisk(Path(folder))
        content = b"\n".join(json.dumps(record).encode() for record in generated)
        first = lake.convert({KEY: content})
        contract = first.contract.with_version(1)
        again = lake.convert({KEY: content}, contract=contract)
        # A bare list before each record makes the whole file unframed, so that no block is parsed fast.
        unframed = b"\n".join(b"[]\n" + line for line in content.split(b"\n"))
        slow = lake.convert({KEY: unframed}, contract=contract, max_bad_share=1.0)
        assert [{**row, "_record": 0} for row in again.rows()] == [{**row, "_record": 0} for row in slow.rows()]
