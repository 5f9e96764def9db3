"""Framing: cut a stream of text bytes into blocks of whole records, whatever the layout of the file.

Memory is bounded by the block and the longest record. How documents stand in the file is for `layouts` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from lake_pipeline.convert.decoding import Decoded
from lake_pipeline.convert.layouts import Layout, sniff
from lake_pipeline.convert.records import MAX_RECORDS, SPACES, Records, frame_lines, frame_spans, gap_positions
from lake_pipeline.convert.scanning import Scanner, Spans
from lake_pipeline.errors import BadInput

BLOCK_BYTES = 8 << 20
"""Text bytes of a block: large enough that per-block work vanishes, small enough to stay in a few cache sizes."""

CUT_BYTES = 64 << 10
"""Of a block, what is read by itself at its end: a line ends in there, and only this little has to be cut."""

_ENDS = (b" ", b"\t", b"\r", b"\n")
_SEPARATORS = SPACES + b",[]"


def blocks(text: Decoded, *, max_record_bytes: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Records]:
    """The records of a file, block by block, in order.

    Raises `BadInput` for damaged compression, and `record_too_large` for a record above `max_record_bytes`.
    """
    cut_bytes = min(CUT_BYTES, block_bytes // 2)
    chunk, end = text.read(block_bytes - cut_bytes), text.read(cut_bytes)
    by_lines = sniff(chunk) is Layout.LINES
    found = (Lines if by_lines else Documents)(text.start, max_record_bytes)
    while len(end) == cut_bytes:
        yield from found.feed(chunk, end)
        # Where it can be known beforehand where lines end, a block is not put together: it is read as it stands.
        while by_lines and (size := text.whole_lines(block_bytes, cut_bytes)):
            yield from found.feed(text.read(size))
        chunk, end = text.read(block_bytes - cut_bytes), text.read(cut_bytes)
    # A block that is short is the last one. Only reading on shows whether it is the end, a cut, or damage.
    text.read(1)
    yield from found.finish(chunk + end, is_cut=text.is_cut)


def head_records(text: Decoded, size: int) -> Iterator[Records]:
    """The whole records among the first `size` bytes; a record cut off there is left out."""
    head = text.read(size)
    framing = Lines if sniff(head) is Layout.LINES else Documents
    found = framing(text.start, size)
    yield from found.feed(head) if len(head) == size else found.finish(head, is_cut=False)


class _Unframed:
    """Text that is not yet known to be whole records, and where it begins in the file."""

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
            # Copied once, and the little that stays apart: blocks are large, and this is done for each. With bytes
            # alone, `join` gives the lock of Python away meanwhile.
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
    """Whether there is nothing but spaces. The ends are looked at first: a text that is cut out costs its copy."""
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
        """The records up to the end of the file, with the last text of it."""
        if is_cut:
            yield from self.feed(chunk)
            base, rest = self._rest.base, self._rest.take(self._rest.size)
            # Whatever follows the last line end may lack its own end, even where it looks whole.
            yield frame_spans(rest, base, np.array([[0, len(rest)]]), is_cut=True)
            return
        self._rest.add(chunk)
        if self._rest.size:
            yield from self._framed(self._rest.size)

    def _framed(self, size: int) -> Iterator[Records]:
        """The records of the first `size` bytes. What a line may be is the same wherever the text was cut."""
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
    """Framing by brackets. What stands between documents and is no separator is a broken record, so that nothing
    goes unseen; a document or an array that the end of the file leaves open is one that was cut off."""

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
        """The records up to the end of the file, with the last text of it."""
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
    """The spans, with those of broken records between them where there are any."""
    gaps = gap_positions(spans)
    if gaps is None:
        ends, starts = spans[:-1, 1].tolist(), spans[1:, 0].tolist()
        between = b"".join({source[end:start] for end, start in zip(ends, starts, strict=True)})
    else:
        between = np.frombuffer(source, dtype=np.uint8)[gaps].tobytes()
    # Taking the separators out is faster than looking at each byte.
    return _merged(source, spans) if (source[: spans[0][0]] + between).translate(None, _SEPARATORS) else spans


def _merged(source: bytes, spans: Spans) -> Iterator[tuple[int, int]]:
    done = 0
    for start, end in spans.tolist():
        yield from _gap(source, done, start)
        yield start, end
        done = end


def _gap(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Broken records between two documents: one for each element that is no object or list."""
    while start < end:
        comma = text.find(b",", start, end)
        stop = comma if comma >= 0 else end
        kept = text[start:stop].strip(_SEPARATORS)
        if kept:
            begin = text.index(kept, start)
            yield begin, begin + len(kept)
        start = stop + 1
