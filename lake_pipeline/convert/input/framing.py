"""Split a stream of text bytes into blocks of whole records, for any layout of the file.

Memory is bounded by the block and the longest record. `format` detects the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from lake_pipeline.convert.input.brackets import Scanner, Spans
from lake_pipeline.convert.input.decompress import Decoded
from lake_pipeline.convert.input.format import Layout, sniff
from lake_pipeline.convert.input.records import (
    BOM,
    MAX_RECORDS,
    RECORD_SEPARATOR,
    SPACES,
    Records,
    frame_lines,
    frame_spans,
    gap_positions,
)
from lake_pipeline.errors import BadInput
from lake_pipeline.model.defaults import MAX_BLANK_BYTES

BLOCK_BYTES = 8 << 20
"""Text bytes of a block: large enough that the cost per block vanishes, small enough for a few cache sizes."""

CUT_BYTES = 64 << 10
"""The end of a block is read separately: it contains a line end, and only this little has to be cut."""

_SEPARATOR = re.compile(rb"[,\x1e]")
_ENDS = (b" ", b"\t", b"\r", b"\n")
_SEPARATORS = SPACES + b",[]" + RECORD_SEPARATOR


def blocks(
    text: Decoded, *, max_record_bytes: int, max_blank_bytes: int = MAX_BLANK_BYTES, block_bytes: int = BLOCK_BYTES
) -> Iterator[Records]:
    """The records of a file, block by block, in order.

    Raises `BadInput` for damaged compression, `record_too_large` for a record above `max_record_bytes`, and
    `no_records` for more than `max_blank_bytes` of decompressed text without a record.
    """
    last_record = 0
    for records in _blocks(text, max_record_bytes, block_bytes):
        if records is not None:
            last_record = text.position
            yield records
        elif not text.is_plain and text.position - last_record > max_blank_bytes:
            raise BadInput(
                "no_records",
                f"there is no record in {max_blank_bytes:,} bytes of decompressed text from byte {last_record} on "
                "(LAKE_MAX_BLANK_BYTES)",
                offset=last_record,
            )


def _blocks(text: Decoded, max_record_bytes: int, block_bytes: int) -> Iterator[Records | None]:
    """The same without a limit for text without records: None after each read that may have had none."""
    cut_bytes = min(CUT_BYTES, block_bytes // 2)
    chunk, end = text.read(block_bytes - cut_bytes), text.read(cut_bytes)
    by_lines = sniff(chunk) is Layout.LINES
    framing = (Lines if by_lines else Documents)(text.start, max_record_bytes)
    while len(end) == cut_bytes:
        yield from framing.feed(chunk, end)
        # If it is known where lines end, a block is not put together from pieces but read in one piece.
        while by_lines and (size := text.whole_lines(block_bytes, cut_bytes)):
            yield from framing.feed(text.read(size))
        chunk, end = text.read(block_bytes - cut_bytes), text.read(cut_bytes)
        yield None
    # A short block is the last one. Only another read shows whether it is the end, a truncation or damage.
    text.read(1)
    yield from framing.finish(chunk + end, is_cut=text.is_cut)


def leading_records(text: Decoded, size: int) -> Iterator[Records]:
    """The whole records among the first `size` bytes, without a record that is cut off at that size."""
    yield from head_records(text.read(size), text.start, size)


def head_records(head: bytes, start: int, size: int) -> Iterator[Records]:
    """The same, given the first `size` bytes (less if the file is shorter), which begin at `start` of the file."""
    framing = (Lines if sniff(head) is Layout.LINES else Documents)(start, size)
    yield from framing.feed(head) if len(head) == size else framing.finish(head, is_cut=False)


class _Unframed:
    """Text that is not yet known to be whole records, and its offset in the file."""

    def __init__(self, base: int, max_record_bytes: int) -> None:
        self.base = base
        self.size = 0
        self._parts: list[bytes] = []
        self._limit = max_record_bytes

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)

    def take(self, size: int) -> bytes:
        """Remove and return the first `size` bytes."""
        left = self.size - size
        whole: list[bytes | memoryview] = [*self._parts[:-1]]
        last = self._parts[-1] if self._parts else b""
        if left < len(last):
            # Only the small piece is copied: blocks are large, and this runs for each of them. If all parts are bytes,
            # `join` releases the GIL.
            kept = len(last) - left
            whole.append(last[:kept] if kept <= CUT_BYTES or not left else memoryview(last)[:kept])
            self._parts = [last[len(last) - left :]] if left else []
            taken = b"".join(whole)
        else:
            joined = b"".join(self._parts)
            taken, self._parts = joined[:size], [joined[size:]]
        self.base += size
        self.size -= size
        return taken

    def bound(self) -> None:
        if self.size <= self._limit:
            return
        if all(map(_is_blank, self._parts)):
            self.take(self.size)
            return
        raise _too_large(self.base, self._limit)


def _too_large(offset: int, limit: int) -> BadInput:
    return BadInput(
        "record_too_large",
        f"the record at byte {offset} is longer than {limit:,} bytes (LAKE_MAX_RECORD_BYTES), "
        "or its brackets never close",
        offset=offset,
    )


def _is_blank(text: bytes) -> bool:
    """Whether there are only spaces. The ends are checked first, because stripping copies the text."""
    return text[:1] in _ENDS and text[-1:] in _ENDS and not text.strip(SPACES)


class Lines:
    """Framing by line ends."""

    def __init__(self, base: int, max_record_bytes: int) -> None:
        self._rest = _Unframed(base, max_record_bytes)
        self._limit = max_record_bytes

    def feed(self, *pieces: bytes) -> Iterator[Records]:
        """The records that end in `pieces`, the next text of the file."""
        size = 0
        for piece in pieces:
            if not self._rest.size and _is_blank(piece):
                self._rest.base += len(piece)
                continue
            cut = piece.rfind(b"\n") + 1
            size = self._rest.size + cut if cut else size
            self._rest.add(piece)
        if size:
            yield from self._framed(size)
        self._rest.bound()

    def finish(self, chunk: bytes, *, is_cut: bool) -> Iterator[Records]:
        """The records up to the end of the file, given its last text."""
        if is_cut:
            yield from self.feed(chunk)
            base, rest = self._rest.base, self._rest.take(self._rest.size)
            # The text after the last line end may be cut off even if it looks whole.
            yield frame_spans(rest, base, np.array([[0, len(rest)]]), is_cut=True)
            return
        self._rest.add(chunk)
        if self._rest.size:
            yield from self._framed(self._rest.size)

    def _framed(self, size: int) -> Iterator[Records]:
        """The records of the first `size` bytes. Where the text was cut does not affect the limit of a line."""
        base = self._rest.base
        text = self._rest.take(size)
        if size > self._limit:
            ends = np.append(np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")), size)
            starts = np.append(0, ends[:-1] + 1)
            for line in np.flatnonzero(ends - starts > self._limit).tolist():
                if not _is_blank(text[starts[line] : ends[line]]):
                    raise _too_large(base + int(starts[line]), self._limit)
        return frame_lines(text, base)


class Documents:
    """Framing by brackets.

    Text between documents that is not a separator is a malformed record, so that nothing is lost. A document or an
    array that is open at the end of the file was cut off.
    """

    def __init__(self, base: int, max_record_bytes: int) -> None:
        self._origin = base
        self._scanner = Scanner()
        self._rest = _Unframed(base, max_record_bytes)

    def feed(self, *pieces: bytes) -> Iterator[Records]:
        """The records that end in `pieces`, the next text of the file."""
        chunk = b"".join(pieces)
        spans = self._scanner.feed(chunk) + self._origin
        self._rest.add(chunk)
        if len(spans):
            base = self._rest.base
            source = self._rest.take(int(spans[-1][1]) - base)
            yield from _batches(source, base, _with_gaps(source, spans - base))
        self._rest.bound()

    def finish(self, chunk: bytes, *, is_cut: bool) -> Iterator[Records]:
        """The records up to the end of the file, given its last text."""
        yield from self.feed(chunk)
        base, rest = self._rest.base, self._rest.take(self._rest.size)
        is_open = self._scanner.start is not None
        start = self._scanner.start + self._origin - base if self._scanner.start is not None else len(rest)
        yield from _batches(rest, base, _gap(rest, 0, start))
        if is_open or is_cut or self._scanner.in_array:
            yield frame_spans(rest, base, np.array([[start, len(rest)]]), is_cut=True)


def _batches(source: bytes, base: int, spans: Spans | Iterable[tuple[int, int]]) -> Iterator[Records]:
    if isinstance(spans, np.ndarray) and len(spans) <= MAX_RECORDS:
        yield frame_spans(source, base, spans)
        return
    remaining = iter(spans)
    while some := list(islice(remaining, MAX_RECORDS)):
        first, last = int(some[0][0]), int(some[-1][1])
        yield frame_spans(source[first:last], base + first, np.array(some, dtype=np.int64) - first)


def _with_gaps(source: bytes, spans: Spans) -> Spans | Iterator[tuple[int, int]]:
    """The spans, with those of malformed records between them if there are any."""
    gaps = gap_positions(spans)
    if gaps is None:
        ends, starts = spans[:-1, 1].tolist(), spans[1:, 0].tolist()
        between = b"".join({source[end:start] for end, start in zip(ends, starts, strict=True)})
    else:
        between = np.frombuffer(source, dtype=np.uint8)[gaps].tobytes()
    # Removing the separators is faster than checking each byte.
    rest = (source[: spans[0][0]] + between).translate(None, _SEPARATORS)
    return _merged(source, spans) if rest.replace(BOM, b"") else spans


def _merged(source: bytes, spans: Spans) -> Iterator[tuple[int, int]]:
    done = 0
    for start, end in spans.tolist():
        yield from _gap(source, done, start)
        yield start, end
        done = end


def _gap(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Malformed records between two documents: one for each element that is not an object or a list."""
    while start < end:
        separator = _SEPARATOR.search(text, start, end)
        stop = separator.start() if separator else end
        element = text[start:stop].strip(_SEPARATORS)
        if element.replace(BOM, b"").strip(_SEPARATORS):
            begin = text.index(element, start)
            yield begin, begin + len(element)
        start = stop + 1
