"""From a block of records to placed rows and quarantined records: the middle of the kernel.

A block is a run of records from one file or from several small ones. Fast parsing is tried on the whole of it;
where that declines, smaller runs are tried, and only those with a surprise are parsed tolerantly.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import parse_path
from lake_pipeline.contract.shapes import Shape
from lake_pipeline.convert.flattening import flatten, rescue_untyped, value_at
from lake_pipeline.convert.parsing import parse
from lake_pipeline.convert.placing import UNPLACED, FilePlace, Placer
from lake_pipeline.convert.records import Records
from lake_pipeline.convert.request import ConversionOptions
from lake_pipeline.convert.tolerant import Broken, parse_tolerantly
from lake_pipeline.model.files import RawFile
from lake_pipeline.model.partitions import PartitionKey

RUNS = 16
"""Into how many runs a block with a surprise is split: one odd record then costs a sixteenth of its block."""

Index = npt.NDArray[np.int64]


class GrowingContract:
    """The contract of one conversion, shared by its threads. It only ever grows."""

    def __init__(self, contract: Contract) -> None:
        self._lock = threading.Lock()
        self.current = contract

    def grow(self, seen: Shape) -> Contract:
        """Add what is new in `seen`; returns the contract that is current then."""
        with self._lock:
            self.current = self.current.grown(seen)
            return self.current


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Records of one file inside a block. `first` is the index in the file of the first of them."""

    file: RawFile
    records: Records
    first: int


@dataclass(kw_only=True)
class Counts:
    """The account of a file so far: `read` = published + `broken` + `misplaced`."""

    read: int = 0
    broken: int = 0
    misplaced: int = 0
    rescued: int = 0
    first: str | None = None
    """What is wrong with the first broken record, and where it stands."""

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


@dataclass(frozen=True, kw_only=True)
class PlacedRows:
    """Flat rows of one partition, in the order of their records, with provenance columns."""

    partition: PartitionKey
    table: pa.Table


@dataclass(kw_only=True)
class Piece:
    """What became of a block. `counts` has an entry for each of its files, by file_id."""

    rows: list[PlacedRows] = field(default_factory=list)
    quarantined: list[QuarantinedRecord] = field(default_factory=list)
    counts: dict[int, Counts] = field(default_factory=dict)
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
        step = max(1, -(-block.count // RUNS))
        whole = self._fast(block, 0, block.count) if block.framed else None
        if whole is not None:
            yield whole
            return
        for start in range(0, block.count, step):
            stop = min(start + step, block.count)
            fast = self._fast(block, start, stop) if block.is_framed(start, stop) else None
            yield fast or self._tolerant(block, start, stop)

    def _fast(self, block: _Block, start: int, stop: int) -> _Run | None:
        contract = self._contract.current
        table = parse(block.slice(start, stop), stop - start, contract)
        if table is None:
            return None
        missing = pa.nulls(stop - start)
        days, modes = value_at(table, self._day_path), value_at(table, self._mode_path)
        return _Run(
            positions=np.arange(start, stop),
            table=table,
            contract=contract,
            rescued=rescue_untyped(table, contract),
            days=missing if days is None else days,
            modes=missing if modes is None else modes,
            broken={},
        )

    def _tolerant(self, block: _Block, start: int, stop: int) -> _Run:
        lines = block.slice(start, stop).split(b"\n")[:-1]
        rows = parse_tolerantly(lines, self._contract.grow, self._day_path, self._mode_path)
        return _Run(
            positions=np.array(rows.kept, dtype=np.int64) + start,
            table=rows.table,
            contract=rows.contract,
            rescued=pa.array(rows.rescued, pa.string()),
            days=rows.days,
            modes=rows.modes,
            broken={start + position: problem for position, problem in rows.broken.items()},
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
        self.framed = all(segment.records.framed for segment in segments)
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

    def slice(self, start: int, stop: int) -> bytes:
        if start == 0 and stop == self.count:
            return self.lines
        return self.lines[self._edges[start] : self._edges[stop]]

    def is_framed(self, start: int, stop: int) -> bool:
        """Whether every line of the slice starts with `{` and ends with `}`."""
        return self.framed or all(
            line[:1] == b"{" and line.endswith((b"}", b"}\r")) for line in self.slice(start, stop).split(b"\n")[:-1]
        )

    def segment_of(self, positions: Index) -> npt.NDArray[np.int32]:
        """The index of the segment that each record belongs to."""
        return (np.searchsorted(self.starts, positions, side="right") - 1).astype(np.int32)

    def quarantined(self, position: int, reason: str, detail: str) -> QuarantinedRecord:
        index = int(np.searchsorted(self.starts, position, side="right")) - 1
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
        return [PlacedRows(partition=partitions[0], table=table)] if table.num_rows else []
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(partitions) + 1))
    ordered = table.take(pa.array(order))
    return [
        PlacedRows(partition=partition, table=ordered.slice(start, stop - start))
        for partition, start, stop in zip(partitions, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if stop > start
    ]
