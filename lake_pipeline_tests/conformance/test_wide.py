"""Wide contracts: sparse records of many event types are exact, in bounded memory, and in linear time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lake_pipeline.convert.kernel import blocks
from lake_pipeline_tests.support.factories import LakeOnDisk, ndjson
from lake_pipeline_tests.support.sparse import sparse_lines, sparse_records


@pytest.mark.parametrize("memory_bytes", [1 << 20, 256 << 20])
def test_records_that_are_split_and_stored_by_their_values_are_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int
) -> None:
    records = sparse_records(1200, types=40)
    files = {"a.json": ndjson(*records[:700]), "b.json": ndjson(*records[700:])}
    expected = LakeOnDisk(tmp_path / "whole").convert(files)
    monkeypatch.setattr(blocks, "MAX_SLOTS", 1 << 14)
    monkeypatch.setattr(blocks, "SPARSE_RATIO", 0)
    split = LakeOnDisk(tmp_path / "split").convert(files, memory_bytes=memory_bytes)
    assert split.contract.columns == expected.contract.columns
    assert split.rows() == expected.rows()
    assert split.report.evidence == expected.report.evidence
    assert [outcome.published for outcome in split.report.manifest.files] == [700, 500]


def test_rescued_malformed_and_frozen_records_are_the_same_if_blocks_are_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = sparse_records(800, types=40)
    lines = ndjson(*records).splitlines(keepends=True)
    for at in range(0, len(lines), 40):
        lines[at] = b"{broken\n"
    for at in range(7, len(lines), 50):
        lines[at] = json.dumps(records[at] | {"mode": "live", "e1_0": "not a number"}).encode() + b"\n"
    bad = b"".join(b"{broken\n" if at % 3 else line for at, line in enumerate(lines[:200]))
    files = {"a.json": b"".join(lines), "bad.json": bad, "c.json": b"".join(lines[:300])}
    expected = LakeOnDisk(tmp_path / "whole").convert(files)
    monkeypatch.setattr(blocks, "MAX_SLOTS", 1 << 14)
    monkeypatch.setattr(blocks, "SPARSE_RATIO", 0)
    split = LakeOnDisk(tmp_path / "split").convert(files)
    assert split.rows() == expected.rows()
    assert split.quarantined() == expected.quarantined()
    assert split.report.manifest.files == expected.report.manifest.files
    assert [outcome.reason for outcome in split.report.manifest.files] == [None, "too_many_broken", None]


def test_time_grows_about_linearly_with_the_width_of_the_contract(tmp_path: Path) -> None:
    """Four times the columns, with as many records: 4.5 times the CPU time was measured, 16 would be quadratic."""
    LakeOnDisk(tmp_path / "warm").convert({"a.json": sparse_lines(100)}, workers=1)
    narrow, wide = (conversion_seconds(tmp_path / str(types), types) for types in (48, 192))
    assert wide <= 9 * narrow, (narrow, wide)


def conversion_seconds(folder: Path, types: int) -> float:
    """CPU seconds of all threads, the least of two runs."""
    seconds = []
    for run in range(2):
        started = time.process_time()
        LakeOnDisk(folder / str(run)).convert({"a.json": sparse_lines(8_000, types=types)}, workers=1)
        seconds.append(time.process_time() - started)
    return min(seconds)
