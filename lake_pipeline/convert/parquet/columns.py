"""Columns: from the rows of a row group to its column chunks, compressed.

A column gets a dictionary if its values repeat. Pages end at whole rows, after `PAGE_ROWS` rows or about `PAGE_BYTES`.
A column that barely shrinks is not compressed, because readers would decompress it for nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.call import call_with_addresses as call
from lake_pipeline.convert.native.layout import PAGE_BYTES, PAGE_ROWS
from lake_pipeline.convert.parquet.bounds import Bounds, merge
from lake_pipeline.convert.parquet.buffers import ThreadBuffers
from lake_pipeline.convert.parquet.levels import entries_of, unexpected_null
from lake_pipeline.convert.parquet.schema import FlatColumns, Leaf, NestedColumn, Tree
from lake_pipeline.convert.parquet.spans import Slices

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
"""The zstd level. Higher ones were 20 % slower and saved nothing on event data."""

MAX_RATIO = 0.97
"""A column is stored compressed if it shrinks below this ratio."""

BATCH_BYTES = 1 << 20
"""The most bytes of columns that one call encodes, unless one column has more: they stay in the cache until they are
compressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page as it is stored. `size` is its size before compression. Only data pages have the last three fields."""

    data: bytes
    size: int
    count: int
    rows: int = 0
    nulls: int = 0
    bounds: Bounds | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A column of a row group, encoded."""

    leaf: Leaf
    count: int
    compressed: bool
    dictionary: Page | None
    pages: Sequence[Page]

    @property
    def bounds(self) -> Bounds | None:
        """The bounds of all values; None if a page with values has no bounds."""
        with_values = [page for page in self.pages if page.count > page.nulls]
        bounds = [page.bounds for page in with_values if page.bounds is not None]
        return merge(self.leaf.form, bounds) if len(bounds) == len(with_values) else None


def chunks_of(tree: Tree, slices: Slices, buffers: ThreadBuffers) -> Iterator[Chunk]:
    """The column chunks of the rows in `slices`, one per leaf. Raises `ValueError` for a null that is not allowed."""
    for column in tree.columns:
        if isinstance(column, FlatColumns):
            yield from _flat(column, slices, buffers)
        else:
            yield from _nested(column, slices, buffers)


def _flat(columns: FlatColumns, slices: Slices, buffers: ThreadBuffers) -> Iterator[Chunk]:
    """Columns that are leaves themselves, in calls of at most `BATCH_BYTES`."""
    table, count = columns.table.ctypes.data, len(columns.leaves)
    structs = buffers.reserve("structs", layout.ARRAY_BYTES * slices.count)
    arrays, sizes_address = buffers.reserve("arrays", 8 * slices.count), buffers.reserve("sizes", 8 * count)
    call("plain_sizes", slices.address, slices.count, table, count, structs, arrays, sizes_address)
    sizes = buffers.integers("sizes", count)
    body_sizes = [_max_body_size(leaf, slices.rows, size) for leaf, size in zip(columns.leaves, sizes, strict=True)]
    first = 0
    while first < count:
        stop, total = first + 1, body_sizes[first]
        while stop < count and total + body_sizes[stop] <= BATCH_BYTES:
            total += body_sizes[stop]
            stop += 1
        leaves = columns.leaves[first:stop]
        max_pages = sum(_max_pages(slices.rows, size) for size in sizes[first:stop])
        work = _work_buffers(slices.rows, max(sizes[first:stop]), slices, buffers, rows=slices.rows)
        targets = _targets(total, len(leaves), max_pages, buffers)
        batch = table + layout.LEAF_BYTES * first
        pages = call("encode_columns", slices.address, slices.count, slices.rows, batch, len(leaves), work, *targets)
        if pages < 0:
            raise unexpected_null(leaves[-1 - pages])
        yield from _chunks(leaves, pages, buffers)
        first = stop


def _nested(column: NestedColumn, slices: Slices, buffers: ThreadBuffers) -> Iterator[Chunk]:
    for leaf_entries in entries_of(column, slices, buffers):
        leaf, entries = leaf_entries.leaf, leaf_entries.table
        leaf_row = column.tables[leaf].ctypes.data
        size = call("plain_size", leaf_row, entries.arrays, slices.count, entries.picks, entries.ends, entries.values)
        work = _work_buffers(entries.entry_count, size, slices, buffers, rows=0)
        targets = _targets(_max_body_size(leaf, entries.entry_count, size), 1, _max_pages(entries.rows, size), buffers)
        pages = call("encode_entries", leaf_row, buffers.store("entries", entries), work, *targets)
        yield from _chunks((leaf,), pages, buffers)


def _max_pages(rows: int, size: int) -> int:
    return rows // PAGE_ROWS + size // PAGE_BYTES + 1


def _max_body_size(leaf: Leaf, count: int, size: int) -> int:
    """The most bytes of the encoded form of `count` entries whose values have `size`.

    Runs of levels, and groups of eight codes, have one or two more bytes; a page has lengths and bounds.
    """
    levels = count * (leaf.max_rep.bit_length() + leaf.max_def.bit_length() + 8) // 8
    return levels + size + count + (256 + 2 * layout.MAX_BOUND_BYTES) * _max_pages(count, size)


def _work_buffers(count: int, size: int, slices: Slices, buffers: ThreadBuffers, *, rows: int) -> int:
    """The address of the `layout.Buffers` to encode `count` entries whose values have `size` bytes.

    `rows` is 0 if the entries are known already.
    """
    return buffers.store(
        "work buffers",
        layout.Buffers(
            values=buffers.reserve("values", size),
            hash_table=buffers.reserve("hash table", 4 * layout.MAX_HASH_SLOTS),
            hashes=buffers.reserve("hashes", 8 * layout.MAX_DICTIONARY_VALUES),
            dictionary_offsets=buffers.reserve("dictionary offsets", 8 * layout.MAX_DICTIONARY_VALUES + 8),
            codes=buffers.reserve("codes", 4 * count),
            page_ends=buffers.reserve("page ends", layout.PAGE_END_BYTES * _max_pages(count, size)),
            defs=buffers.reserve("row defs", 4 * rows),
            picks=buffers.reserve("row picks", 8 * rows + 8),
            ends=buffers.reserve("row ends", 8 * slices.count),
            arrays=buffers.reserve("arrays", 8 * slices.count),
            structs=buffers.reserve("structs", layout.ARRAY_BYTES * slices.count),
            entries=buffers.reserve("entries", layout.ENTRIES_BYTES),
            bounds=buffers.reserve("bounds", 16),
        ),
    )


def _targets(size: int, chunks: int, pages: int, buffers: ThreadBuffers) -> tuple[int, int, int]:
    return (
        buffers.reserve("body", size),
        buffers.reserve("chunks", layout.CHUNK_BYTES * chunks),
        buffers.reserve("pages", layout.PAGE_ROW_BYTES * pages),
    )


def _chunks(leaves: Sequence[Leaf], page_count: int, buffers: ThreadBuffers) -> Iterator[Chunk]:
    """The chunks that machine code encoded."""
    body, first = buffers.view("body"), 0
    pages = buffers.rows("pages", layout.Page, page_count)
    for leaf, chunk in zip(leaves, buffers.rows("chunks", layout.Chunk, len(leaves)), strict=True):
        yield _chunk(leaf, chunk, pages[first : first + chunk.pages], body)
        first += chunk.pages


def _chunk(leaf: Leaf, chunk: layout.Chunk, pages: Sequence[layout.Page], body: memoryview) -> Chunk:
    raw = [body[page.offset : page.offset + page.size] for page in pages]
    if chunk.distinct:
        raw.append(body[chunk.dictionary : chunk.dictionary + chunk.dictionary_size])
    stored = [_compressed(data) for data in raw]
    compressed = sum(map(len, stored)) < MAX_RATIO * sum(map(len, raw))
    if not compressed:
        stored = [bytes(data) for data in raw]
    dictionary = None
    if chunk.distinct:
        dictionary = Page(data=stored.pop(), size=chunk.dictionary_size, count=chunk.distinct)
    return Chunk(
        leaf=leaf,
        count=chunk.entry_count,
        compressed=compressed,
        dictionary=dictionary,
        pages=[_page(data, page, body) for data, page in zip(stored, pages, strict=True)],
    )


def _page(data: bytes, page: layout.Page, body: memoryview) -> Page:
    _, size, count, values, rows, start, low_size, high_size = page
    middle = start + low_size
    bounds = (bytes(body[start:middle]), bytes(body[middle : middle + high_size])) if low_size >= 0 else None
    return Page(data=data, size=size, count=count, rows=rows, nulls=count - values, bounds=bounds)


def _compressed(data: memoryview) -> bytes:
    """One zstd frame. Each thread keeps its compressor: creating one takes a fifth of the time of a page."""
    compressor: zstd.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if compressor is None:
        compressor = _of_thread.compressor = zstd.ZstdCompressor(level=LEVEL)
    compressor.set_pledged_input_size(len(data))
    return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


_of_thread = threading.local()
