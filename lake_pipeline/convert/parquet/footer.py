"""Footers: Parquet's metadata as Thrift structs: page headers, row groups, page indexes, and the file itself.

Numbers of fields and enums are those of parquet.thrift (apache/parquet-format).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lake_pipeline import __version__
from lake_pipeline.convert.native.layout import ValueForm
from lake_pipeline.convert.parquet.bounds import Bounds, sort_key
from lake_pipeline.convert.parquet.columns import Chunk, Page
from lake_pipeline.convert.parquet.schema import Tree
from lake_pipeline.convert.parquet.thrift import EMPTY, I16, I64, Struct, varint, zigzag

MAGIC = b"PAR1"
CREATED_BY = f"lake_pipeline version {__version__} (build 0)".encode()
"""In the format that readers parse: some ignore all bounds if they can't parse the writer's name (PARQUET-251)."""

_UNORDERED, _ASCENDING, _DESCENDING = 0, 1, 2

_Location = tuple[int, int]
"""Offset and length of an index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenPage:
    """Where a data page is in the file, with its header, and the index of its first row in the row group."""

    offset: int
    size: int
    first_row: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenChunk:
    """A column chunk in the file: its ColumnMetaData, and the content of its page indexes.

    `size` and `stored` are its bytes before and after compression, with headers.
    """

    metadata: bytes
    size: int
    stored: int
    pages: Sequence[WrittenPage]
    column_index: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenGroup:
    """A row group in the file."""

    rows: int
    offset: int
    chunks: Sequence[WrittenChunk]


def written(chunk: Chunk, offset: int) -> tuple[list[bytes], WrittenChunk]:
    """The bytes of a column chunk at `offset`, in pieces, and its description for the footer."""
    pieces: list[bytes] = []
    size, at, dictionary_at = 0, offset, None
    if chunk.dictionary:
        head = _dictionary_header(chunk.dictionary)
        pieces += head, chunk.dictionary.data
        dictionary_at = offset
        size += len(head) + chunk.dictionary.size
        at += len(head) + len(chunk.dictionary.data)
    pages, row, first_page_at = [], 0, at
    for page in chunk.pages:
        head = _data_header(page, has_dictionary=chunk.dictionary is not None)
        pieces += head, page.data
        stored = len(head) + len(page.data)
        pages.append(WrittenPage(offset=at, size=stored, first_row=row))
        size += len(head) + page.size
        at += stored
        row += page.rows
    metadata = _column_metadata(chunk, size, at - offset, first_page_at, dictionary_at)
    return pieces, WrittenChunk(
        metadata=metadata, size=size, stored=at - offset, pages=pages, column_index=_column_index(chunk)
    )


def footer(tree: Tree, groups: Sequence[WrittenGroup], offset: int) -> list[bytes]:
    """The end of a file, from `offset` on: page indexes if there are any, metadata, length and magic.

    If each column has one page, a page index would only repeat the footer, column by column.
    """
    chunks = [chunk for group in groups for chunk in group.chunks]
    pieces: list[bytes] = []
    locations: list[tuple[_Location | None, _Location]] | None = None
    if any(len(chunk.pages) > 1 for chunk in chunks):
        indexes = [chunk.column_index for chunk in chunks]
        pages = [_offset_index(chunk.pages) for chunk in chunks]
        pieces = [*(index for index in indexes if index is not None), *pages]
        column_indexes, end = _locate(indexes, offset)
        offset_indexes, _ = _locate(pages, end)
        locations = [
            (one, other) for one, other in zip(column_indexes, offset_indexes, strict=True) if other is not None
        ]
    remaining = iter(locations) if locations is not None else None
    encoded = [_row_group(number, group, remaining) for number, group in enumerate(groups)]
    metadata = (
        Struct()
        .number(1, 2)
        .structs(2, tree.elements)
        .long(3, sum(group.rows for group in groups))
        .structs(4, encoded)
        .structs(5, tree.key_values)
        .binary(6, CREATED_BY)
        .structs(7, [_TYPE_ORDER] * len(tree.leaves))
        .done()
    )
    return [*pieces, metadata, len(metadata).to_bytes(4, "little"), MAGIC]


_TYPE_ORDER = Struct().struct(1, EMPTY).done()
"""Bounds have the order that Parquet defines for the type. Without this field, readers ignore them."""


def _locate(indexes: Sequence[bytes | None], offset: int) -> tuple[list[_Location | None], int]:
    """(the location of each index, the offset after the last)."""
    locations: list[_Location | None] = []
    for index in indexes:
        locations.append(None if index is None else (offset, len(index)))
        offset += len(index or b"")
    return locations, offset


def _row_group(
    number: int, group: WrittenGroup, locations: Iterator[tuple[_Location | None, _Location]] | None
) -> bytes:
    columns = [_column(chunk, next(locations) if locations else None) for chunk in group.chunks]
    return (
        Struct()
        .structs(1, columns)
        .long(2, sum(chunk.size for chunk in group.chunks))
        .long(3, group.rows)
        .long(5, group.offset)
        .long(6, sum(chunk.stored for chunk in group.chunks))
        .number(7, number, I16)
        .done()
    )


def _column(chunk: WrittenChunk, locations: tuple[_Location | None, _Location] | None) -> bytes:
    if locations is None:
        return b"".join((b"\x26\0\x1c", chunk.metadata, b"\0"))
    column = Struct().long(2, 0).struct(3, chunk.metadata)
    column_index, offset_index = locations
    column.long(4, offset_index[0]).number(5, offset_index[1])
    if column_index is not None:
        column.long(6, column_index[0]).number(7, column_index[1])
    return column.done()


def _data_header(page: Page, has_dictionary: bool) -> bytes:
    # By hand, because each column of each part has one: PageHeader{1: DATA_PAGE, 2: size, 3: stored,
    # 5: DataPageHeader{1: count, 2: encoding, 3: RLE, 4: RLE}}
    encoding = b"\x10" if has_dictionary else b"\0"
    sizes = zigzag(page.size), b"\x15", zigzag(len(page.data))
    return b"".join((b"\x15\0\x15", *sizes, b"\x2c\x15", zigzag(page.count), b"\x15", encoding, b"\x15\6\x15\6\0\0"))


def _dictionary_header(page: Page) -> bytes:
    # PageHeader{1: DICTIONARY_PAGE, 2: size, 3: stored, 7: DictionaryPageHeader{1: count, 2: PLAIN}}
    sizes = zigzag(page.size), b"\x15", zigzag(len(page.data))
    return b"".join((b"\x15\x04\x15", *sizes, b"\x4c\x15", zigzag(page.count), b"\x15\0\0\0"))


def _column_metadata(chunk: Chunk, size: int, stored: int, page_at: int, dictionary_at: int | None) -> bytes:
    # By hand too: ColumnMetaData{1: type, 2: encodings, 3: path, 4: codec, 5: values, 6: size, 7: stored,
    # 9: data pages, 11: dictionary, 12: Statistics}
    pieces = [
        chunk.leaf.dictionary_head if chunk.dictionary else chunk.leaf.plain_head,
        b"\x15\x0c\x16" if chunk.compressed else b"\x15\0\x16",
        zigzag(chunk.count),
        b"\x16",
        zigzag(size),
        b"\x16",
        zigzag(stored),
        b"\x26",
        zigzag(page_at),
    ]
    if dictionary_at is not None:
        pieces += b"\x26", zigzag(dictionary_at)
    if not chunk.leaf.is_nested:
        pieces.append(b"\x3c" if dictionary_at is None else b"\x1c")
        pieces += _statistics(chunk)
    pieces.append(b"\0")
    return b"".join(pieces)


def _statistics(chunk: Chunk) -> list[bytes]:
    # Statistics{3: nulls, 5: largest, 6: smallest, 7: true, 8: true}; true means that the bounds are exact.
    nulls = zigzag(sum(page.nulls for page in chunk.pages))
    bounds = chunk.bounds
    if bounds is None:
        return [b"\x36", nulls, b"\0"]
    low, high = bounds
    return [b"\x36", nulls, b"\x28", varint(len(high)), high, b"\x18", varint(len(low)), low, b"\x11\x11\0"]


def _column_index(chunk: Chunk) -> bytes | None:
    """ColumnIndex; None if a page has values but no bounds, which an index can't express."""
    if len(chunk.pages) == 1 or chunk.leaf.is_nested:
        return None
    lows, highs, bounds = [], [], []
    for page in chunk.pages:
        if page.bounds is not None:
            bounds.append(page.bounds)
            lows.append(page.bounds[0])
            highs.append(page.bounds[1])
        elif page.count == page.nulls:
            lows.append(b"")
            highs.append(b"")
        else:
            return None
    return (
        Struct()
        .flags(1, [page.bounds is None for page in chunk.pages])
        .binaries(2, lows)
        .binaries(3, highs)
        .number(4, _order(chunk.leaf.form, bounds))
        .numbers(5, [page.nulls for page in chunk.pages], I64)
        .done()
    )


def _order(form: ValueForm, bounds: Sequence[Bounds]) -> int:
    keys = [(sort_key(form, low), sort_key(form, high)) for low, high in bounds]
    neighbors = list(pairwise(keys))
    if all(one[0] <= other[0] and one[1] <= other[1] for one, other in neighbors):
        return _ASCENDING
    return _DESCENDING if all(one[0] >= other[0] and one[1] >= other[1] for one, other in neighbors) else _UNORDERED


def _offset_index(pages: Sequence[WrittenPage]) -> bytes:
    return (
        Struct()
        .structs(
            1, [Struct().long(1, page.offset).number(2, page.size).long(3, page.first_row).done() for page in pages]
        )
        .done()
    )
