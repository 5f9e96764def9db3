"""Columns: from the rows of a row group to its column chunks, compressed.

A column gets a dictionary where its values repeat. Pages end at whole rows, after `PAGE_ROWS` of them or about
`PAGE_BYTES`. What barely shrinks is not compressed: readers decompress it for nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.calling import call_with_numbers as call
from lake_pipeline.convert.native.layout import PAGE_BYTES, PAGE_ROWS
from lake_pipeline.convert.parquet.bounds import Bounds, merged
from lake_pipeline.convert.parquet.levels import Entries, entries_of, unexpected_null
from lake_pipeline.convert.parquet.schema import FlatColumns, Leaf, NestedColumn, Tree
from lake_pipeline.convert.parquet.scratch import Scratch
from lake_pipeline.convert.parquet.spans import Slices

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
"""Zstandard's; higher ones were 20 % slower and saved nothing on event data."""

WORTH = 0.97
"""What a column must shrink to."""

BATCH_BYTES = 1 << 20
"""What columns that are encoded in one call take together, unless one of them takes more: they stay in the cache until
they are compressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page as it is stored. `size` are its bytes before compression. The last three are of a data page alone."""

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
        """Those of all values; None where a page with values has none to tell."""
        with_values = [page for page in self.pages if page.count > page.nulls]
        known = [page.bounds for page in with_values if page.bounds is not None]
        return merged(self.leaf.form, known) if len(known) == len(with_values) else None


def chunks_of(tree: Tree, slices: Slices, memory: Scratch) -> Iterator[Chunk]:
    """The column chunks of the rows in `slices`, one for each leaf. Raises `ValueError` where a null may not be."""
    for column in tree.columns:
        if isinstance(column, FlatColumns):
            yield from _flat(column, slices, memory)
        else:
            yield from _nested(column, slices, memory)


def _flat(columns: FlatColumns, slices: Slices, memory: Scratch) -> Iterator[Chunk]:
    """Columns that are leaves themselves, as many in one call as `BATCH_BYTES` hold."""
    table, count = columns.table.ctypes.data, len(columns.leaves)
    structs = memory.room("structs", 8 * layout.ARRAY_FIELDS * slices.count)
    arrays, found = memory.room("arrays", 8 * slices.count), memory.room("sizes", 8 * count)
    call("plain_sizes", slices.address, slices.count, slices.rows, table, count, structs, arrays, found)
    sizes = memory.table("sizes", 1, count)[0]
    needed = [_body_size(leaf, slices.rows, size) for leaf, size in zip(columns.leaves, sizes, strict=True)]
    first = 0
    while first < count:
        stop, total = first + 1, needed[first]
        while stop < count and total + needed[stop] <= BATCH_BYTES:
            total += needed[stop]
            stop += 1
        leaves = columns.leaves[first:stop]
        pages = sum(_most_pages(slices.rows, size) for size in sizes[first:stop])
        rooms = _rooms(slices.rows, max(sizes[first:stop]), slices, memory, rows=slices.rows)
        targets = _targets(total, stop - first, pages, memory)
        which = table + 8 * layout.LEAF_FIELDS * first
        made = call("encode_columns", slices.address, slices.count, slices.rows, which, stop - first, rooms, *targets)
        if made < 0:
            raise unexpected_null(leaves[-1 - made])
        yield from _made(leaves, made, memory)
        first = stop


def _nested(column: NestedColumn, slices: Slices, memory: Scratch) -> Iterator[Chunk]:
    for entries in entries_of(column, slices, memory):
        leaf = entries.leaf
        about = column.tables[leaf].ctypes.data
        size = call("plain_size", about, entries.arrays, slices.count, entries.picks, entries.ends, entries.values)
        rooms = _rooms(entries.count, size, slices, memory, rows=0)
        pages = _most_pages(entries.rows, size)
        targets = _targets(_body_size(leaf, entries.count, size), 1, pages, memory)
        made = call("encode_entries", about, _told(entries, slices, memory), rooms, *targets)
        yield from _made((leaf,), made, memory)


def _most_pages(rows: int, size: int) -> int:
    return rows // PAGE_ROWS + size // PAGE_BYTES + 1


def _body_size(leaf: Leaf, count: int, size: int) -> int:
    """No more bytes than this become of `count` entries, whose values have `size`.

    Runs of levels, and groups of eight codes, have a byte or two in front; a page has lengths and bounds.
    """
    levels = count * (leaf.depth.bit_length() + leaf.top.bit_length() + 8) // 8
    return levels + size + count + (256 + 2 * layout.LONGEST_BOUND) * _most_pages(count, size)


def _rooms(count: int, size: int, slices: Slices, memory: Scratch, *, rows: int) -> int:
    """Rooms to encode `count` entries in, whose values have `size` bytes, see `layout.ROOM_FIELDS`.

    Of `rows` rows the entries must be found first.
    """
    return memory.numbers(
        "rooms",
        (
            memory.room("values", size),
            memory.room("table", 4 * layout.LARGEST_TABLE),
            memory.room("hashes", 8 * layout.LARGEST),
            memory.room("places", 8 * layout.LARGEST + 8),
            memory.room("codes", 4 * count),
            memory.room("cuts", 8 * layout.CUT_FIELDS * _most_pages(count, size)),
            memory.room("row defs", 4 * rows),
            memory.room("row picks", 8 * rows + 8),
            memory.room("row ends", 8 * slices.count),
            memory.room("arrays", 8 * slices.count),
            memory.room("structs", 8 * layout.ARRAY_FIELDS * slices.count),
            memory.room("entries", 8 * layout.ENTRY_FIELDS),
            memory.room("bounds", 16),
        ),
    )


def _targets(size: int, chunks: int, pages: int, memory: Scratch) -> tuple[int, int, int]:
    return (
        memory.room("body", size),
        memory.room("chunks", 8 * layout.CHUNK_FIELDS * chunks),
        memory.room("pages", 8 * layout.PAGE_FIELDS * pages),
    )


def _told(entries: Entries, slices: Slices, memory: Scratch) -> int:
    """The entries as machine code knows them, see `layout.ENTRY_FIELDS`."""
    where = entries.reps, entries.defs, entries.picks, entries.ends
    counts = entries.rows, entries.count, entries.values, entries.top
    return memory.numbers("entries", (entries.arrays, slices.count, *counts, *where))


def _made(leaves: Sequence[Leaf], pages: int, memory: Scratch) -> Iterator[Chunk]:
    """What machine code made of leaves."""
    body, first = memory.view("body"), 0
    found = memory.table("pages", pages, layout.PAGE_FIELDS)
    for leaf, chunk in zip(leaves, memory.table("chunks", len(leaves), layout.CHUNK_FIELDS), strict=True):
        stop = first + chunk[layout.CHUNK_PAGES]
        yield _chunk(leaf, chunk, found[first:stop], body)
        first = stop


def _chunk(leaf: Leaf, chunk: list[int], pages: list[list[int]], body: memoryview) -> Chunk:
    count, distinct, dictionary_at, dictionary_size, _ = chunk
    raw = [body[at : at + size] for at, size, *_ in pages]
    if distinct:
        raw.append(body[dictionary_at : dictionary_at + dictionary_size])
    stored = [_compressed(data) for data in raw]
    compressed = sum(map(len, stored)) < WORTH * sum(map(len, raw))
    if not compressed:
        stored = [bytes(data) for data in raw]
    dictionary = Page(data=stored.pop(), size=dictionary_size, count=distinct) if distinct else None
    return Chunk(
        leaf=leaf,
        count=count,
        compressed=compressed,
        dictionary=dictionary,
        pages=[_page(data, page, body) for data, page in zip(stored, pages, strict=True)],
    )


def _page(data: bytes, page: list[int], body: memoryview) -> Page:
    _, size, count, values, rows, at, low, high = page
    bounds = (bytes(body[at : at + low]), bytes(body[at + low : at + low + high])) if low >= 0 else None
    return Page(data=data, size=size, count=count, rows=rows, nulls=count - values, bounds=bounds)


def _compressed(data: memoryview) -> bytes:
    """One frame. A compressor is kept for each thread: to make one takes a fifth of the time of a page."""
    compressor: zstd.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if compressor is None:
        compressor = _of_thread.compressor = zstd.ZstdCompressor(level=LEVEL)
    compressor.set_pledged_input_size(len(data))
    return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


_of_thread = threading.local()
