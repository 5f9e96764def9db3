"""Records: some JSON documents of one file as the parsers want them, one a line, with their places in the file.

Nothing here decides what is JSON, nor where a document ends: lines and spans come from `framing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.line_ends import line_ends, survey
from lake_pipeline.convert.scanning import Scanner, Spans

MAX_RECORDS = 1 << 16
"""Records of a block at most. A block of 8 MB has fewer, unless they are tiny: then this bounds what each costs
beside its bytes (a megabyte of `1\\n` is half a million broken records)."""

WIDEST_GAP = 64
"""Bytes between two records that are handled all at once, byte by byte; more are rare."""

_NEWLINE, _SPACE = b"\n "
SPACES = b" \t\r\n"
"""What JSON takes for blank; Python's own idea of it is wider."""

_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[list(SPACES)] = True

_Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Records:
    """Some records of one file, in order.

    `lines` has one record a line, each ended by a newline; an empty line is a record that the end of the file cut
    off. `source` are the bytes as they stood in the file, `base` their offset in the (decompressed) file, `places`
    where each record stands in `source`: None where the records are its lines, of which nobody asks where one is, but
    for those that are broken.
    """

    lines: bytes
    count: int
    source: bytes
    base: int
    places: Spans | None

    @cached_property
    def spans(self) -> Spans:
        """Where each record stands in `source`."""
        return self.places if self.places is not None else _between(line_ends(self.source, self.count))

    def raw(self, index: int) -> bytes:
        """The bytes of a record as they stood in the file, without the line end."""
        start, end = self.spans[index].tolist()
        return self.source[start:end].rstrip(b"\r")

    def offset(self, index: int) -> int:
        """Where a record begins, in bytes from the start of the decompressed file."""
        return self.base + int(self.spans[index][0])


def frame_lines(source: bytes, base: int) -> Iterator[Records]:
    """The records of whole lines, block by block. `source` may lack the last newline.

    Blank lines are none. A line of several whole documents with nothing between them (`{…}{…}`, what is left
    where files were joined that had no newline at their end) is a record each.
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
        yield Records(lines=source, count=count, source=source, base=base, places=None)
        return
    spans = _solid(np.frombuffer(source, dtype=np.uint8), _between(line_ends(source, count)))
    spans = _split(source, spans) if joined else spans
    if len(spans):
        yield frame_spans(source, base, spans)


def _between(ends: _Positions) -> Spans:
    """The spans of lines, from where they end."""
    return np.stack((np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1)), ends), axis=1)


def _solid(data: npt.NDArray[np.uint8], spans: Spans) -> Spans:
    """The lines that are not blank, counted all at once: a gigabyte of blank ones must cost seconds, not hours."""
    return spans[np.add.reduceat(~_IS_SPACE[data], spans[:, 0], dtype=np.int64) > 0]


def _split(source: bytes, spans: Spans) -> Spans:
    """The spans with every line that is nothing but several documents cut into these."""
    pieces = [_documents_of(source, start, end) for start, end in spans.tolist()]
    return np.concatenate(pieces) if pieces else spans


def _documents_of(source: bytes, start: int, end: int) -> Spans:
    if source.find(b"}{", start, end) >= 0:
        line = source[start:end]
        found = Scanner().feed(line)
        is_whole = len(found) > 1 and not (line[: found[0][0]] + line[found[-1][1] :]).strip(SPACES)
        if is_whole and (found[1:, 0] == found[:-1, 1]).all():
            return found + start
    return np.array([[start, end]], dtype=np.int64)


def frame_spans(source: bytes, base: int, spans: Spans, *, is_cut: bool = False) -> Records:
    """The records at `spans`, whatever their layout. With `is_cut` the last of them is one that the file's end cut."""
    lines = _as_lines(source, spans[:-1] if is_cut else spans) + b"\n" * is_cut
    return Records(lines=lines, count=len(spans), source=source, base=base, places=spans)


def _as_lines(source: bytes, spans: Spans) -> bytes:
    if not len(spans):
        return b""
    first, last = int(spans[0][0]), int(spans[-1][1])
    # Like a line end, a return is blank between values and forbidden inside of strings.
    text = source[first:last].replace(b"\n", b"\r")
    gaps = gap_positions(spans - first)
    if gaps is None:
        return b"\n".join([text[start:end] for start, end in (spans - first).tolist()]) + b"\n"
    lines = np.frombuffer(text + b"\n", dtype=np.uint8).copy()
    lines[gaps] = _SPACE
    lines[spans[1:, 0] - first - 1] = _NEWLINE
    return lines.tobytes()


def gap_positions(spans: Spans) -> _Positions | None:
    """The position of each byte between two of `spans`; None where there is no room, or too much, between them."""
    ends, widths = spans[:-1, 1], spans[1:, 0] - spans[:-1, 1]
    if not len(widths):
        return np.empty(0, dtype=np.int64)
    if widths.min() < 1 or widths.max() > WIDEST_GAP:
        return None
    return np.concatenate([ends[widths > step] + step for step in range(int(widths.max()))])
