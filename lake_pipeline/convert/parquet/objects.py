"""Parquet files as pending objects: row groups are encoded and written into a store as they come.

Memory is bounded by one row group: its pages are handed on in pieces, and only what the footer tells is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from lake_pipeline.convert.parquet.columns import chunks_of
from lake_pipeline.convert.parquet.footer import MAGIC, WrittenGroup, footer, written
from lake_pipeline.convert.parquet.schema import tree_of
from lake_pipeline.convert.parquet.scratch import scratch
from lake_pipeline.convert.parquet.spans import Slices, Span, row_groups
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.objects import ObjectStore, PendingWriter

ROW_GROUP_ROWS = 128 * 1024
"""Rows of a row group at most: readers that shuffle or prune work at this grain."""

SINK_BYTES = 1 << 20
"""Gathered before a store is called."""


class ParquetObject:
    """A Parquet file being written to a pending object, row group by row group.

    Raises `UnknownType` where the schema has a column that is not written here.
    """

    def __init__(self, store: ObjectStore, key: str, schema: pa.Schema) -> None:
        self.rows = 0
        self._tree = tree_of(schema)
        self._groups: list[WrittenGroup] = []
        self._pending: PendingWriter = store.put_pending(key)
        self._pieces: list[bytes] = []
        self._held = 0
        self._offset = 0
        self._put([MAGIC])

    def write(self, rows: Iterable[Span], group_rows: int = ROW_GROUP_ROWS) -> None:
        """Add rows, all of the file's schema, in row groups of `group_rows` at most, or fewer.

        Raises `StorageUnavailable`.
        """
        for group in row_groups(rows, min(group_rows, ROW_GROUP_ROWS)):
            self._write_group(group)

    def finish(self) -> PendingObject:
        """Complete the file. Raises `StorageUnavailable`."""
        self._put(footer(self._tree, self._groups, self._offset))
        self._flush()
        return self._pending.finish()

    def discard(self) -> None:
        """Forget it."""
        self._pieces = []
        self._pending.discard()

    def _write_group(self, rows: Sequence[Span]) -> None:
        slices, memory = Slices(rows), scratch()
        start, chunks = self._offset, []
        for chunk in chunks_of(self._tree, slices, memory):
            pieces, stands = written(chunk, self._offset)
            self._put(pieces)
            chunks.append(stands)
        memory.trim()
        self._groups.append(WrittenGroup(rows=slices.rows, offset=start, chunks=chunks))
        self.rows += slices.rows

    def _put(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._pieces.append(piece)
            self._held += len(piece)
            self._offset += len(piece)
        if self._held >= SINK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._pending.write(b"".join(self._pieces))
        self._pieces, self._held = [], 0
