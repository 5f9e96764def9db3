"""Parquet files as pending objects: row groups are encoded and written to a store as they arrive.

Memory is bounded by one row group: pages are passed on in pieces, and only the content of the footer is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from lake_pipeline.convert.parquet.buffers import thread_buffers
from lake_pipeline.convert.parquet.columns import chunks_of
from lake_pipeline.convert.parquet.footer import MAGIC, WrittenGroup, footer, written
from lake_pipeline.convert.parquet.schema import tree_of
from lake_pipeline.convert.parquet.spans import Slices, Span, row_groups
from lake_pipeline.model.manifest import PendingObject
from lake_pipeline.storage.object_store import ObjectStore, PendingWriter

ROW_GROUP_ROWS = 128 * 1024
"""The most rows of a row group, which is the unit that readers shuffle and prune."""

SINK_BYTES = 1 << 20
"""Bytes that are collected before the store is called."""


class ParquetObject:
    """A Parquet file that is being written to a pending object, row group by row group.

    Raises `UnknownType` if the schema has a column of an unknown type.
    """

    def __init__(self, store: ObjectStore, key: str, schema: pa.Schema) -> None:
        self.rows = 0
        self._tree = tree_of(schema)
        self._groups: list[WrittenGroup] = []
        self._pending: PendingWriter = store.put_pending(key)
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._offset = 0
        self._put([MAGIC])

    @property
    def chunks(self) -> int:
        """The column chunks so far, whose descriptions are kept for the footer."""
        return len(self._groups) * len(self._tree.leaves)

    def write(self, rows: Iterable[Span], group_rows: int = ROW_GROUP_ROWS) -> None:
        """Add rows of the file's schema, in row groups of at most `group_rows`.

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
        """Abort the file."""
        self._pieces = []
        self._pending.discard()

    def _write_group(self, rows: Sequence[Span]) -> None:
        slices, buffers = Slices(rows), thread_buffers()
        start, chunks = self._offset, []
        for chunk in chunks_of(self._tree, slices, buffers):
            pieces, description = written(chunk, self._offset)
            self._put(pieces)
            chunks.append(description)
        buffers.trim()
        self._groups.append(WrittenGroup(rows=slices.rows, offset=start, chunks=chunks))
        self.rows += slices.rows

    def _put(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._pieces.append(piece)
            self._buffered += len(piece)
            self._offset += len(piece)
        if self._buffered >= SINK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._buffered:
            self._pending.write(b"".join(self._pieces))
        self._pieces, self._buffered = [], 0
