"""Output: gather rows by partition and quarantined records, and write both as pending Parquet objects.

Memory is bounded: when the gathered rows exceed the budget, the largest partitions are written as row groups of
parts that stay open. Nothing here is visible to readers; the manifest decides about that later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.convert.blocks import GrowingContract, PlacedRows, QuarantinedRecord
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.manifest import CuratedPart, PendingObject, QuarantinePart
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.objects import ObjectStore, PendingWriter
from lake_pipeline.storage.zones import curated_key, quarantine_key

ROW_GROUP_ROWS = 128 * 1024
"""Rows of a row group: readers that shuffle or prune work at this grain."""

ROW_GROUP_BYTES = 64 << 20
"""Memory of one row group at most, for records so wide that fewer rows fill it."""

OPEN_PARTS = 64
"""Parts open at a time, each a file handle or an upload; with more partitions the oldest is closed."""

QUARANTINE_BYTES = 16 << 20
"""Raw bytes of quarantined records gathered before they are written."""

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("s3_key", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("_file_id", pa.int64(), nullable=False),
        pa.field("_batch_id", pa.string(), nullable=False),
    ]
)
"""Of each quarantined record: file, index and byte offset in it, reason code, sentence, and the bytes themselves."""


@dataclass(kw_only=True)
class _Gathered:
    """Rows of one partition that are not written yet."""

    tables: list[pa.Table] = field(default_factory=list)
    size: int = 0


class ParquetObject:
    """A Parquet file being written to a pending object, row group by row group."""

    def __init__(self, store: ObjectStore, key: str, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._pending: PendingWriter = store.put_pending(key)
        self._sink = _Sink(self._pending)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"), schema, compression="zstd", write_page_index=True
        )

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
        self.rows += table.num_rows

    def finish(self) -> PendingObject:
        self._writer.close()
        return self._pending.finish()

    def discard(self) -> None:
        self._sink.deaf = True
        self._writer.close()
        self._pending.discard()


class _Sink:
    """What pyarrow needs of a file object, over a pending writer. Deaf once the object is given up."""

    closed = False

    def __init__(self, writer: PendingWriter) -> None:
        self._writer = writer
        self.deaf = False

    def write(self, data: bytes) -> int:
        return len(data) if self.deaf else self._writer.write(data)

    def flush(self) -> None:
        """The pending writer flushes when it is finished."""

    def close(self) -> None:
        """Finishing or discarding is the owner's decision, not pyarrow's."""


@dataclass(kw_only=True)
class _OpenPart:
    """A part that still takes row groups, and the rows that each file gave it so far."""

    object: ParquetObject
    rows_by_file: Counter[int] = field(default_factory=Counter)
    size: int = 0


class Output:
    """The pending objects of a batch, or of one large file of it. Not thread-safe."""

    def __init__(
        self,
        store: ObjectStore,
        batch_id: str,
        contract: GrowingContract,
        options: ConversionOptions,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._store = store
        self._batch_id = batch_id
        self._contract = contract
        self._options = options
        self._numbers = numbers or count()
        self._gathered: dict[PartitionKey, _Gathered] = {}
        self._size = 0
        self._open: dict[PartitionKey, _OpenPart] = {}
        self._curated: list[CuratedPart] = []
        self._quarantine: list[QuarantinePart] = []
        self._records: list[QuarantinedRecord] = []
        self._records_size = 0

    def add(self, rows: list[PlacedRows], quarantined: list[QuarantinedRecord]) -> None:
        """Gather what a block gave. Raises `StorageUnavailable` where it can't be written."""
        for placed in rows:
            gathered = self._gathered.setdefault(placed.partition, _Gathered())
            gathered.tables.append(placed.table)
            gathered.size += placed.table.nbytes
            self._size += placed.table.nbytes
        self._records += quarantined
        self._records_size += sum(len(record.raw) for record in quarantined)
        if self._records_size > QUARANTINE_BYTES:
            self._write_quarantine()
        if self._size > self._options.memory_bytes:
            self._write_largest()

    def finish(self) -> tuple[tuple[CuratedPart, ...], tuple[QuarantinePart, ...]]:
        """Write what is left and complete every part."""
        for partition in sorted(self._gathered):
            self._write(partition)
            self._close(partition)
        for partition in list(self._open):
            self._close(partition)
        if self._records:
            self._write_quarantine()
        return tuple(self._curated), tuple(self._quarantine)

    def discard(self) -> None:
        """Forget every pending object written so far."""
        for part in self._open.values():
            part.object.discard()
        for written in [part.object for part in self._curated] + [part.object for part in self._quarantine]:
            self._store.abort(written)
        self._open, self._curated, self._quarantine = {}, [], []
        self._gathered, self._records, self._size = {}, [], 0

    def _write_largest(self) -> None:
        """Write partitions, the largest first, until half of the budget is free again."""
        by_size = sorted(self._gathered, key=lambda partition: self._gathered[partition].size, reverse=True)
        for partition in by_size:
            if self._size <= self._options.memory_bytes // 2:
                return
            self._write(partition)

    def _write(self, partition: PartitionKey) -> None:
        gathered = self._gathered.pop(partition)
        self._size -= gathered.size
        schema = self._contract.current.arrow_schema()
        table = pa.concat_tables([_conformed(table, schema) for table in gathered.tables])
        part = self._part(partition, schema)
        for group in _row_groups(table):
            part.object.write(group)
        files, rows = np.unique(table.column("_file_id").to_numpy(), return_counts=True)
        part.rows_by_file.update(dict(zip(files.tolist(), rows.tolist(), strict=True)))
        part.size += gathered.size
        if part.size >= self._options.part_bytes:
            self._close(partition)

    def _part(self, partition: PartitionKey, schema: pa.Schema) -> _OpenPart:
        """The open part of a partition; a new one where the contract has grown since it was opened."""
        part = self._open.get(partition)
        if part is not None and part.object.schema is schema:
            return part
        if part is not None:
            self._close(partition)
        if len(self._open) >= OPEN_PARTS:
            self._close(next(iter(self._open)))
        key = curated_key(partition, f"part-{self._batch_id}-{next(self._numbers):05d}.parquet")
        self._open[partition] = _OpenPart(object=ParquetObject(self._store, key, schema))
        return self._open[partition]

    def _close(self, partition: PartitionKey) -> None:
        part = self._open.pop(partition, None)
        if part is not None:
            self._curated.append(
                CuratedPart(
                    object=part.object.finish(),
                    partition=partition,
                    rows=part.object.rows,
                    rows_by_file=dict(part.rows_by_file),
                )
            )

    def _write_quarantine(self) -> None:
        key = quarantine_key(self._batch_id, f"records-{next(self._numbers):05d}.parquet")
        parquet = ParquetObject(self._store, key, QUARANTINE_SCHEMA)
        parquet.write(
            pa.Table.from_pylist([self._quarantine_row(record) for record in self._records], QUARANTINE_SCHEMA)
        )
        self._quarantine.append(QuarantinePart(object=parquet.finish(), rows=parquet.rows))
        self._records, self._records_size = [], 0

    def _quarantine_row(self, record: QuarantinedRecord) -> dict[str, object]:
        return {
            "s3_key": record.file.key,
            "record": record.record,
            "offset": record.offset,
            "reason": record.reason,
            "detail": record.detail,
            "raw": record.raw,
            "_file_id": record.file.file_id,
            "_batch_id": self._batch_id,
        }


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows with exactly the columns of `schema`; those the rows were parsed without are null."""
    columns = []
    for wanted in schema:
        position = table.schema.get_field_index(wanted.name)
        if position < 0:
            columns.append(pa.nulls(table.num_rows, wanted.type))
        else:
            column = table.column(position)
            columns.append(column if column.type == wanted.type else column.cast(wanted.type))
    return pa.table(columns, schema=schema)


def _row_groups(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of at most `ROW_GROUP_BYTES`, so that wide rows do not make huge row groups."""
    rows = max(1, int(table.num_rows * ROW_GROUP_BYTES / max(table.nbytes, 1)))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)
