"""Find whole documents in a stream of bytes by their brackets, without parsing them.

The scan is vectorized: unescaped quotes split the text into inside and outside of strings, and the running sum of the
brackets outside is the depth. The idea is that of the first stage of simdjson (Langdale and Lemire, "Parsing Gigabytes
of JSON per Second", 2019), in numpy. Each byte is read once, however long a document is, and memory does not grow with
its depth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]
"""Shape (documents, 2): start and end of each, in bytes."""

_Positions = npt.NDArray[np.int64]
_QUOTE, _BACKSLASH, _LIST = ord('"'), ord("\\"), ord("[")
_OPEN, _CLOSE = ord("{"), ord("}")
_LOWER = 0x20
"""With this bit set, `[` is `{` and `]` is `}`."""

STEP_BYTES = 256 << 10
"""Bytes scanned in one step: they stay in the cache, and a text of nothing but brackets takes 20 MB at most."""

_NONE = np.empty((0, 2), dtype=np.int64)


class Scanner:
    """Finds documents in a text that is fed piece by piece.

    A document is what an outermost bracket encloses. If that bracket opens an array, each object or list in it is a
    document instead. `start` is where the open document begins, `in_array` whether the outermost open bracket is an
    array's.
    """

    def __init__(self) -> None:
        self.start: int | None = None
        self._array = False
        self._depth = 0
        self._in_string = 0
        self._escaped = False
        self._position = 0

    @property
    def in_array(self) -> bool:
        return self._array and self._depth > 0

    def feed(self, text: bytes) -> Spans:
        """The documents that end in `text`, as offsets from the first byte ever fed."""
        documents = [self._step(text[at : at + STEP_BYTES]) for at in range(0, len(text), STEP_BYTES)]
        return documents[0] if len(documents) == 1 else np.concatenate(documents or [_NONE])

    def _step(self, text: bytes) -> Spans:
        data = np.frombuffer(text, dtype=np.uint8)
        position, self._position = self._position, self._position + len(text)
        folded = data | _LOWER
        at = np.flatnonzero((folded == _OPEN) | (folded == _CLOSE))
        quotes = self._quotes(text, data)
        at = at[(np.searchsorted(quotes, at) + self._in_string) % 2 == 0]
        self._in_string = (self._in_string + len(quotes)) % 2
        return self._documents(data[at], at + position) if len(at) else _NONE

    def _documents(self, brackets: npt.NDArray[np.uint8], at: _Positions) -> Spans:
        """The documents that end at one of `brackets` (all brackets of a step that are outside of strings)."""
        opens = (brackets | _LOWER) == _OPEN
        depth = self._depth + np.cumsum(np.where(opens, 1, -1))
        # A closing bracket too many is a new minimum; measured from the minimum so far, the depth stays at zero.
        depth -= np.minimum(np.minimum.accumulate(depth), 0)
        before = np.concatenate((np.array([self._depth]), depth[:-1]))
        outermost = np.maximum.accumulate(np.where(opens & (depth == 1), np.arange(len(at)), -1))
        between = np.where(outermost < 0, self._array, brackets[outermost] == _LIST).astype(np.int64)
        starts = at[opens & (depth == between + 1)]
        ends = at[~opens & (depth == between) & (before == between + 1)] + 1
        if self.start is not None:
            starts = np.concatenate((np.array([self.start]), starts))
        self._depth, self._array = int(depth[-1]), bool(between[-1])
        self.start = int(starts[-1]) if len(starts) > len(ends) else None
        return np.stack((starts[: len(ends)], ends), axis=1)

    def _quotes(self, text: bytes, data: npt.NDArray[np.uint8]) -> _Positions:
        """The unescaped quotes: where strings begin and end."""
        quotes = np.flatnonzero(data == _QUOTE)
        if not self._escaped and b"\\" not in text:
            return quotes
        slashes = np.flatnonzero(data == _BACKSLASH)
        if self._escaped:
            slashes = np.concatenate((np.array([-1]), slashes))
        index = np.arange(len(slashes))
        opens_run = np.concatenate((np.array([True]), np.diff(slashes) != 1))
        in_run = index - np.maximum.accumulate(np.where(opens_run, index, 0))
        escaping = slashes[in_run % 2 == 0]
        self._escaped = bool(len(escaping)) and int(escaping[-1]) == len(data) - 1
        escaped = np.zeros(len(data) + 1, dtype=bool)
        escaped[escaping + 1] = True
        return quotes[~escaped[quotes]]
