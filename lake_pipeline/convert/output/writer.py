"""Gather rows by partition and quarantined records, and write both as pending Parquet objects.

Memory is bounded: if the gathered rows exceed the budget, the largest partitions are written as row groups of parts
that stay open. Nothing here is visible to readers; that is decided by the manifest later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.convert.block_values import PartitionRows, QuarantinedRecord
from lake_pipeline.convert.parquet import Batch, DenseBatch, ParquetObject, Span, SparseBatch, spans_of, sparse_copy
from lake_pipeline.convert.parse.tolerant import EvolvingContract
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.manifest import CuratedPart, QuarantinePart
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.object_store import ObjectStore
from lake_pipeline.storage.zones import curated_key, quarantine_key

ROW_GROUP_BYTES = 64 << 20
"""Maximum memory of one row group, for records so wide that fewer rows fill it."""

FINISHERS = 4
"""Parts that are completed at the same time, in addition to those being encoded. A worker that waits for the disk
leaves a core idle, which took a twentieth of the time."""

OPEN_PARTS = 64
"""Parts that stay open for more row groups, each a file handle or an upload. If there are more partitions, each write
is a file of its own."""

OPEN_CHUNKS = 100_000
"""Column chunks of all open parts. Each leaves up to a kilobyte for the footer, and a row group of a wide contract has
2,000."""

QUARANTINE_BYTES = 64 << 20
"""Memory of quarantined records gathered before they are written."""

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
"""For each quarantined record: file, index and byte offset in it, reason code, sentence, and raw bytes."""


@dataclass(kw_only=True)
class _Gathered:
    """Rows of one partition that are not written yet."""

    spans: list[Span] = field(default_factory=list)
    size: int = 0


@dataclass(kw_only=True)
class _OpenPart:
    """A part that still takes row groups, and its rows so far by file."""

    schema: pa.Schema
    object: ParquetObject
    rows_by_file: Counter[int] = field(default_factory=Counter)
    size: int = 0


def finisher_threads() -> ThreadPoolExecutor:
    """The threads that complete the parts of outputs."""
    return ThreadPoolExecutor(FINISHERS, thread_name_prefix="finish")


def object_names(shard: str) -> Iterator[str]:
    """Unique names for the objects of one shard of a batch (an empty string if it is not sharded)."""
    # Not a generator: threads take names concurrently, and a generator that is entered twice raises.
    return map(f"{shard}-{{:05d}}".format if shard else "{:05d}".format, count())


class Output:
    """The pending objects of a batch, or of one large file of it. Not thread-safe."""

    def __init__(
        self,
        store: ObjectStore,
        batch_id: str,
        contract: EvolvingContract,
        options: ConversionOptions,
        pool: Executor,
        finishers: Executor,
        names: Iterator[str],
    ) -> None:
        self._store = store
        self._batch_id = batch_id
        self._contract = contract
        self._options = options
        self._pool = pool
        self._finishers = finishers
        self._names = names
        self._gathered: dict[PartitionKey, _Gathered] = {}
        self._size = 0
        self._open: dict[PartitionKey, _OpenPart] = {}
        self._writing: list[Future[None]] = []
        self._finishing: list[tuple[Future[None], _OpenPart]] = []
        self._curated: list[CuratedPart] = []
        self._quarantine: list[QuarantinePart] = []
        self._records: list[QuarantinedRecord] = []
        self._records_size = 0

    def add(self, rows: list[PartitionRows], quarantined: list[QuarantinedRecord]) -> None:
        """Gather the result of a block. Raises `StorageUnavailable` if it can't be written."""
        for partition_rows in rows:
            gathered = self._gathered.setdefault(partition_rows.partition, _Gathered())
            gathered.spans.append(partition_rows.span)
            gathered.size += partition_rows.size
            self._size += partition_rows.size
        self._records += quarantined
        self._records_size += sum(record.size for record in quarantined)
        if self._records_size > QUARANTINE_BYTES:
            self._write_quarantine()
        if self._size > self._options.memory_bytes:
            self._write_largest()

    def finish(self) -> tuple[tuple[CuratedPart, ...], tuple[QuarantinePart, ...]]:
        """Write the rest and complete every part."""
        self._write_all(sorted(self._gathered), keep_open=False)
        self._await_writes()
        for partition in list(self._open):
            self._close(partition)
        self._await_writes()
        if self._records:
            self._write_quarantine()
        return tuple(sorted(self._curated, key=lambda part: part.object.key)), tuple(self._quarantine)

    def discard(self) -> None:
        """Discard every pending object written so far."""
        for future in self._writing:
            future.cancel()
        wait(self._writing)
        for future, part in self._finishing:
            if future.cancel() or future.exception() is not None:
                part.object.discard()
        for part in self._open.values():
            part.object.discard()
        for written in [part.object for part in self._curated] + [part.object for part in self._quarantine]:
            self._store.abort(written)
        self._open, self._curated, self._quarantine = {}, [], []
        self._gathered, self._records, self._size = {}, [], 0
        self._writing, self._finishing = [], []

    def _write_largest(self) -> None:
        """Write partitions, the largest first, until half of the budget is free again."""
        chosen, freed = [], 0
        for partition in sorted(self._gathered, key=lambda partition: self._gathered[partition].size, reverse=True):
            if self._size - freed <= self._options.memory_bytes // 2:
                break
            chosen.append(partition)
            freed += self._gathered[partition].size
        self._write_all(chosen, keep_open=len(self._gathered) <= OPEN_PARTS)
        for gathered in self._gathered.values():
            self._compact(gathered)

    def _compact(self, gathered: _Gathered) -> None:
        """Copy the remaining rows: they are slices, and one row keeps its whole block in memory (260 MB seen)."""
        schema = self._contract.current.arrow_schema()
        spans = _conformed(gathered.spans, schema)
        if any(isinstance(span.batch, SparseBatch) for span in spans):
            gathered.spans = [Span(sparse_copy(spans, schema), 0, sum(span.count for span in spans))]
            return
        gathered.spans = spans_of([pa.Table.from_batches([span.arrow() for span in spans]).combine_chunks()])

    def _write_all(self, partitions: list[PartitionKey], *, keep_open: bool) -> None:
        """Write the gathered rows of some partitions in parallel, each as a file of its own.

        This continues while the next blocks are converted. Workers take it up before those, so that memory is bounded.
        """
        if not partitions:
            return
        self._await_writes()
        self._bound_footers()
        schema = self._contract.current.arrow_schema()
        for partition in partitions:
            gathered = self._gathered.pop(partition)
            self._writing.append(self._pool.submit(self._write, partition, gathered, schema, keep_open))
        self._size = sum(gathered.size for gathered in self._gathered.values())

    def _bound_footers(self) -> None:
        """Complete the open parts if what they keep for their footers is too much."""
        if sum(part.object.chunks for part in self._open.values()) > OPEN_CHUNKS:
            for partition in list(self._open):
                self._close(partition)

    def _await_writes(self) -> None:
        """Wait for all writes, then raise the first error, so that nothing is written later."""
        writing, self._writing = self._writing, []
        wait(writing)
        for future in writing:
            future.result()
        wait([future for future, _ in self._finishing])
        for future, _ in self._finishing:
            future.result()
        self._finishing = []

    def _write(self, partition: PartitionKey, gathered: _Gathered, schema: pa.Schema, keep_open: bool) -> None:
        spans = _conformed(gathered.spans, schema)
        gathered.spans = []
        part = self._part(partition, schema)
        rows = sum(span.count for span in spans)
        # About `ROW_GROUP_BYTES` per row group, so that wide rows do not make huge ones.
        part.object.write(spans, group_rows=max(1, int(rows * ROW_GROUP_BYTES / max(gathered.size, 1))))
        part.rows_by_file.update(_rows_by_file(spans))
        part.size += gathered.size
        if not keep_open or part.size >= self._options.part_bytes:
            self._close(partition)

    def _part(self, partition: PartitionKey, schema: pa.Schema) -> _OpenPart:
        """The open part of a partition; a new one if the contract has evolved since it was opened."""
        part = self._open.get(partition)
        if part is not None and part.schema is not schema:
            self._close(partition)
            part = None
        if part is None:
            key = curated_key(partition, f"part-{self._batch_id}-{next(self._names)}.parquet")
            part = _OpenPart(schema=schema, object=ParquetObject(self._store, key, schema))
            self._open[partition] = part
        return part

    def _close(self, partition: PartitionKey) -> None:
        """Complete the open part of a partition in a finisher thread: it mostly waits for a disk or for requests."""
        part = self._open.pop(partition)
        self._finishing.append((self._finishers.submit(self._finish, partition, part), part))

    def _finish(self, partition: PartitionKey, part: _OpenPart) -> None:
        self._curated.append(
            CuratedPart(
                object=part.object.finish(),
                partition=partition,
                rows=part.object.rows,
                rows_by_file=dict(part.rows_by_file),
            )
        )

    def _write_quarantine(self) -> None:
        key = quarantine_key(self._batch_id, f"records-{next(self._names)}.parquet")
        table = pa.Table.from_pylist([self._quarantine_row(record) for record in self._records], QUARANTINE_SCHEMA)
        parquet = ParquetObject(self._store, key, table.schema)
        parquet.write(spans_of([table]))
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


def _rows_by_file(spans: list[Span]) -> dict[int, int]:
    file_ids = np.concatenate([_file_ids(span) for span in spans])
    files, counts = np.unique(file_ids, return_counts=True)
    return dict(zip(files.tolist(), counts.tolist(), strict=True))


def _file_ids(span: Span) -> npt.NDArray[np.int64]:
    file_ids: npt.NDArray[np.int64] = span.batch.column("_file_id").to_numpy()
    return file_ids[span.start : span.start + span.count]


def _conformed(spans: list[Span], schema: pa.Schema) -> list[Span]:
    """The same rows with exactly the columns of `schema`; columns that the rows lack are null."""
    conformed: dict[int, Batch] = {}
    return [_conformed_span(span, schema, conformed) for span in spans]


def _conformed_span(span: Span, schema: pa.Schema, conformed: dict[int, Batch]) -> Span:
    """One of the spans. `conformed` has the sparse batches so far by address: many spans share one."""
    if span.batch.schema.equals(schema):
        return span
    if isinstance(span.batch, SparseBatch):
        batch = conformed.get(span.batch.address) or span.batch.conformed(schema)
        if batch is not None:
            conformed[span.batch.address] = batch
            return Span(batch, span.start, span.count)
    return Span(DenseBatch(_widened(span.arrow(), schema)), 0, span.count)


def _widened(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for target in schema:
        position = rows.schema.get_field_index(target.name)
        if position < 0:
            columns.append(pa.nulls(rows.num_rows, target.type))
        else:
            column = rows.column(position)
            # Integers that a double can't hold are cast only in a pass that is repeated from the start.
            columns.append(column if column.type == target.type else column.cast(target.type, safe=False))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
