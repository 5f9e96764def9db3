"""Records: where one JSON document ends and the next begins, in the three layouts that raw files have.

    lines       one document a line (NDJSON); a broken line costs that line only
    documents   documents of any layout, one after the other (a pretty-printed document is the case of one)
    array       the same inside one pair of brackets

Framing looks at brackets and quotes only; whether a record is JSON is decided by who parses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]
"""Shape (records, 2): start and end of each record, in bytes from the start of its `source`."""

_ONE_LINE = bytes.maketrans(b"\n\r", b"  ")
_BLANK = b" \t\r"


@dataclass(frozen=True, kw_only=True)
class Records:
    """Some records of one file, in order.

    `lines` has one record a line, each ended by a newline. `source` are the bytes as they stood in the file,
    `base` their offset in the (decompressed) file. `framed` says that every line starts with `{` and ends with
    `}`, which native parsers need to be told: a line of theirs may otherwise swallow the next.
    """

    lines: bytes
    count: int
    source: bytes
    base: int
    framed: bool
    explicit_spans: Spans | None = None

    @cached_property
    def spans(self) -> Spans:
        """Where each record stands in `source`."""
        if self.explicit_spans is not None:
            return self.explicit_spans
        ends = np.flatnonzero(np.frombuffer(self.source, dtype=np.uint8) == 10)
        starts = np.concatenate(([0], ends[:-1] + 1))
        return np.stack((starts, ends), axis=1).astype(np.int64)

    def raw(self, index: int) -> bytes:
        """The bytes of a record as they stood in the file, without the line end."""
        start, end = self.spans[index]
        return self.source[start:end].rstrip(b"\r")

    def offset(self, index: int) -> int:
        """Where a record begins, in bytes from the start of the decompressed file."""
        return self.base + int(self.spans[index][0])


def frame_lines(source: bytes, base: int) -> Records:
    """The records of whole lines; blank lines are none. `source` may lack the last newline."""
    if not source.endswith(b"\n"):
        source += b"\n"
    newlines = source.count(b"\n")
    # Counting the joints runs at memory speed and proves that each line is one bracketed text.
    if source[:1] == b"{" and (
        (source.endswith(b"}\n") and source.count(b"}\n{") == newlines - 1)
        or (source.endswith(b"}\r\n") and source.count(b"}\r\n{") == newlines - 1)
    ):
        return Records(lines=source, count=newlines, source=source, base=base, framed=True)
    return _frame_spans(source, base, _line_spans(source))


def frame_documents(source: bytes, base: int, spans: Spans) -> Records:
    """The records at `spans`, whatever their layout."""
    return _frame_spans(source, base, spans)


def _frame_spans(source: bytes, base: int, spans: Spans) -> Records:
    lines = [source[start:end].translate(_ONE_LINE) for start, end in spans]
    framed = all(line[:1] == b"{" and line[-1:] == b"}" for line in lines)
    text = b"".join(line + b"\n" for line in lines)
    return Records(lines=text, count=len(lines), source=source, base=base, framed=framed, explicit_spans=spans)


def _line_spans(source: bytes) -> Spans:
    spans = []
    start = 0
    for line in source.split(b"\n"):
        text = line.strip(_BLANK)
        if text:
            begin = start + line.index(text[:1])
            spans.append((begin, begin + len(text)))
        start += len(line) + 1
    return np.array(spans, dtype=np.int64).reshape(-1, 2)
