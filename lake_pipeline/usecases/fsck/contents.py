"""The content of the published files: the rows of each raw file, and whether each record is there exactly once.

Only the two columns of provenance are read. For each raw file it counts the records and computes a checksum of their
indexes. Over all files these must add up to what the ledger says and to the checksum of 0, 1, 2, …, so that one record
too many and one too few never cancel out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lake_pipeline.errors import LakeError
from lake_pipeline.ledger.audit import AuditedObject
from lake_pipeline.model.partitions import PartitionKey
from lake_pipeline.usecases.fsck.findings import Finding, Problem
from lake_pipeline.usecases.lake import Lake

CHUNK_ROWS = 1 << 20
"""Indexes whose checksums are computed at a time."""

MASK = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True)
class FileCount:
    """The records of one raw file in a row group: their number and the checksum of their indexes.

    `batch_id` is the batch that quarantined them; None if they are published.
    """

    file_id: int
    records: int
    checksum: int
    batch_id: str | None = None


class Reader:
    """Reads published files one by one: returns the findings of each, and passes its counts to `keep`."""

    def __init__(self, lake: Lake, keep: Callable[[FileCount], None]) -> None:
        self._lake = lake
        self._keep = keep

    def curated(self, part: AuditedObject) -> Iterator[Finding]:
        """Read a data file."""
        return self._read(part, "_record")

    def quarantine(self, part: AuditedObject) -> Iterator[Finding]:
        """Read a quarantine file."""
        return self._read(part, "record")

    def _read(self, part: AuditedObject, column: str) -> Iterator[Finding]:
        rows: Counter[int] = Counter()
        try:
            with self._lake.store.open(part.key) as stream, pq.ParquetFile(stream) as parquet:
                for number in range(parquet.num_row_groups):
                    group = parquet.read_row_group(number, columns=["_file_id", column])
                    for count in _file_counts(group, column, part.batch_id):
                        rows[count.file_id] += count.records
                        self._keep(count)
        except (LakeError, pa.ArrowException, OSError, KeyError) as error:
            yield Finding(
                problem=Problem.WRONG_OBJECT,
                key=part.key,
                text=f"{part.key} can't be read: {error}. Restore it from a backup, or rebuild its partition.",
                partitions=_partitions(part),
            )
            return
        yield from _judge_rows(part, rows)


def checksum(records: npt.NDArray[np.int64]) -> int:
    """The sum of the mixed indexes, modulo 2**64. The mixing (splitmix64) makes 1 + 4 differ from 2 + 3."""
    return int(np.add.reduce(_mixed(records), dtype=np.uint64))


def checksum_of_first(count: int) -> int:
    """The checksum of 0, 1, …, `count` - 1."""
    chunks = (np.arange(start, min(start + CHUNK_ROWS, count)) for start in range(0, count, CHUNK_ROWS))
    return sum(map(checksum, chunks)) & MASK


def _mixed(records: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    value = records.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


def _file_counts(group: pa.Table, column: str, batch_id: str | None) -> Iterator[FileCount]:
    files = group.column("_file_id").to_numpy()
    order = np.argsort(files, kind="stable")
    file_ids, starts, counts = np.unique(files[order], return_index=True, return_counts=True)
    if not len(file_ids):
        return
    sums = np.add.reduceat(_mixed(group.column(column).to_numpy())[order], starts)
    for file_id, records, total in zip(file_ids.tolist(), counts.tolist(), sums.tolist(), strict=True):
        yield FileCount(file_id=file_id, records=records, checksum=total, batch_id=batch_id)


def _judge_rows(part: AuditedObject, rows: Counter[int]) -> Iterator[Finding]:
    total = sum(rows.values())
    if total != part.rows:
        text = f"{part.key} has {total} rows, the ledger says {part.rows}. Rebuild its partition."
        yield Finding(problem=Problem.WRONG_ROWS, key=part.key, text=text, partitions=_partitions(part))
    elif part.batch_id is None and rows != Counter(part.rows_by_file):
        wrong = sorted(
            file_id
            for file_id in rows.keys() | part.rows_by_file.keys()
            if rows[file_id] != part.rows_by_file.get(file_id, 0)
        )
        counts = ", ".join(f"{file_id} ({rows[file_id]}, not {part.rows_by_file.get(file_id, 0)})" for file_id in wrong)
        text = (
            f"{part.key} has other numbers of rows of raw files than the ledger says, by _file_id: {counts}. "
            "Rebuild its partition."
        )
        yield Finding(problem=Problem.WRONG_ROWS, key=part.key, text=text, partitions=_partitions(part))


def _partitions(part: AuditedObject) -> tuple[PartitionKey, ...]:
    """The partitions whose rebuild repairs a file; none for a quarantine file, which has a batch."""
    return () if part.batch_id else (PartitionKey.of_path(part.key),)
