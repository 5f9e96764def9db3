"""JSON documents of one file in the form that the parsers need: one per line, with their positions in the file.

Nothing here decides what is JSON or where a document ends: lines and spans come from `framing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.input.brackets import Scanner, Spans
from lake_pipeline.convert.native.call import call

MAX_RECORDS = 1 << 16
"""Maximum of records in a block. A block of 8 MB has fewer, unless they are tiny: then this bounds the cost per record
(a megabyte of `1\\n` is half a million malformed records)."""

WIDEST_GAP = 64
"""Gaps between records up to this many bytes are handled together, byte by byte; wider ones are rare."""

_NEWLINE, _SPACE = b"\n "
BOM = b"\xef\xbb\xbf"
RECORD_SEPARATOR = b"\x1e"
"""Begins each text of a JSON text sequence (RFC 7464). No valid JSON contains it."""

SPACES = b" \t\r\n"
"""What JSON defines as whitespace; Python's definition is wider."""

_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[list(SPACES)] = True

_Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Records:
    """Some records of one file, in order.

    `lines` has one record per line, each ended by a newline; an empty line is a record that the end of the file cut
    off. `source` are the bytes as they are in the file, `base` their offset in the (decompressed) file. `known_spans`
    are
    the spans of the records in `source`; None if the records are its lines, whose spans are only needed for malformed
    ones.
    """

    lines: bytes
    count: int
    source: bytes
    base: int
    known_spans: Spans | None

    @cached_property
    def spans(self) -> Spans:
        """The span of each record in `source`."""
        return self.known_spans if self.known_spans is not None else _line_spans(line_ends(self.source, self.count))

    def raw(self, index: int) -> bytes:
        """The bytes of a record as they are in the file, without the line end."""
        start, end = self.spans[index].tolist()
        return self.source[start:end].rstrip(b"\r")

    def offset(self, index: int) -> int:
        """Where a record begins, in bytes from the start of the decompressed file."""
        return self.base + int(self.spans[index][0])


def frame_lines(source: bytes, base: int) -> Iterator[Records]:
    """The records of whole lines, block by block. `source` may lack the last newline.

    Blank lines are skipped. A line of several whole documents with nothing between them (`{…}{…}`, the result of
    joining files that lack a final newline) gives one record for each.
    """
    if not source.endswith(b"\n"):
        source += b"\n"
    count, joined, blank = survey(source)
    if count <= MAX_RECORDS:
        return _lines(source, base, count, joined=joined, blank=blank)
    return _many_lines(source, base, line_ends(source, count), joined=joined, blank=blank)


def _many_lines(source: bytes, base: int, ends: _Positions, *, joined: bool, blank: bool) -> Iterator[Records]:
    for first in range(0, len(ends), MAX_RECORDS):
        last = ends[first : first + MAX_RECORDS]
        start = int(ends[first - 1]) + 1 if first else 0
        part = source[start : int(last[-1]) + 1]
        yield from _lines(part, base + start, len(last), joined=joined, blank=blank)


def _lines(source: bytes, base: int, count: int, *, joined: bool, blank: bool) -> Iterator[Records]:
    if not joined and not blank:
        yield Records(lines=source, count=count, source=source, base=base, known_spans=None)
        return
    spans = _without_blank_lines(np.frombuffer(source, dtype=np.uint8), _line_spans(line_ends(source, count)))
    spans = _split(source, spans) if joined else spans
    if len(spans):
        yield frame_spans(source, base, spans)


def _line_spans(ends: _Positions) -> Spans:
    """The spans of lines, given where they end."""
    return np.stack((np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1)), ends), axis=1)


def _without_blank_lines(data: npt.NDArray[np.uint8], spans: Spans) -> Spans:
    """The lines that are not blank, found in one operation: a gigabyte of blank ones must cost seconds, not hours."""
    return spans[np.add.reduceat(~_IS_SPACE[data], spans[:, 0], dtype=np.int64) > 0]


def _split(source: bytes, spans: Spans) -> Spans:
    """The spans, with every line that consists of several documents split into these."""
    pieces = [_documents_of(source, start, end) for start, end in spans.tolist()]
    return np.concatenate(pieces) if pieces else spans


def _documents_of(source: bytes, start: int, end: int) -> Spans:
    if source.find(b"}{", start, end) >= 0:
        line = source[start:end]
        documents = Scanner().feed(line)
        is_whole = len(documents) > 1 and not (line[: documents[0][0]] + line[documents[-1][1] :]).strip(SPACES)
        if is_whole and (documents[1:, 0] == documents[:-1, 1]).all():
            return documents + start
    return np.array([[start, end]], dtype=np.int64)


def frame_spans(source: bytes, base: int, spans: Spans, *, is_cut: bool = False) -> Records:
    """The records at `spans`, for any layout. With `is_cut` the last of them was cut off by the end of the file."""
    lines = _as_lines(source, spans[:-1] if is_cut else spans) + b"\n" * is_cut
    return Records(lines=lines, count=len(spans), source=source, base=base, known_spans=spans)


def _as_lines(source: bytes, spans: Spans) -> bytes:
    if not len(spans):
        return b""
    first, last = int(spans[0][0]), int(spans[-1][1])
    # Like a line feed, a carriage return is whitespace between values and forbidden inside strings.
    text = source[first:last].replace(b"\n", b"\r")
    gaps = gap_positions(spans - first)
    if gaps is None:
        return b"\n".join([text[start:end] for start, end in (spans - first).tolist()]) + b"\n"
    lines = np.frombuffer(text + b"\n", dtype=np.uint8).copy()
    lines[gaps] = _SPACE
    lines[spans[1:, 0] - first - 1] = _NEWLINE
    return lines.tobytes()


def gap_positions(spans: Spans) -> _Positions | None:
    """The position of each byte between two of `spans`; None if a gap is empty or too wide."""
    ends, widths = spans[:-1, 1], spans[1:, 0] - spans[:-1, 1]
    if not len(widths):
        return np.empty(0, dtype=np.int64)
    if widths.min() < 1 or widths.max() > WIDEST_GAP:
        return None
    return np.concatenate([ends[widths > step] + step for step in range(int(widths.max()))])


def survey(text: bytes | memoryview) -> tuple[int, bool, bool]:
    """(the number of newlines, whether `}{` occurs, whether a line is empty or begins with whitespace).

    One pass of machine code over vectors of 32 bytes takes a tenth of the time of numpy, which was a twentieth of a
    conversion.
    """
    data, flags = np.frombuffer(text, dtype=np.uint8), np.empty(2, dtype=np.int64)
    count = call("survey_lines", data, len(data), flags)
    return count, bool(flags[0]), bool(flags[1])


def line_ends(text: bytes, count: int) -> npt.NDArray[np.int64]:
    """The position of each of the `count` newlines."""
    data, ends = np.frombuffer(text, dtype=np.uint8), np.empty(count, dtype=np.int64)
    call("find_line_ends", data, len(data), count, ends)
    return ends
