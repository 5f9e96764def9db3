"""Reading ahead: the same blocks in the same order, errors in their place, and nothing left open."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import pytest

from lake_pipeline.convert.ahead import AHEAD, ReadAhead
from lake_pipeline.convert.framing import BLOCK_BYTES
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.errors import BadInput
from lake_pipeline_tests.factories import LakeOnDisk

LINE = b'{"a": "' + b"x" * 1015 + b'"}\n'
BLOCKS = 6
TEXT = LINE * (BLOCKS * BLOCK_BYTES // len(LINE))
OPTIONS = ConversionOptions()
KEY = "2026/week06/a.json"

pytestmark = pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="asks Linux which files are open")


def opened(root: Path) -> list[int]:
    """How far each open file of the lake was read."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            is_ours = str(root.resolve()) in os.readlink(entry)
            told = Path(f"/proc/self/fdinfo/{entry.name}").read_text() if is_ours else ""
        except OSError:
            continue  # the one that lists this folder
        if told:
            found.append(int(told.split()[1]))
    return found


def test_blocks_come_whole_and_in_their_order(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: TEXT})
    with ReadAhead(lake.store, OPTIONS) as reader:
        assert b"".join(records.source for records in reader.blocks(file)) == TEXT
    assert opened(tmp_path) == []


def test_a_file_that_was_begun_is_read_before_it_is_asked_for_and_no_further(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: TEXT})
    with ReadAhead(lake.store, OPTIONS) as reader:
        reader.begin(file)
        ends = time.monotonic() + 30
        while max(opened(tmp_path), default=0) < AHEAD * BLOCK_BYTES:
            assert time.monotonic() < ends
            time.sleep(0.01)
        time.sleep(0.1)
        assert max(opened(tmp_path)) < (AHEAD + 1) * BLOCK_BYTES
        assert next(reader.blocks(file)).base == 0


def test_an_error_is_told_behind_the_blocks_before_it(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: gzip.compress(TEXT, compresslevel=1)[:-20]})
    bases: list[int] = []
    with ReadAhead(lake.store, OPTIONS) as reader, pytest.raises(BadInput, match="ends after"):
        bases.extend(records.base for records in reader.blocks(file))
    assert len(bases) >= BLOCKS - 1
    assert bases == sorted(bases)
    assert opened(tmp_path) == []


def test_a_file_that_nobody_reads_to_its_end_is_closed(tmp_path: Path) -> None:
    lake = LakeOnDisk(tmp_path)
    (file,) = lake.put({KEY: TEXT})
    with ReadAhead(lake.store, OPTIONS) as reader:
        blocks = reader.blocks(file)
        next(blocks)
        assert len(opened(tmp_path)) == 1
        blocks.close()
        assert opened(tmp_path) == []
        reader.begin(file)
    assert opened(tmp_path) == []
