"""Stored bytes to text: any read sizes, and a specific reason for each kind of damage."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from itertools import pairwise
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from lake_pipeline.convert.input.decompress import Decoded
from lake_pipeline.errors import BadInput
from lake_pipeline_tests.cases import zstd

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
}
TEXT = b"{" + b"0" * 3_000_000 + Random(1).randbytes(400_000).hex().encode()


class Trickle(io.RawIOBase):
    """A stream that returns as little as allowed, like a network."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = io.BytesIO(data)
        self._sizes = sizes

    def read(self, size: int = -1) -> bytes:
        self._sizes.append(self._sizes.pop(0))
        return self._data.read(min(size, self._sizes[0]))


def text_of(data: bytes, size: int = 1 << 20, *, keep_truncated: bool = False) -> tuple[bytes, Decoded]:
    decoded = Decoded(io.BytesIO(data), keep_truncated=keep_truncated)
    pieces = list(iter(lambda: decoded.read(size), b""))
    assert all(len(piece) == size for piece in pieces[:-1])
    return b"".join(pieces), decoded


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(COMPRESS)),
    cuts=st.lists(st.integers(0, 5000), max_size=4),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=5),
    size=st.integers(1, 9000),
)
def test_members_are_one_text_even_if_the_stream_returns_few_bytes(
    name: str, cuts: list[int], sizes: list[int], size: int
) -> None:
    text = TEXT[:5000]
    edges = [0, *sorted(cuts), len(text)]
    stored = b"".join(COMPRESS[name](text[start:end]) for start, end in pairwise(edges))
    decoded = Decoded(Trickle(stored, sizes))  # type: ignore[arg-type]  # a stream as far as it is used
    assert b"".join(iter(lambda: decoded.read(size), b"")) == text
    assert decoded.position == len(text)


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_all_text_before_a_cut_is_returned(name: str) -> None:
    stored = COMPRESS[name](TEXT)
    with pytest.raises(BadInput) as refused:
        text_of(stored[:-8])
    assert refused.value.reason == "truncated"
    text, decoded = text_of(stored[:-8], keep_truncated=True)
    assert decoded.is_cut
    assert TEXT.startswith(text)
    # A decompressor holds back one block of its format at most; gzip, which lost only its checksum, nothing.
    assert len(TEXT) - len(text) <= {"gzip": 0, "zstd": 256 << 10, "bzip2": 900_000}[name]


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_a_file_cut_anywhere_is_always_reported_as_truncated(name: str) -> None:
    stored = COMPRESS[name](TEXT[:3000])
    for size in range(10, len(stored)):
        with pytest.raises(BadInput) as refused:
            text_of(stored[:size])
        assert refused.value.reason == "truncated", size


def test_a_bomb_is_read_in_pieces_of_the_requested_size() -> None:
    for name in ("gzip", "zstd", "bzip2"):
        decoded = Decoded(io.BytesIO(COMPRESS[name](bytes(50_000_000))))
        assert {len(decoded.read(1 << 20)) for _ in range(40)} == {1 << 20}
