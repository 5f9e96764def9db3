"""The records of one byte range of a large file, so that several workers can read it.

A record belongs to the range in which its line begins. Ranges that cover a file therefore contain each of its records
exactly once, wherever they are cut. Only plain files with one document per line can be split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import BinaryIO

from lake_pipeline.convert.input.decompress import read_full
from lake_pipeline.convert.input.format import Layout, sniff
from lake_pipeline.convert.input.framing import BLOCK_BYTES, Lines
from lake_pipeline.convert.input.reader import open_text
from lake_pipeline.convert.input.records import BOM, Records, survey
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.files import RawFile
from lake_pipeline.storage.object_store import ObjectStore

_SNIFFED_BYTES = 1 << 20
_LINE_END = ord("\n")

COUNTED_BYTES = 1 << 20
"""Text that is counted at a time: it is still in the cache when it is scanned, and its memory is reused."""


def can_be_split(store: ObjectStore, file: RawFile, options: ConversionOptions) -> bool:
    """Whether ranges of the file can be read separately. Raises what `open_text` raises."""
    with closing(open_text(store, file, options)) as text:
        return text.is_plain and sniff(text.read(_SNIFFED_BYTES)) is Layout.LINES


def range_blocks(
    store: ObjectStore,
    file: RawFile,
    *,
    start: int,
    stop: int,
    options: ConversionOptions,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Records]:
    """The records that begin in the bytes `start` to `stop` (exclusive) of a file that can be split.

    Raises `ObjectMissing`, `ObjectChanged`, `StorageUnavailable`, and `BadInput` for a record that is too large.
    """
    # The byte before the range shows whether a line begins with the range.
    begin = max(start - 1, 0)
    with closing(store.open(file.current_key, etag=file.etag, start=begin)) as stream:
        lines: Lines | None = None
        for offset, text in _own_lines(stream, begin, stop, skips_first=start > 0, block_bytes=block_bytes):
            lines = lines or Lines(offset, options.max_record_bytes)
            yield from lines.feed(text)
        if lines:
            yield from lines.finish(b"", is_cut=False)


def records_in_range(
    store: ObjectStore,
    file: RawFile,
    *,
    start: int,
    stop: int,
    options: ConversionOptions,
    block_bytes: int = COUNTED_BYTES,
) -> int:
    """How many records `range_blocks` returns. Raises what it raises.

    If each line is one record, line ends are counted. A range with a blank line, a line of several documents or a very
    long line is framed to count it.
    """
    begin = max(start - 1, 0)
    with closing(store.open(file.current_key, etag=file.etag, start=begin)) as stream:
        pieces = _own_lines(stream, begin, stop, skips_first=start > 0, block_bytes=block_bytes)
        count = _count_lines((text for _, text in pieces), options.max_record_bytes)
    if count is None:
        return sum(records.count for records in range_blocks(store, file, start=start, stop=stop, options=options))
    return count


def _count_lines(pieces: Iterable[bytes], max_record_bytes: int) -> int | None:
    """The number of lines in a text that comes piece by piece; None if some line may not be exactly one record.

    `max_record_bytes` is the size of the largest record.
    """
    count = unended = 0
    last = b""
    for text in pieces:
        head = 0
        if unended:
            # The beginning of this line was checked in the piece before.
            head = text.find(b"\n") + 1 or len(text)
            if b"}{" in last + text[:head]:
                return None
        unended += head
        if len(text) + unended > max_record_bytes:
            return None
        if head and text[head - 1] == _LINE_END:
            count, unended = count + 1, 0
        if head < len(text):
            lines, joined, blank = survey(memoryview(text)[head:])
            if joined or blank:
                return None
            count += lines
            unended = len(text) - max(text.rfind(b"\n") + 1, head)
        last = text[-1:]
    return count + (unended > 0)


def _own_lines(
    stream: BinaryIO, position: int, stop: int, *, skips_first: bool, block_bytes: int
) -> Iterator[tuple[int, bytes]]:
    """The text of the lines that begin before `stop`, piece by piece, each with its offset in the file."""
    while chunk := read_full(stream.read, block_bytes):
        offset, text = position, chunk
        position += len(chunk)
        if skips_first:
            line_end = text.find(b"\n")
            if line_end < 0:
                if position >= stop:
                    return
                continue
            offset, text, skips_first = offset + line_end + 1, text[line_end + 1 :], False
            if offset >= stop:
                return
        if offset == 0 and text.startswith(BOM):
            offset, text = len(BOM), text[len(BOM) :]
        last = text.find(b"\n", max(stop - 1 - offset, 0)) if offset + len(text) >= stop else -1
        if last >= 0:
            yield offset, text[: last + 1]
            return
        yield offset, text
