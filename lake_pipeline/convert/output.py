"""Output: gather rows by partition and quarantined records, and write both as pending Parquet objects.

Memory is bounded: when the gathered rows exceed the budget, the largest partitions are written as row groups of
parts that stay open. Nothing here is visible to readers; the manifest decides about that later.
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

from lake_pipeline.convert.blocks import PlacedRows, QuarantinedRecord
from lake_pipeline.convert.growing import GrowingContract
from lake_pipeline.convert.parquet import Batch, ParquetObject, Span, spans_of
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.manifest import CuratedPart, QuarantinePart
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.storage.objects import ObjectStore
from lake_pipeline.storage.zones import curated_key, quarantine_key

ROW_GROUP_BYTES = 64 << 20
"""Memory of one row group at most, for records so wide that fewer rows fill it."""

FINISHERS = 4
"""Parts that are completed at a time, beside those that are encoded: a worker that waits for the disk leaves a core
idle, which took a twentieth of the time."""

OPEN_PARTS = 64
"""Parts that stay open for more row groups, each a file handle or an upload; with more partitions than this, what is
written of one is a file."""

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
"""Of each quarantined record: file, index and byte offset in it, reason code, sentence, and the bytes themselves."""


@dataclass(kw_only=True)
class _Gathered:
    """Rows of one partition that are not written yet."""

    spans: list[Span] = field(default_factory=list)
    size: int = 0


@dataclass(kw_only=True)
class _OpenPart:
    """A part that still takes row groups, and the rows that each file gave it so far."""

    schema: pa.Schema
    object: ParquetObject
    rows_by_file: Counter[int] = field(default_factory=Counter)
    size: int = 0


def finishing() -> ThreadPoolExecutor:
    """The threads that complete the parts of outputs."""
    return ThreadPoolExecutor(FINISHERS, thread_name_prefix="finish")


def object_names(share: str) -> Iterator[str]:
    """The names of the objects of one share of a batch (empty where it is not shared): no two are alike."""
    # Not a generator: threads take names at the same time, and a generator that is entered twice raises.
    return map(f"{share}-{{:05d}}".format if share else "{:05d}".format, count())


class Output:
    """The pending objects of a batch, or of one large file of it. Not thread-safe."""

    def __init__(
        self,
        store: ObjectStore,
        batch_id: str,
        contract: GrowingContract,
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

    def add(self, rows: list[PlacedRows], quarantined: list[QuarantinedRecord]) -> None:
        """Gather what a block gave. Raises `StorageUnavailable` where it can't be written."""
        for placed in rows:
            gathered = self._gathered.setdefault(placed.partition, _Gathered())
            gathered.spans.append(placed.span)
            gathered.size += placed.size
            self._size += placed.size
        self._records += quarantined
        self._records_size += sum(record.size for record in quarantined)
        if self._records_size > QUARANTINE_BYTES:
            self._write_quarantine()
        if self._size > self._options.memory_bytes:
            self._write_largest()

    def finish(self) -> tuple[tuple[CuratedPart, ...], tuple[QuarantinePart, ...]]:
        """Write what is left and complete every part."""
        self._write_all(sorted(self._gathered), keep_open=False)
        self._await_writes()
        for partition in list(self._open):
            self._close(partition)
        self._await_writes()
        if self._records:
            self._write_quarantine()
        return tuple(sorted(self._curated, key=lambda part: part.object.key)), tuple(self._quarantine)

    def discard(self) -> None:
        """Forget every pending object written so far."""
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
        """Copy what stays: rows stand in their block, and one row keeps all of it in memory (260 MB seen)."""
        schema = self._contract.current.arrow_schema()
        rows = pa.Table.from_batches([span.arrow() for span in _conformed(gathered.spans, schema)])
        gathered.spans = spans_of([rows.combine_chunks()])

    def _write_all(self, partitions: list[PartitionKey], *, keep_open: bool) -> None:
        """Have what was gathered of some partitions written, side by side: each is a file of its own.

        It goes on while the next blocks are converted; a worker takes it up before those, so that memory is bounded.
        """
        if not partitions:
            return
        self._await_writes()
        schema = self._contract.current.arrow_schema()
        for partition in partitions:
            gathered = self._gathered.pop(partition)
            self._writing.append(self._pool.submit(self._write, partition, gathered, schema, keep_open))
        self._size = sum(gathered.size for gathered in self._gathered.values())

    def _await_writes(self) -> None:
        """Raises the first error when all have ended, so that nothing is written later."""
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
        # About `ROW_GROUP_BYTES` a row group, so that wide rows do not make huge ones.
        part.object.write(spans, group_rows=max(1, int(rows * ROW_GROUP_BYTES / max(gathered.size, 1))))
        part.rows_by_file.update(_rows_by_file(spans))
        part.size += gathered.size
        if not keep_open or part.size >= self._options.part_bytes:
            self._close(partition)

    def _part(self, partition: PartitionKey, schema: pa.Schema) -> _OpenPart:
        """The open part of a partition; a new one where the contract has grown since it was opened."""
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
        """Have the open part of a partition completed, which is waiting and no work: for a disk, or for requests."""
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
    found: npt.NDArray[np.int64] = span.batch.arrow.column("_file_id").to_numpy()
    return found[span.start : span.start + span.count]


def _conformed(spans: list[Span], schema: pa.Schema) -> list[Span]:
    """The same rows with exactly the columns of `schema`; those the rows were parsed without are null."""
    return [
        span if span.batch.arrow.schema.equals(schema) else Span(Batch(_widened(span.arrow(), schema)), 0, span.count)
        for span in spans
    ]


def _widened(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for wanted in schema:
        position = rows.schema.get_field_index(wanted.name)
        if position < 0:
            columns.append(pa.nulls(rows.num_rows, wanted.type))
        else:
            column = rows.column(position)
            # Integers that a double can't hold are cast only in a conversion that is done again from the start.
            columns.append(column if column.type == wanted.type else column.cast(wanted.type, safe=False))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
