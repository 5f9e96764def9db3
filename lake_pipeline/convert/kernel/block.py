"""The records of a block: segments of one or several files as one text, addressed by position.

It knows where records are and which file they come from. Parsing them belongs to `blocks`.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lake_pipeline.convert.block_values import Counts, QuarantinedRecord, Segment
from lake_pipeline.convert.input.records import line_ends
from lake_pipeline.convert.parse.decode import Decoder
from lake_pipeline.convert.partition.assign import KeyDefaults

Index = npt.NDArray[np.int64]


class Block:
    """The segments of a block as one, addressed by the position of a record in the whole."""

    def __init__(self, segments: list[Segment], key_defaults: list[KeyDefaults], decoder: Decoder | None) -> None:
        self.key_defaults = key_defaults
        self._segments = segments
        lines = b"".join(segment.records.lines for segment in segments)
        self.lines = lines if decoder is None else decoder.lines(lines)
        sizes = np.array([segment.records.count for segment in segments], dtype=np.int64)
        self.count = int(sizes.sum())
        self.starts = np.cumsum(sizes) - sizes
        self.firsts = np.array([segment.first for segment in segments], dtype=np.int64)
        self.file_ids = np.array([segment.file.file_id for segment in segments], dtype=np.int64)

    @cached_property
    def _edges(self) -> Index:
        return np.concatenate((np.zeros(1, dtype=np.int64), line_ends(self.lines, self.count) + 1))

    def counts(self) -> dict[int, Counts]:
        counts: dict[int, Counts] = {}
        for segment in self._segments:
            counts.setdefault(segment.file.file_id, Counts()).read += segment.records.count
        return counts

    def lines_at(self, positions: Index) -> bytes:
        """The lines of the records at `positions`, which are sorted."""
        if len(positions) == self.count:
            return self.lines
        edges = self._edges
        if positions[-1] - positions[0] + 1 == len(positions):
            return self.lines[edges[positions[0]] : edges[positions[-1] + 1]]
        return b"".join([self.lines[edges[position] : edges[position + 1]] for position in positions.tolist()])

    def without(self, file_ids: set[int]) -> list[Segment]:
        """The segments of all other files."""
        return [segment for segment in self._segments if segment.file.file_id not in file_ids]

    def segment_of(self, positions: Index) -> npt.NDArray[np.int32]:
        """The index of the segment that each record belongs to."""
        return (np.searchsorted(self.starts, positions, side="right") - 1).astype(np.int32)

    def quarantined(self, position: int, reason: str, detail: str) -> QuarantinedRecord:
        index = bisect_right(self.starts, position) - 1
        segment, inside = self._segments[index], position - int(self.starts[index])
        return QuarantinedRecord(
            file=segment.file,
            record=segment.first + inside,
            offset=segment.records.offset(inside),
            reason=reason,
            detail=detail,
            raw=segment.records.raw(inside),
        )
