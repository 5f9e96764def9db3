"""Footers: Parquet's metadata as Thrift structs: headers of pages, row groups, indexes of pages, and the whole file.

Numbers of fields and enums are those of parquet.thrift (apache/parquet-format).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lake_pipeline import __version__
from lake_pipeline.convert.parquet.bounds import Bounds, in_order
from lake_pipeline.convert.parquet.columns import Chunk, Page
from lake_pipeline.convert.parquet.schema import Form, Tree
from lake_pipeline.convert.parquet.thrift import EMPTY, I16, I64, Struct, varint, zigzag

MAGIC = b"PAR1"
CREATED_BY = f"lake_pipeline version {__version__} (build 0)".encode()
"""In the form readers parse: some trust no bounds of a writer whose name they can't read (PARQUET-251)."""

_UNORDERED, _ASCENDING, _DESCENDING = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenPage:
    """Where a data page stands, its header included, and the first of its rows in its row group."""

    offset: int
    size: int
    first_row: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenChunk:
    """A column chunk that stands in the file: ColumnMetaData, and what its indexes of pages will tell.

    `size` and `stored` are its bytes before and after compression, headers included.
    """

    metadata: bytes
    size: int
    stored: int
    pages: Sequence[WrittenPage]
    column_index: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenGroup:
    """A row group that stands in the file."""

    rows: int
    offset: int
    chunks: Sequence[WrittenChunk]


def written(chunk: Chunk, offset: int) -> tuple[list[bytes], WrittenChunk]:
    """The pieces of a column chunk that stands at `offset`, and what the footer tells of it."""
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
        head = _data_header(page, coded=chunk.dictionary is not None)
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
    """The end of a file, which begins at `offset`: indexes of pages where there are any, metadata, length and magic.

    Where each column is one page, an index of pages repeats what the footer says, column by column.
    """
    chunks = [chunk for group in groups for chunk in group.chunks]
    pieces: list[bytes] = []
    places: list[tuple[tuple[int, int] | None, tuple[int, int]]] | None = None
    if any(len(chunk.pages) > 1 for chunk in chunks):
        indexes = [chunk.column_index for chunk in chunks]
        pages = [_offset_index(chunk.pages) for chunk in chunks]
        pieces = [*(index for index in indexes if index is not None), *pages]
        column_places, behind = _places(indexes, offset)
        page_places, _ = _places(pages, behind)
        places = [(one, other) for one, other in zip(column_places, page_places, strict=True) if other is not None]
    found = iter(places) if places is not None else None
    encoded = [_row_group(number, group, found) for number, group in enumerate(groups)]
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
"""Bounds are ordered as Parquet defines it for the type: without saying so, nobody trusts them."""


def _places(indexes: Sequence[bytes | None], offset: int) -> tuple[list[tuple[int, int] | None], int]:
    """(where each index stands and its length, the place behind the last)."""
    found: list[tuple[int, int] | None] = []
    for index in indexes:
        found.append(None if index is None else (offset, len(index)))
        offset += len(index or b"")
    return found, offset


def _row_group(
    number: int, group: WrittenGroup, places: Iterator[tuple[tuple[int, int] | None, tuple[int, int]]] | None
) -> bytes:
    columns = [_column(chunk, next(places) if places else None) for chunk in group.chunks]
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


def _column(chunk: WrittenChunk, places: tuple[tuple[int, int] | None, tuple[int, int]] | None) -> bytes:
    if places is None:
        return b"".join((b"\x26\0\x1c", chunk.metadata, b"\0"))
    column = Struct().long(2, 0).struct(3, chunk.metadata)
    column_index, offset_index = places
    column.long(4, offset_index[0]).number(5, offset_index[1])
    if column_index is not None:
        column.long(6, column_index[0]).number(7, column_index[1])
    return column.done()


def _data_header(page: Page, coded: bool) -> bytes:
    # By hand, for there is one for each column of each part: PageHeader{1: DATA_PAGE, 2: size, 3: stored,
    # 5: DataPageHeader{1: count, 2: encoding, 3: RLE, 4: RLE}}
    encoding = b"\x10" if coded else b"\0"
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
        chunk.leaf.head_coded if chunk.dictionary else chunk.leaf.head_plain,
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
    # Statistics{3: nulls, 5: largest, 6: smallest, 7: true, 8: true}; true for bounds that are values of the column.
    nulls = zigzag(sum(page.nulls for page in chunk.pages))
    bounds = chunk.bounds
    if bounds is None:
        return [b"\x36", nulls, b"\0"]
    low, high = bounds
    return [b"\x36", nulls, b"\x28", varint(len(high)), high, b"\x18", varint(len(low)), low, b"\x11\x11\0"]


def _column_index(chunk: Chunk) -> bytes | None:
    """ColumnIndex; None where a page has values and no bounds, of which an index can't tell."""
    if len(chunk.pages) == 1 or chunk.leaf.is_nested:
        return None
    lows, highs, known = [], [], []
    for page in chunk.pages:
        if page.bounds is not None:
            known.append(page.bounds)
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
        .number(4, _order(chunk.leaf.form, known))
        .numbers(5, [page.nulls for page in chunk.pages], I64)
        .done()
    )


def _order(form: Form, bounds: Sequence[Bounds]) -> int:
    both = list(pairwise([tuple(in_order(form, side) for side in each) for each in bounds]))
    if all(one[0] <= other[0] and one[1] <= other[1] for one, other in both):
        return _ASCENDING
    return _DESCENDING if all(one[0] >= other[0] and one[1] >= other[1] for one, other in both) else _UNORDERED


def _offset_index(pages: Sequence[WrittenPage]) -> bytes:
    return (
        Struct()
        .structs(
            1, [Struct().long(1, page.offset).number(2, page.size).long(3, page.first_row).done() for page in pages]
        )
        .done()
    )
