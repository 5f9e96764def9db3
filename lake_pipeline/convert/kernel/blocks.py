"""From a block of records to rows by partition and quarantined records: the core of the kernel.

A block has records from one file or from several small ones. The fast parser takes records that fit the contract; the
tolerant parser takes the others, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import parse_path
from lake_pipeline.convert.block_values import ConvertedBlock, PartitionRows, QuarantinedRecord, Segment
from lake_pipeline.convert.kernel.block import Block, Index
from lake_pipeline.convert.kernel.file_outcome import is_refused
from lake_pipeline.convert.parquet import Batch, DenseBatch, Span, sparse_copy
from lake_pipeline.convert.parse.cast import CastTable, cast_columns
from lake_pipeline.convert.parse.decode import Decoder
from lake_pipeline.convert.parse.evidence import Misfits, collect_evidence, kind_of
from lake_pipeline.convert.parse.fast.parser import FastResult, parse_fast, slots_per_record
from lake_pipeline.convert.parse.flatten import flatten, rescued_texts, rescued_values, values_at
from lake_pipeline.convert.parse.tolerant import (
    EvolvingContract,
    MalformedRecord,
    RejectedRecord,
    parse_tolerantly,
    rejected_by_freeze,
)
from lake_pipeline.convert.partition.assign import UNPARTITIONED, PartitionAssigner
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.model.partitions import PartitionKey

FIRST_TOLERANT_RECORDS = 128
"""Records that go to the tolerant parser before the fast parser tries the others again: a new field that all of them
have is in the contract by then. Doubled each time, so that more and more new fields can't make this quadratic."""

MAX_SLOTS = 6 << 20
"""The most slots of records that are parsed together: 54 MB, and as much again for their arrays. A text of 8 MB whose
records have all of their fields needs fewer, because a field takes six bytes at least; so only sparse records of wide
contracts are split. More would not be faster: a thread reuses the memory of its slots up to this size."""

SPARSE_COLUMNS, SPARSE_RATIO = 256, 2
"""Rows with so many columns, and with so many times the memory of their text, are stored by their values. Rows that
have most of their columns take less."""

MIN_ROWS = 64
"""Records that are parsed together however wide the contract is: 2,000 columns have 128,000 slots then."""

BATCH_ROWS = 1 << 14
"""Rows whose `_batch_id` is prepared in advance."""


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows in the form of the contract: its typed columns by name, `_rescued`, and the misfits by row."""

    columns: dict[str, pa.Array]
    rescued: pa.Array
    misfits: Misfits = field(default_factory=dict)

    def take(self, picked: Index) -> _Rows:
        """The rows at these indexes, in that order."""
        rows = pa.array(picked)
        return _Rows(
            columns={name: column.take(rows) for name, column in self.columns.items()},
            rescued=self.rescued.take(rows),
            misfits={at: self.misfits[row] for at, row in enumerate(picked.tolist()) if row in self.misfits}
            if self.misfits
            else {},
        )


@dataclass(frozen=True, kw_only=True)
class _ParsedRows:
    """Parsed records. `positions` are their indexes in the block, one for each row. `days` has each date field.

    `rows` builds the rows at the given indexes. Partitions are assigned before, so each value is moved once.
    """

    positions: Index
    contract: Contract
    days: list[pa.Array | list[object]]
    modes: pa.Array | list[object]
    rows: Callable[[Index], _Rows]
    rejected: dict[int, RejectedRecord] = field(default_factory=dict)


class BlockConverter:
    """Converts blocks of one batch. Safe to call from several threads."""

    def __init__(self, batch_id: str, contract: EvolvingContract, options: ConversionOptions) -> None:
        self._batch_id = pa.repeat(batch_id, BATCH_ROWS)
        self._contract = contract
        self._options = options
        self._assigner = PartitionAssigner(options)
        self._decoder = Decoder(options.rules) if options.rules.decodes else None
        self._day_paths = options.date_paths
        self._mode_path = parse_path(options.mode_field)

    def convert(self, segments: list[Segment], *, whole_files: bool) -> ConvertedBlock:
        """Convert a block. With `whole_files`, it leaves out rows of files with too many malformed records."""
        defaults = [self._assigner.key_defaults(segment.file.key) for segment in segments]
        block = Block(segments, defaults, self._decoder)
        converted = ConvertedBlock(counts=block.counts())
        waiting: list[_ParsedRows] = []
        is_split = False
        for run in self._parse(block):
            _note_rejected(run.rejected, block, converted)
            waiting.append(run)
            if block.count > max_rows_at_once(run.contract):
                # The values of a run take the memory of its rows times its columns until they are partitioned.
                self._partition_all(waiting, block, set(), converted)
                is_split = True
        refused = {
            file_id
            for file_id, counts in converted.counts.items()
            if whole_files and is_refused(counts, self._options.max_bad_share)
        }
        if is_split and refused:
            return self._without(refused, block, converted)
        self._partition_all(waiting, block, refused, converted)
        converted.quarantined = [record for record in converted.quarantined if record.file.file_id not in refused]
        return converted

    def _partition_all(
        self, runs: list[_ParsedRows], block: Block, refused: set[int], converted: ConvertedBlock
    ) -> None:
        """Partition the rows of some runs, and empty the list, so that the values of each are freed."""
        while runs:
            self._partition(runs.pop(0), block, refused, converted)

    def _without(self, refused: set[int], block: Block, converted: ConvertedBlock) -> ConvertedBlock:
        """The block without the rows of refused files, converted again: some of them are in `converted` already."""
        kept = block.without(refused)
        again = self.convert(kept, whole_files=True) if kept else ConvertedBlock()
        again.counts = {**converted.counts, **again.counts}
        return again

    def _parse(self, block: Block) -> Iterator[_ParsedRows]:
        """Fast-parse what fits the contract, parse the rest tolerantly, and retry the fast parser if the contract has
        evolved. For a wide contract, some records at a time.
        """
        remaining = np.arange(block.count)
        limit = FIRST_TOLERANT_RECORDS
        while len(remaining):
            contract = self._contract.current
            most = max_rows_at_once(contract)
            piece, remaining = remaining[:most], remaining[most:]
            result = parse_fast(block.lines_at(piece), len(piece), contract)
            if len(result.rows):
                yield self._fits(piece[result.rows], result, contract)
            unfit = piece[result.rejected]
            if not len(unfit):
                continue
            first = min(limit, most)
            tolerant = self._parse_tolerantly(block, unfit[:first])
            yield tolerant
            unfit = unfit[first:]
            if tolerant.contract is contract:
                # They brought nothing new, so the others never fit: they are malformed or have values to rescue.
                if len(unfit):
                    yield self._parse_tolerantly(block, unfit)
                continue
            remaining = np.concatenate((unfit, remaining))
            limit *= 2

    def _fits(self, positions: Index, result: FastResult, contract: Contract) -> _ParsedRows:
        plain = None if contract.rules.may_freeze else result.scalars(*self._day_paths, self._mode_path)
        if plain is None:
            return self._cast_all(positions, result, contract)
        *days, modes = plain
        rows = partial(_cast_rows, result, contract)
        return _ParsedRows(positions=positions, contract=contract, days=days, modes=modes, rows=rows)

    def _cast_all(self, positions: Index, result: FastResult, contract: Contract) -> _ParsedRows:
        """The same if all values must be cast to know the partitions of rows, or whether they are published."""
        cast = cast_columns(result.table(np.arange(len(positions))), contract)
        rescued = rescued_values(cast, contract)
        rejected = rejected_by_freeze(rescued, contract.rules) if contract.rules.may_freeze else {}
        kept = np.setdiff1d(np.arange(len(positions)), list(rejected))
        return _ParsedRows(
            positions=positions[kept],
            contract=contract,
            days=[_values_at(values_at(cast, path), kept) for path in self._day_paths],
            modes=_values_at(values_at(cast, self._mode_path), kept),
            rows=_stored(cast, rescued, contract).take(kept).take,
            rejected={int(positions[row]): problem for row, problem in rejected.items()},
        )

    def _parse_tolerantly(self, block: Block, positions: Index) -> _ParsedRows:
        lines = block.lines_at(positions).split(b"\n")[:-1]

        def unpartitionable(days: list[list[Any]], modes: list[Any], rows: list[int]) -> Collection[int]:
            source = block.segment_of(positions[np.array(rows, dtype=np.int64)])
            return self._assigner.assign(days, modes, block.key_defaults, source).problems

        parsed = parse_tolerantly(lines, self._contract.evolve, self._day_paths, self._mode_path, unpartitionable)
        rows = _Rows(
            columns=flatten(parsed.table, parsed.contract),
            rescued=pa.array(parsed.rescued, pa.string()),
            misfits=parsed.misfits,
        )
        return _ParsedRows(
            positions=positions[parsed.accepted],
            contract=parsed.contract,
            days=parsed.days,
            modes=parsed.modes,
            rows=rows.take,
            rejected={int(positions[position]): problem for position, problem in parsed.rejected.items()},
        )

    def _partition(self, run: _ParsedRows, block: Block, refused: set[int], converted: ConvertedBlock) -> None:
        """Build the rows partition by partition. Unpartitionable records are quarantined."""
        source = block.segment_of(run.positions)
        assignment = self._assigner.assign(run.days, run.modes, block.key_defaults, source)
        for row, problem in assignment.problems.items():
            record = block.quarantined(int(run.positions[row]), problem.reason, str(problem))
            converted.quarantined.append(record)
            _note_unpartitionable(record, converted)
        codes = assignment.codes
        if refused:
            codes = np.where(np.isin(block.file_ids[source], list(refused)), np.int32(UNPARTITIONED), codes)
        picked, edges = _sort_by_partition(codes, len(assignment.partitions))
        if not len(picked):
            return
        rows = run.rows(picked)
        curated = self._curated(rows, run, block, picked, source[picked])
        _count_rescued(curated, converted)
        converted.evidence.add(collect_evidence(curated, run.contract, rows.misfits))
        text_bytes = len(block.lines) * len(picked) // block.count
        converted.rows += _spans(curated, edges, assignment.partitions, text_bytes)

    def _curated(
        self, rows: _Rows, run: _ParsedRows, block: Block, picked: Index, source: npt.NDArray[np.int32]
    ) -> pa.RecordBatch:
        """The flat columns with the provenance of each row."""
        provenance = [
            rows.rescued,
            pa.array(block.file_ids[source]),
            pa.array(run.positions[picked] - block.starts[source] + block.firsts[source]),
            self._batch_ids(len(picked)),
        ]
        return pa.RecordBatch.from_arrays([*rows.columns.values(), *provenance], schema=run.contract.arrow_schema())

    def _batch_ids(self, count: int) -> pa.Array:
        """`_batch_id` for this many rows, in memory that all blocks use together."""
        ids = self._batch_id
        if len(ids) < count:
            # A race with another thread is harmless: both build the same values.
            ids = self._batch_id = pa.repeat(ids[0], 2 * count)
        return ids.slice(0, count)


def max_rows_at_once(contract: Contract) -> int:
    """The most records that are parsed together: the wider the contract, the fewer."""
    return max(MIN_ROWS, MAX_SLOTS // slots_per_record(contract))


def _note_rejected(rejected: Mapping[int, RejectedRecord], block: Block, converted: ConvertedBlock) -> None:
    for position, problem in rejected.items():
        record = block.quarantined(position, problem.reason, str(problem))
        converted.quarantined.append(record)
        counts = converted.counts[record.file.file_id]
        if not isinstance(problem, MalformedRecord):
            _note_unpartitionable(record, converted)
            continue
        counts.malformed += 1
        counts.first_problem = counts.first_problem or _shown(record)


def _note_unpartitionable(record: QuarantinedRecord, converted: ConvertedBlock) -> None:
    counts = converted.counts[record.file.file_id]
    counts.unpartitionable += 1
    counts.first_unpartitionable = counts.first_unpartitionable or _shown(record)


def _shown(record: QuarantinedRecord) -> str:
    return f"record {record.record} at byte {record.offset}: {record.detail}"


def _cast_rows(result: FastResult, contract: Contract, picked: Index) -> _Rows:
    cast = cast_columns(result.table(picked), contract)
    return _stored(cast, rescued_values(cast, contract), contract)


def _stored(cast: CastTable, rescued: dict[int, dict[str, Any]], contract: Contract) -> _Rows:
    return _Rows(
        columns=flatten(cast.table, contract),
        rescued=rescued_texts(rescued, cast.table.num_rows),
        misfits={row: {path: kind_of(value) for path, value in values.items()} for row, values in rescued.items()},
    )


def _values_at(values: pa.Array | list[object] | None, kept: Index) -> pa.Array | list[object]:
    """The values at `kept`; nulls if there are no values."""
    if values is None:
        return pa.nulls(len(kept))
    return values.take(pa.array(kept)) if isinstance(values, pa.Array) else [values[row] for row in kept]


def _count_rescued(rows: pa.RecordBatch, converted: ConvertedBlock) -> None:
    rescued = rows.column("_rescued")
    if rescued.null_count == rows.num_rows:
        return
    files = rows.column("_file_id").to_numpy()[rescued.is_valid().to_numpy(zero_copy_only=False)]
    for file_id, count in zip(*(column.tolist() for column in np.unique(files, return_counts=True)), strict=True):
        converted.counts[file_id].rescued += count


def _sort_by_partition(codes: npt.NDArray[np.int32], partitions: int) -> tuple[Index, Index]:
    """(rows that have a partition, grouped by partition and in their order; where each partition begins)."""
    # With so few bits numpy uses a radix sort of one pass.
    order = np.argsort(codes.astype(np.int16) if partitions < 2**15 else codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(partitions + 1))
    return order[edges[0] :], edges - edges[0]


def _spans(rows: pa.RecordBatch, edges: Index, partitions: list[PartitionKey], text_bytes: int) -> list[PartitionRows]:
    batch: Batch = DenseBatch(rows)
    memory = rows.nbytes
    if rows.num_columns >= SPARSE_COLUMNS and memory > SPARSE_RATIO * text_bytes:
        batch = compact = sparse_copy([Span(batch, 0, rows.num_rows)], rows.schema)
        memory = compact.nbytes
    # The bytes of a slice would be computed from all its columns; rows of one block are similar enough to use a ratio.
    row_size = memory / rows.num_rows
    return [
        PartitionRows(
            partition=partition, span=Span(batch, start, stop - start), size=int((stop - start) * row_size) + 1
        )
        for partition, start, stop in zip(partitions, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if stop > start
    ]
