"""Scanning: find whole documents in bytes by their brackets, without parsing them.

The scan is vectorised: quotes that are not escaped split the text into inside and outside of strings, and the
running sum of the brackets outside is the depth. The idea is that of the first stage of simdjson (Langdale and
Lemire, "Parsing Gigabytes of JSON per Second", 2019), in numpy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.records import Spans

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_BRACKET = np.zeros(256, dtype=np.int8)
_BRACKET[list(b"{[")] = 1
_BRACKET[list(b"}]")] = -1
_BETWEEN = b" \t\r\n,"

Positions = npt.NDArray[np.int64]


def scan_documents(text: bytes, *, in_array: bool, final: bool) -> tuple[Spans, int]:
    """The spans of the records in `text` in order, and how many bytes are done.

    `text` starts between two documents; with `in_array`, behind the opening bracket. What stands between
    documents and is no separator is a record too (a broken one), so that nothing goes unseen. What follows the
    last whole document is left for the next call, unless `final`: then it is a broken record, and an array that
    was never closed ends in an empty one.
    """
    spans: list[tuple[int, int]] = []
    done = 0
    for start, end in _whole_documents(text).tolist():
        spans += _gap(text, done, start, in_array)
        spans.append((start, end))
        done = end
    if final:
        spans += _gap(text, done, len(text), in_array)
        if in_array and not text[done:].rstrip().endswith(b"]"):
            spans.append((len(text), len(text)))
        done = len(text)
    return np.array(spans, dtype=np.int64).reshape(-1, 2), done


def _whole_documents(text: bytes) -> Positions:
    """Shape (documents, 2): where the outermost brackets open, and the byte behind where they close."""
    data = np.frombuffer(text, dtype=np.uint8)
    steps = _BRACKET[data]
    at = np.flatnonzero(steps)
    at = at[np.searchsorted(_quotes(text, data), at) % 2 == 0]
    step = steps[at]
    depth = np.cumsum(step, dtype=np.int64)
    # A closing bracket too many is a new minimum; measured from the minimum so far, the depth stays at zero.
    depth -= np.minimum.accumulate(np.minimum(depth, 0)) if len(depth) else 0
    before = np.concatenate((np.zeros(1, dtype=np.int64), depth[:-1]))
    starts = at[(step == 1) & (depth == 1)]
    ends = at[(step == -1) & (depth == 0) & (before == 1)] + 1
    return np.stack((starts[: len(ends)], ends), axis=1)


def _quotes(text: bytes, data: npt.NDArray[np.uint8]) -> Positions:
    """Where strings begin and end: the quotes that no backslash escapes."""
    quotes = np.flatnonzero(data == _QUOTE)
    if b"\\" not in text:
        return quotes
    slashes = np.flatnonzero(data == _BACKSLASH)
    index = np.arange(len(slashes))
    opens_run = np.concatenate(([True], np.diff(slashes) != 1))
    in_run = index - np.maximum.accumulate(np.where(opens_run, index, 0))
    escaped = np.zeros(len(data) + 1, dtype=bool)
    escaped[slashes[in_run % 2 == 0] + 1] = True
    return quotes[~escaped[quotes]]


def _gap(text: bytes, start: int, end: int, in_array: bool) -> list[tuple[int, int]]:
    """Broken records between two documents; in an array, one for each element that is no object or list."""
    found = []
    for piece in text[start:end].split(b",") if in_array else [text[start:end]]:
        kept = piece.strip(_BETWEEN + b"]") if in_array else piece.strip(_BETWEEN)
        if kept:
            begin = start + piece.index(kept)
            found.append((begin, begin + len(kept)))
        start += len(piece) + 1
    return found
