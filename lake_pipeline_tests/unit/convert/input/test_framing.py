"""Framing gives the same records for a file on disk, which allows looking ahead, and for a stream."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from lake_pipeline.convert.input.decompress import HEAD_BYTES, Decoded
from lake_pipeline.convert.input.framing import blocks

LINES = [b'{"a":1}', b'{"b":"' + b"x" * 40 + b'"}', b"", b"  ", b"{broken", b'{"a":1}{"a":2}', b"\r"]


def records(stream: BinaryIO, block_bytes: int) -> list[tuple[int, bytes]]:
    """Where each record begins, and its bytes."""
    framed = blocks(Decoded(stream), max_record_bytes=1 << 20, block_bytes=block_bytes)
    return [(block.offset(index), block.raw(index)) for block in framed for index in range(block.count)]


@settings(max_examples=60, deadline=None)
@given(
    some=st.lists(st.sampled_from(LINES), min_size=1, max_size=9),
    block_bytes=st.integers(16, 400),
    last=st.sampled_from([b"", b"\n", b'{"last":1}', b"{", b" "]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_a_file_on_disk_has_the_same_records_as_a_stream(
    some: list[bytes], block_bytes: int, last: bytes, mark: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = mark + b'{"first":1}\n' + b"\n".join(some * 9) + b"\n" + last
    path = tmp_path_factory.getbasetemp() / "framed.json"
    path.write_bytes(text)
    # There is no look-ahead before the first read is used up.
    with path.open("rb") as stream, patch("lake_pipeline.convert.input.decompress.HEAD_BYTES", 32):
        assert records(stream, block_bytes) == records(io.BytesIO(text), block_bytes)


def test_whole_lines_are_found_on_disk_without_moving_the_position(tmp_path: Path) -> None:
    text = b'{"a":1}\n' * 20_000 + b'{"unended":1}'
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with path.open("rb") as stream:
        decoded = Decoded(stream)
        assert decoded.whole_lines(101, 20) == 0, "what was read at first is used up first"
        before = decoded.read(HEAD_BYTES)
        assert decoded.whole_lines(101, 20) == 96
        assert decoded.whole_lines(104, 20) == 104
        assert decoded.whole_lines(104, 7) == 104
        assert decoded.whole_lines(103, 8) == 96
        assert decoded.whole_lines(103, 7) == 0, "no line ends there"
        assert decoded.whole_lines(len(text), 20) == 0, "so much does not follow"
        assert before + decoded.read(len(text)) == text
    for stored in (text, gzip.compress(text)):
        decoded = Decoded(io.BytesIO(stored))
        decoded.read(HEAD_BYTES)
        assert decoded.whole_lines(101, 20) == 0
