"""From a block of records to placed rows and quarantined records: the middle of the kernel.

A block is a run of records from one file or from several small ones. Records that fit the contract are shredded, and
only those with a surprise are parsed tolerantly, one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.paths import parse_path
from lake_pipeline.convert.deciding import Counts, is_refused
from lake_pipeline.convert.flattening import flatten, rescued_texts, rescued_values, values_at
from lake_pipeline.convert.growing import GrowingContract
from lake_pipeline.convert.line_ends import line_ends
from lake_pipeline.convert.making import Made, make_columns
from lake_pipeline.convert.observing import Misfits, kind_of, observe
from lake_pipeline.convert.parquet import Batch, Span
from lake_pipeline.convert.placing import UNPLACED, FilePlace, Placer
from lake_pipeline.convert.records import Records
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.convert.shred.shredder import Shredded, shred
from lake_pipeline.convert.tolerant import Broken, frozen_rows, parse_tolerantly
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey

FIRST_LOOK = 128
"""Records with a surprise that are parsed tolerantly before the others are shredded again: a new field that all of
them have is in the contract then. Doubled each time, so that ever new fields can't make this quadratic."""

BATCH_ROWS = 1 << 14
"""Rows whose `_batch_id` is kept ready."""

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Records of one file inside a block. `first` is the index in the file of the first of them."""

    file: RawFile
    records: Records
    first: int


@dataclass(frozen=True, kw_only=True)
class QuarantinedRecord:
    """A record that is not published: `record` is its index in the file, `offset` its first byte there."""

    file: RawFile
    record: int
    offset: int
    reason: str
    detail: str
    raw: bytes

    @property
    def size(self) -> int:
        """Its memory in bytes, about: as many records of one byte as fit into a block take half a kilobyte each."""
        return len(self.raw) + 512


@dataclass(frozen=True, kw_only=True)
class PlacedRows:
    """Flat rows of one partition, in the order of their records, with provenance columns; `size` is their memory."""

    partition: PartitionKey
    span: Span
    size: int


@dataclass(kw_only=True)
class Piece:
    """What became of a block. `counts` has an entry for each of its files, by file_id."""

    rows: list[PlacedRows] = field(default_factory=list)
    quarantined: list[QuarantinedRecord] = field(default_factory=list)
    counts: dict[int, Counts] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Rows as the contract has them: its typed columns by name, `_rescued`, and the misfits by row."""

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
class _Run:
    """Parsed records. `positions` are their indexes in the block, one for each row.

    `rows` makes those at the given indexes: where they go is known first, and so each value is moved once.
    """

    positions: Index
    contract: Contract
    days: pa.Array | list[object]
    modes: pa.Array | list[object]
    rows: Callable[[Index], _Rows]
    broken: dict[int, Broken] = field(default_factory=dict)


class BlockConverter:
    """Converts blocks of one batch. Safe to call from several threads."""

    def __init__(self, batch_id: str, contract: GrowingContract, options: ConversionOptions) -> None:
        self._batch_id = pa.repeat(batch_id, BATCH_ROWS)
        self._contract = contract
        self._options = options
        self._placer = Placer(options)
        self._day_path = parse_path(options.date_field)
        self._mode_path = parse_path(options.mode_field)

    def convert(self, segments: list[Segment], *, whole_files: bool) -> Piece:
        """Convert a block. With `whole_files`, rows of files with too many broken records are left out already."""
        block = _Block(segments, [self._placer.of_key(segment.file.key) for segment in segments])
        runs = list(self._parse(block))
        piece = Piece(counts=block.counts())
        for run in runs:
            for position, problem in run.broken.items():
                record = block.quarantined(position, problem.reason, str(problem))
                piece.quarantined.append(record)
                counts = piece.counts[record.file.file_id]
                if not problem.is_damage:
                    counts.misplaced += 1
                    continue
                counts.broken += 1
                counts.first = counts.first or f"record {record.record} at byte {record.offset}: {record.detail}"
        refused = {
            file_id
            for file_id, counts in piece.counts.items()
            if whole_files and is_refused(counts, self._options.max_bad_share)
        }
        for run in runs:
            self._place(run, block, refused, piece)
        piece.quarantined = [record for record in piece.quarantined if record.file.file_id not in refused]
        return piece

    def _parse(self, block: _Block) -> Iterator[_Run]:
        """Shred what fits the contract; parse the rest tolerantly, and shred again once the contract has grown."""
        waiting = np.arange(block.count)
        look = FIRST_LOOK
        while len(waiting):
            contract = self._contract.current
            shredded = shred(block.lines_at(waiting), len(waiting), contract)
            if len(shredded.rows):
                yield self._fits(waiting[shredded.rows], shredded, contract)
            odd = waiting[shredded.aside]
            if not len(odd):
                return
            surprise = self._tolerant(block, odd[:look])
            yield surprise
            waiting = odd[look:]
            if surprise.contract is contract:
                # Nothing new in them, so the others are odd for good: broken, or with values to rescue.
                if len(waiting):
                    yield self._tolerant(block, waiting)
                return
            look *= 2

    def _fits(self, positions: Index, shredded: Shredded, contract: Contract) -> _Run:
        plain = None if contract.rules.may_freeze else shredded.plain(self._day_path, self._mode_path)
        if plain is None:
            return self._made(positions, shredded, contract)
        days, modes = plain
        rows = partial(_made_rows, shredded, contract)
        return _Run(positions=positions, contract=contract, days=days, modes=modes, rows=rows)

    def _made(self, positions: Index, shredded: Shredded, contract: Contract) -> _Run:
        """The same where all values must be made to know the places of rows, or whether they are published."""
        made = make_columns(shredded.table(np.arange(len(positions))), contract)
        rescued = rescued_values(made, contract)
        frozen = frozen_rows(rescued, contract.rules) if contract.rules.may_freeze else {}
        kept = np.setdiff1d(np.arange(len(positions)), list(frozen))
        return _Run(
            positions=positions[kept],
            contract=contract,
            days=_kept(values_at(made, self._day_path), kept),
            modes=_kept(values_at(made, self._mode_path), kept),
            rows=_stored(made, rescued, contract).take(kept).take,
            broken={int(positions[row]): problem for row, problem in frozen.items()},
        )

    def _tolerant(self, block: _Block, positions: Index) -> _Run:
        lines = block.lines_at(positions).split(b"\n")[:-1]
        parsed = parse_tolerantly(lines, self._contract.grow, self._day_path, self._mode_path)
        rows = _Rows(
            columns=flatten(parsed.table, parsed.contract),
            rescued=pa.array(parsed.rescued, pa.string()),
            misfits=parsed.misfits,
        )
        return _Run(
            positions=positions[parsed.kept],
            contract=parsed.contract,
            days=parsed.days,
            modes=parsed.modes,
            rows=rows.take,
            broken={int(positions[position]): problem for position, problem in parsed.broken.items()},
        )

    def _place(self, run: _Run, block: _Block, refused: set[int], piece: Piece) -> None:
        """Make the rows of a run, partition by partition; those without a place go to quarantine."""
        source = block.segment_of(run.positions)
        places = self._placer.place(run.days, run.modes, block.places, source)
        for row, problem in places.problems.items():
            record = block.quarantined(int(run.positions[row]), problem.reason, str(problem))
            piece.quarantined.append(record)
            piece.counts[record.file.file_id].misplaced += 1
        codes = places.codes
        if refused:
            codes = np.where(np.isin(block.file_ids[source], list(refused)), np.int32(UNPLACED), codes)
        picked, edges = _by_code(codes, len(places.partitions))
        if not len(picked):
            return
        rows = run.rows(picked)
        curated = self._curated(rows, run, block, picked, source[picked])
        _count_rescued(curated, piece)
        piece.evidence.add(observe(curated, run.contract, rows.misfits))
        piece.rows += _spans(curated, edges, places.partitions)

    def _curated(
        self, rows: _Rows, run: _Run, block: _Block, picked: Index, source: npt.NDArray[np.int32]
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
        """`_batch_id` of so many rows, in memory that all blocks share."""
        ids = self._batch_id
        if len(ids) < count:
            # Another thread may do the same at the same time: either will do.
            ids = self._batch_id = pa.repeat(ids[0], 2 * count)
        return ids.slice(0, count)


def _made_rows(shredded: Shredded, contract: Contract, picked: Index) -> _Rows:
    made = make_columns(shredded.table(picked), contract)
    return _stored(made, rescued_values(made, contract), contract)


def _stored(made: Made, rescued: dict[int, dict[str, Any]], contract: Contract) -> _Rows:
    return _Rows(
        columns=flatten(made.table, contract),
        rescued=rescued_texts(rescued, made.table.num_rows),
        misfits={row: {path: kind_of(value) for path, value in values.items()} for row, values in rescued.items()},
    )


def _kept(values: pa.Array | list[object] | None, kept: Index) -> pa.Array | list[object]:
    """The values at `kept`; nulls where there are none."""
    if values is None:
        return pa.nulls(len(kept))
    return values.take(pa.array(kept)) if isinstance(values, pa.Array) else [values[row] for row in kept]


class _Block:
    """The segments of a block side by side, addressed by the position of a record in the whole."""

    def __init__(self, segments: list[Segment], places: list[FilePlace]) -> None:
        self.places = places
        self._segments = segments
        self.lines = b"".join(segment.records.lines for segment in segments)
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
        return b"".join([self.lines[edges[position] : edges[position + 1]] for position in positions.tolist()])

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


def _count_rescued(rows: pa.RecordBatch, piece: Piece) -> None:
    rescued = rows.column("_rescued")
    if rescued.null_count == rows.num_rows:
        return
    files = rows.column("_file_id").to_numpy()[rescued.is_valid().to_numpy(zero_copy_only=False)]
    for file_id, count in zip(*(each.tolist() for each in np.unique(files, return_counts=True)), strict=True):
        piece.counts[file_id].rescued += count


def _by_code(codes: npt.NDArray[np.int32], partitions: int) -> tuple[Index, Index]:
    """(rows that have a place, one partition after the other and in their order, where each partition begins)."""
    # A radix sort of one pass, where so few bits tell them apart.
    order = np.argsort(codes.astype(np.int16) if partitions < 2**15 else codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(partitions + 1))
    return order[edges[0] :], edges - edges[0]


def _spans(rows: pa.RecordBatch, edges: Index, partitions: list[PartitionKey]) -> list[PlacedRows]:
    # Asking a slice for its bytes walks all its columns; rows of one block are alike enough for a share.
    row_size = rows.nbytes / rows.num_rows
    batch = Batch(rows)
    return [
        PlacedRows(partition=partition, span=Span(batch, start, stop - start), size=int((stop - start) * row_size) + 1)
        for partition, start, stop in zip(partitions, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if stop > start
    ]
