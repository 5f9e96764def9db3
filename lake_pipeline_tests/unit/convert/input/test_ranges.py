"""Ranges of a file of lines: however it is cut, each record is in exactly one range."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given, settings

from lake_pipeline.convert.input.ranges import can_be_split, range_blocks, records_in_range
from lake_pipeline.convert.input.reader import read_blocks
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline_tests.support.factories import LakeOnDisk

KEY = "2026/week06/a.json"
OPTIONS = ConversionOptions()

lines = st.sampled_from(
    [b'{"a":1}', b'{"b":"ab"}', b"", b"  ", b"{broken", b'{"a":1}{"a":2}', b'{"u":"\xc3\xbc"}', b"\r"]
)
texts = st.builds(
    lambda mark, some, end, last: mark + b'{"first":1}' + end + b"".join(line + end for line in some) + last,
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(lines, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b"", b'{"last":1}', b"{", b" "]),
)


@settings(max_examples=300, deadline=None)
@given(text=texts, cuts=st.lists(st.integers(0, 150), max_size=5), block_bytes=st.sampled_from([3, 7, 1 << 20]))
def test_ranges_contain_each_record_exactly_once_wherever_they_are_cut(
    text: bytes, cuts: list[int], block_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeOnDisk(Path(folder))
        (file,) = lake.put({KEY: text})
        assert can_be_split(lake.store, file, OPTIONS)
        edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
        from_ranges, records = [], []
        for start, stop in pairwise(edges):
            blocks = range_blocks(lake.store, file, start=start, stop=stop, options=OPTIONS, block_bytes=block_bytes)
            here = [(block.offset(index), block.raw(index)) for block in blocks for index in range(block.count)]
            from_ranges += here
            records.append(len(here))
        whole = [
            (block.offset(index), block.raw(index))
            for block in read_blocks(lake.store, file, OPTIONS)
            for index in range(block.count)
        ]
        counted = [
            records_in_range(lake.store, file, start=start, stop=stop, options=OPTIONS, block_bytes=block_bytes)
            for start, stop in pairwise(edges)
        ]
    assert from_ranges == whole
    assert counted == records
    assert all(text[offset:].startswith(raw) for offset, raw in from_ranges)
