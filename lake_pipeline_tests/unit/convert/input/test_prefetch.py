"""Prefetch: the same blocks in the same order, errors in their place, and nothing left open."""

from __future__ import annotations

import gzip
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lake_pipeline.aws.connection import AwsAccess
from lake_pipeline.convert.input.framing import BLOCK_BYTES
from lake_pipeline.convert.input.prefetch import Prefetcher
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.errors import BadInput
from lake_pipeline.storage.directory import DirectoryStore
from lake_pipeline.storage.location import Location, S3Location
from lake_pipeline_tests.support.factories import LakeOnDisk

LINE = b'{"a": "' + b"x" * 1015 + b'"}\n'
BLOCKS = 6
TEXT = LINE * (BLOCKS * BLOCK_BYTES // len(LINE))
OPTIONS = ConversionOptions()
KEY = "2026/week06/a.json"

pytestmark = pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="asks Linux which files are open")


def opened(root: Path) -> list[int]:
    """How far each open file of the lake was read."""
    positions = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            is_ours = str(root.resolve()) in os.readlink(entry)
            info = Path(f"/proc/self/fdinfo/{entry.name}").read_text() if is_ours else ""
        except OSError:
            continue  # the descriptor that lists this folder
        if info:
            positions.append(int(info.split()[1]))
    return positions


def test_blocks_are_complete_and_in_order(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: TEXT})
    with Prefetcher(lake.store, OPTIONS) as reader:
        assert b"".join(records.source for records in reader.blocks(file)) == TEXT
    assert opened(tmp_path) == []


def test_one_block_of_a_started_file_is_read_early_and_no_more(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: TEXT})
    with Prefetcher(lake.store, OPTIONS) as reader:
        reader.expect([file])
        ends = time.monotonic() + 30
        while max(opened(tmp_path), default=0) < BLOCK_BYTES:
            assert time.monotonic() < ends
            time.sleep(0.01)
        time.sleep(0.1)
        assert max(opened(tmp_path)) < 2 * BLOCK_BYTES
        assert next(reader.blocks(file)).base == 0


def test_an_error_is_raised_after_the_blocks_before_it(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: gzip.compress(TEXT, compresslevel=1)[:-20]})
    bases: list[int] = []
    with Prefetcher(lake.store, OPTIONS) as reader, pytest.raises(BadInput, match="ends after"):
        bases.extend(records.base for records in reader.blocks(file))
    assert len(bases) >= BLOCKS - 1
    assert bases == sorted(bases)
    assert opened(tmp_path) == []


class Bucket(DirectoryStore):
    """A directory store that claims to be a bucket."""

    @property
    def location(self) -> Location:  # type: ignore[override] # narrower there
        return S3Location(bucket="bucket", access=AwsAccess())


def test_files_of_a_bucket_are_started_early_unless_they_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeOnDisk(tmp_path)
    files = lake.put({f"2026/week06/{number}.json": LINE * (3 if number == 5 else 2) for number in range(8)})
    monkeypatch.setattr("lake_pipeline.convert.input.prefetch.LONG_FILE_BYTES", 2 * len(LINE))
    options = replace(OPTIONS, workers=1)
    with Prefetcher(Bucket(tmp_path), options) as reader:
        reader.expect(files)
        started = [sorted(file.file_id for file in reader._started)]
        for file in files:
            assert sum(records.count for records in reader.blocks(file)) == (3 if file.file_id == 6 else 2)
            started.append(sorted(file.file_id for file in reader._started))
    assert started == [[1, 2], [2, 3], [3, 4], [4, 5], [5], [], [7, 8], [8], []]
    assert opened(tmp_path) == []


def test_a_file_that_is_not_read_to_its_end_is_closed(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: TEXT})
    with Prefetcher(lake.store, OPTIONS) as reader:
        blocks = reader.blocks(file)
        next(blocks)
        assert len(opened(tmp_path)) == 1
        blocks.close()
        assert opened(tmp_path) == []
        reader.expect([file])
    assert opened(tmp_path) == []
