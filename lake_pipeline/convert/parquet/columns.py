"""Columns: from the entries of a leaf to the pages of one column chunk, compressed.

A column gets a dictionary where its values repeat. Pages end at whole rows, after `PAGE_ROWS` of them or about
`PAGE_BYTES`. What barely shrinks is not compressed: readers decompress it for nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.calling import call_with_numbers as call
from lake_pipeline.convert.parquet.bounds import Bounds, bounds_of, merged
from lake_pipeline.convert.parquet.levels import Entries
from lake_pipeline.convert.parquet.schema import Form, Leaf
from lake_pipeline.convert.parquet.scratch import Scratch, long_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAGE_ROWS = 20_000
"""Rows of a page at most."""

PAGE_BYTES = 1 << 20
"""Bytes of a page, before compression, that are enough; and those of a dictionary at most."""

LEVEL = 1
"""Zstandard's; higher ones were 20 % slower and saved nothing on event data."""

WORTH = 0.97
"""What a column must shrink to."""


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
        return merged(known) if len(known) == len(with_values) else None


def encode(entries: Entries, slices: int, memory: Scratch) -> Chunk:
    """The column chunk of a leaf's entries, one or more."""
    plain = _plain(entries, slices, memory)
    coded = _coded(entries, plain, memory)
    cuts = _cuts(entries, plain, coded, memory)
    bodies = _bodies(entries, plain, coded, cuts, memory)
    bounds = _bounds(entries.leaf, plain, coded, cuts, memory)
    raw = [memory.view("body")[start:stop] for start, stop in bodies]
    if coded:
        raw.append(memory.view("dictionary")[: coded.size])
    stored = [_compressed(body) for body in raw]
    compressed = sum(map(len, stored)) < WORTH * sum(map(len, raw))
    if not compressed:
        stored = [bytes(body) for body in raw]
    dictionary = Page(data=stored.pop(), size=len(raw.pop()), count=coded.distinct) if coded else None
    found, before = [], (0, 0, 0, 0)
    for data, body, cut, bound in zip(stored, raw, cuts, bounds, strict=True):
        count, present, _, rows = (now - then for now, then in zip(cut, before, strict=True))
        page = Page(data=data, size=len(body), count=count, rows=rows, nulls=count - present, bounds=bound)
        found.append(page)
        before = cut
    return Chunk(leaf=entries.leaf, count=entries.count, compressed=compressed, dictionary=dictionary, pages=found)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plain:
    """The values in the encoding PLAIN (booleans: as numbers of 32 bits)."""

    address: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Coded:
    """A dictionary, and the address of the codes."""

    address: int
    size: int
    distinct: int
    codes: int

    @property
    def width(self) -> int:
        return max((self.distinct - 1).bit_length(), 1)


Cut = tuple[int, int, int, int]
"""The end of a page: entries, values, bytes of these values, rows."""


def _plain(entries: Entries, slices: int, memory: Scratch) -> _Plain:
    where = entries.arrays, slices, entries.picks, entries.ends
    match entries.leaf.form:
        case Form.NOTHING:
            return _Plain(address=memory.room("values", 0), size=0)
        case Form.LONGS | Form.DOUBLES:
            target = memory.room("values", 8 * entries.values)
            return _Plain(address=target, size=call("take_longs", *where, target))
        case Form.INTS:
            target = memory.room("values", 4 * entries.values)
            return _Plain(address=target, size=call("take_ints", *where, target))
        case Form.BITS:
            target = memory.room("values", 4 * entries.values)
            return _Plain(address=target, size=call("take_bits", *where, target))
        case Form.DECIMALS:
            width = entries.leaf.width
            target = memory.room("values", width * entries.values)
            return _Plain(address=target, size=call("take_decimals", *where, width, target))
        case Form.TEXTS:
            target = memory.room("values", call("texts_room", *where))
            return _Plain(address=target, size=call("take_texts", *where, target))


def _coded(entries: Entries, plain: _Plain, memory: Scratch) -> _Coded | None:
    """The dictionary of values that repeat, and None for those that do not."""
    form, count = entries.leaf.form, entries.values
    if form in (Form.NOTHING, Form.BITS) or count < 2:
        return None
    table = memory.room("table", 4 * layout.LARGEST_TABLE)
    hashes = memory.room("hashes", 8 * layout.LARGEST)
    codes, target = memory.room("codes", 4 * count), memory.room("dictionary", PAGE_BYTES)
    if form in (Form.LONGS, Form.DOUBLES):
        distinct = call("dictionary_of_longs", plain.address, count, PAGE_BYTES, table, hashes, codes, target)
        size = 8 * distinct
    else:
        places = memory.room("places", 8 * layout.LARGEST + 8)
        distinct = call(
            "dictionary_of_bytes",
            plain.address,
            count,
            entries.leaf.width,
            PAGE_BYTES,
            table,
            hashes,
            places,
            codes,
            target,
        )
        size = long_of(places, distinct) if distinct > 0 else 0
    if distinct == layout.GIVEN_UP:
        return None
    coded = _Coded(address=target, size=size, distinct=distinct, codes=codes)
    return coded if size + count * coded.width // 8 < plain.size else None


def _value_bits(leaf: Leaf, coded: _Coded | None) -> int:
    """What a value takes of a page; 0 where that differs from value to value."""
    if coded:
        return coded.width
    return 1 if leaf.form is Form.BITS else 8 * leaf.width


def _cuts(entries: Entries, plain: _Plain, coded: _Coded | None, memory: Scratch) -> list[Cut]:
    leaf, bits = entries.leaf, _value_bits(entries.leaf, coded)
    size = bits * entries.values // 8 if bits else plain.size
    if size <= PAGE_BYTES and entries.rows <= PAGE_ROWS:
        return [(entries.count, entries.values, plain.size, entries.rows)]
    found = memory.room("cuts", 8 * layout.CUT_FIELDS * entries.rows)
    texts = plain.address if leaf.form is Form.TEXTS else 0
    count = call(
        "cut_pages", entries.reps, entries.defs, leaf.top, entries.count, texts, bits, PAGE_ROWS, PAGE_BYTES, found
    )
    table = np.frombuffer(memory.view("cuts"), dtype=np.int64, count=layout.CUT_FIELDS * count)
    width = 4 if leaf.form is Form.BITS else leaf.width
    return [
        (entry, value, at if texts else value * width, row)
        for entry, value, at, row in table.reshape(count, layout.CUT_FIELDS).tolist()
    ]


def _bodies(
    entries: Entries, plain: _Plain, coded: _Coded | None, cuts: list[Cut], memory: Scratch
) -> list[tuple[int, int]]:
    """Write the pages one behind the other; returns where each begins and ends."""
    leaf = entries.leaf
    rep_width, def_width = leaf.depth.bit_length(), leaf.top.bit_length()
    # Runs and groups of eight values have a byte or two in front, and lengths of at most five bytes once a page.
    levels = entries.count * (rep_width + def_width + 8) // 8
    in_values = entries.values * (coded.width + 4) // 8 if coded else plain.size
    body = memory.room("body", levels + in_values + 64 * len(cuts))
    found, end, before = [], 0, (0, 0, 0, 0)
    for cut in cuts:
        how, source, span, width = layout.PLAIN_BYTES, plain.address, (before[2], cut[2]), 0
        if coded:
            how, source, span, width = layout.CODES, coded.codes, (before[1], cut[1]), coded.width
        elif leaf.form is Form.BITS:
            how, span, width = layout.PACKED, (before[1], cut[1]), 1
        size = call("page_body", entries.reps, rep_width, entries.defs, def_width, entries.top, before[0], cut[0],
            how, source, *span, width, body + end,
        )  # fmt: skip
        found.append((end, end + size))
        end += size
        before = cut
    return found


def _bounds(leaf: Leaf, plain: _Plain, coded: _Coded | None, cuts: list[Cut], memory: Scratch) -> list[Bounds | None]:
    """Those of each page. No reader prunes by what stands in lists and structs."""
    if leaf.is_nested:
        return [None] * len(cuts)
    if coded and len(cuts) == 1:
        return [bounds_of(leaf, coded.address, coded.distinct, coded.size, memory)]
    found: list[Bounds | None] = []
    before = (0, 0, 0, 0)
    for cut in cuts:
        count, size = cut[1] - before[1], cut[2] - before[2]
        found.append(bounds_of(leaf, plain.address + before[2], count, size, memory) if count else None)
        before = cut
    return found


def _compressed(data: memoryview) -> bytes:
    """One frame. A compressor is kept for each thread: to make one takes a fifth of the time of a page."""
    compressor: zstd.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if compressor is None:
        compressor = _of_thread.compressor = zstd.ZstdCompressor(level=LEVEL)
    compressor.set_pledged_input_size(len(data))
    return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


_of_thread = threading.local()
