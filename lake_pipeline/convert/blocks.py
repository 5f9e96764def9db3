"""From a block of records to placed rows and quarantined records: the middle of the kernel.

A block is a run of records from one file or from several small ones. Records that fit the contract are shredded, and
only those with a surprise are parsed tolerantly, one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.evidence import Evidence
from lake_pipeline.contract.paths import parse_path
from lake_pipeline.convert.flattening import flatten, rescued_texts, rescued_values, values_at
from lake_pipeline.convert.growing import GrowingContract
from lake_pipeline.convert.making import make_columns
from lake_pipeline.convert.observing import Misfits, kind_of, observe
from lake_pipeline.convert.placing import UNPLACED, FilePlace, Placer
from lake_pipeline.convert.records import Records
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.convert.shred.shredder import shred
from lake_pipeline.convert.tolerant import Broken, frozen_rows, parse_tolerantly
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey

FIRST_LOOK = 64
"""Records with a surprise that are parsed tolerantly before the others are shredded again: a new field that all of
them have is in the contract then. Doubled each time, so that ever new fields can't make this quadratic."""

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Records of one file inside a block. `first` is the index in the file of the first of them."""

    file: RawFile
    records: Records
    first: int


@dataclass(kw_only=True)
class Counts:
    """The account of a file so far: `read` = `published` + `broken` + `misplaced`."""

    read: int = 0
    broken: int = 0
    misplaced: int = 0
    rescued: int = 0
    first: str | None = None
    """What is wrong with the first broken record, and where it stands."""

    @property
    def published(self) -> int:
        return self.read - self.broken - self.misplaced

    def add(self, other: Counts) -> None:
        self.first = self.first or other.first
        self.read += other.read
        self.broken += other.broken
        self.misplaced += other.misplaced
        self.rescued += other.rescued


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
    table: pa.Table
    size: int


@dataclass(kw_only=True)
class Piece:
    """What became of a block. `counts` has an entry for each of its files, by file_id."""

    rows: list[PlacedRows] = field(default_factory=list)
    quarantined: list[QuarantinedRecord] = field(default_factory=list)
    counts: dict[int, Counts] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    text_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class _Run:
    """Parsed records. `positions` are their indexes in the block, one for each row of `table`."""

    positions: Index
    table: pa.Table
    contract: Contract
    rescued: pa.Array
    days: pa.Array | list[object]
    modes: pa.Array | list[object]
    broken: dict[int, Broken]
    misfits: Misfits = field(default_factory=dict)

    def without(self, broken: dict[int, Broken]) -> _Run:
        """The run without these rows, which are not published."""
        kept = np.setdiff1d(np.arange(len(self.positions)), list(broken))
        rows = pa.array(kept)
        return replace(
            self,
            positions=self.positions[kept],
            table=self.table.take(rows),
            rescued=self.rescued.take(rows),
            days=self.days.take(rows) if isinstance(self.days, pa.Array) else [self.days[row] for row in kept],
            modes=self.modes.take(rows) if isinstance(self.modes, pa.Array) else [self.modes[row] for row in kept],
            broken={int(self.positions[row]): problem for row, problem in broken.items()},
            misfits={at: self.misfits[row] for at, row in enumerate(kept.tolist()) if row in self.misfits},
        )


class BlockConverter:
    """Converts blocks of one batch. Safe to call from several threads."""

    def __init__(self, batch_id: str, contract: GrowingContract, options: ConversionOptions) -> None:
        self._batch_id = batch_id
        self._contract = contract
        self._options = options
        self._placer = Placer(options)
        self._day_path = parse_path(options.date_field)
        self._mode_path = parse_path(options.mode_field)

    def convert(self, segments: list[Segment], *, whole_files: bool) -> Piece:
        """Convert a block. With `whole_files`, rows of files with too many broken records are left out already."""
        block = _Block(segments, [self._placer.of_key(segment.file.key) for segment in segments])
        runs = list(self._parse(block))
        piece = Piece(counts=block.counts(), text_bytes=len(block.lines))
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
                yield self._fits(waiting[shredded.rows], shredded.table, contract)
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

    def _fits(self, positions: Index, table: pa.Table, contract: Contract) -> _Run:
        made = make_columns(table, contract)
        rescued = rescued_values(made, contract)
        missing = pa.nulls(table.num_rows)
        days, modes = values_at(made, self._day_path), values_at(made, self._mode_path)
        run = _Run(
            positions=positions,
            table=made.table,
            contract=contract,
            rescued=rescued_texts(rescued, table.num_rows),
            days=missing if days is None else days,
            modes=missing if modes is None else modes,
            broken={},
            misfits={row: {path: kind_of(value) for path, value in values.items()} for row, values in rescued.items()},
        )
        return run.without(frozen_rows(rescued, contract.rules)) if contract.rules.may_freeze else run

    def _tolerant(self, block: _Block, positions: Index) -> _Run:
        lines = block.lines_at(positions).split(b"\n")[:-1]
        rows = parse_tolerantly(lines, self._contract.grow, self._day_path, self._mode_path)
        return _Run(
            positions=positions[rows.kept],
            table=rows.table,
            contract=rows.contract,
            rescued=pa.array(rows.rescued, pa.string()),
            days=rows.days,
            modes=rows.modes,
            broken={int(positions[position]): problem for position, problem in rows.broken.items()},
            misfits=rows.misfits,
        )

    def _place(self, run: _Run, block: _Block, refused: set[int], piece: Piece) -> None:
        """Sort the rows of a run into partitions; those without a place go to quarantine."""
        source = block.segment_of(run.positions)
        places = self._placer.place(run.days, run.modes, block.places, source)
        for row, problem in places.problems.items():
            record = block.quarantined(int(run.positions[row]), problem.reason, str(problem))
            piece.quarantined.append(record)
            piece.counts[record.file.file_id].misplaced += 1
        codes = places.codes
        if refused:
            dropped = np.isin(block.file_ids[source], list(refused))
            codes = np.where(dropped, np.int32(UNPLACED), codes)
        table = self._curated(run, block, source)
        _count_rescued(table, codes, piece)
        piece.evidence.add(observe(table, codes != UNPLACED, run.contract, run.misfits))
        piece.rows += _by_partition(table, codes, places.partitions)

    def _curated(self, run: _Run, block: _Block, source: npt.NDArray[np.int32]) -> pa.Table:
        """The flat columns of a run with the provenance of each row."""
        columns = flatten(run.table, run.contract)
        columns["_rescued"] = run.rescued
        columns["_file_id"] = pa.array(block.file_ids[source])
        columns["_record"] = pa.array(run.positions - block.starts[source] + block.firsts[source])
        columns["_batch_id"] = pa.repeat(self._batch_id, len(run.positions))
        return pa.table(columns)


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
        ends = np.flatnonzero(np.frombuffer(self.lines, dtype=np.uint8) == ord("\n"))
        return np.concatenate((np.zeros(1, dtype=np.int64), ends + 1))

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


def is_refused(counts: Counts, max_bad_share: float) -> bool:
    """Whether too many of a file's records are broken for the rest to be trusted."""
    return counts.broken > counts.read * max_bad_share


def _count_rescued(table: pa.Table, codes: npt.NDArray[np.int32], piece: Piece) -> None:
    rescued = table.column("_rescued")
    if rescued.null_count == table.num_rows:
        return
    published = rescued.is_valid().to_numpy() & (codes != UNPLACED)
    files, rows = np.unique(table.column("_file_id").to_numpy()[published], return_counts=True)
    for file_id, count in zip(files.tolist(), rows.tolist(), strict=True):
        piece.counts[file_id].rescued += count


def _by_partition(table: pa.Table, codes: npt.NDArray[np.int32], partitions: list[PartitionKey]) -> list[PlacedRows]:
    if len(partitions) == 1 and not (codes == UNPLACED).any():
        return [PlacedRows(partition=partitions[0], table=table, size=table.nbytes)] if table.num_rows else []
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(partitions) + 1))
    ordered = table.take(pa.array(order))
    # Asking each slice for its bytes walks all its columns; rows of one block are alike enough for a share.
    row_size = ordered.nbytes / max(ordered.num_rows, 1)
    return [
        PlacedRows(
            partition=partition, table=ordered.slice(start, stop - start), size=int((stop - start) * row_size) + 1
        )
        for partition, start, stop in zip(partitions, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if stop > start
    ]
