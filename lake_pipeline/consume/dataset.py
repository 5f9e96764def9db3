"""`CuratedDataset`: rows for training, from a snapshot or a selection, in a reproducible order.

    files in the order of the epoch → the share of one reader → prefetched row groups → shuffled windows → batches

Every row is in the share of exactly one of the readers of an epoch. Memory is limited: it holds the prefetched row
groups, a batch, and for shuffled rows the current window and the next one. `torch_data` adapts it to PyTorch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_pipeline.consume.curated_files import CuratedFiles, Piece
from lake_pipeline.consume.prefetch import prefetch, prefetch_next
from lake_pipeline.model.selections import Selection
from lake_pipeline.usecases.lake import Lake

if TYPE_CHECKING:
    import pandas
    import polars

BATCH_ROWS = 16_384

WINDOW_ROWS = 262_144
"""Rows that are shuffled together, in addition to the order of the files: 100 MB with 400 bytes each."""

READ_AHEAD = min(pa.cpu_count(), 8)
"""Row groups to prefetch: one for each core, since one thread decodes each. Twice as many were not faster on two cores.
At most eight, since each takes 50 MB with 131,072 rows of 400 bytes."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """One of `count` readers that divide an epoch among them: ranks, workers, or both."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"reader {self.index} of {self.count}: readers are numbered from 0")


@dataclass(frozen=True, kw_only=True)
class Position:
    """The position of a reader: row `taken` of window `window`, which starts at row `row` of the file at `file`.

    The same rows follow only with the same dataset, epoch and share. Save it with `as_json` and `of_json`.
    """

    epoch: int = 0
    window: int = 0
    file: int = 0
    row: int = 0
    taken: int = 0

    def as_json(self) -> dict[str, int]:
        """A JSON object that `of_json` reads back."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: dict[str, int]) -> Position:
        """The inverse of `as_json`. Raises TypeError for anything else."""
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class CuratedDataset:
    """Rows of published files that match `where`, an expression of `pyarrow.compute`.

    Batches have `batch_rows` rows, except the last one. If it is None, batches have the size in which they are read,
    and nothing is copied. With a `seed` each epoch has another order of files, and rows are shuffled within windows of
    `window_rows`; without a seed rows come in stored order.
    """

    files: CuratedFiles
    where: Any = None
    seed: int | None = None
    batch_rows: int | None = BATCH_ROWS
    window_rows: int = WINDOW_ROWS
    read_ahead: int = READ_AHEAD

    @classmethod
    def of_snapshot(
        cls, lake: Lake, name: str, *, columns: Sequence[str] | None = None, where: Any = None, **options: Any
    ) -> CuratedDataset:
        """The rows of a snapshot, always the same. `options` are the fields of this class.

        Raises `PermanentError` if the snapshot or a column does not exist.
        """
        return cls._of(CuratedFiles.of_snapshot(lake, name), columns, where, options)

    @classmethod
    def of_selection(
        cls,
        lake: Lake,
        *,
        first: date | str | None = None,
        last: date | str | None = None,
        modes: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        where: Any = None,
        **options: Any,
    ) -> CuratedDataset:
        """The published rows of some days and modes. A rebuild during reading ends it with an error."""
        selection = Selection.of(first=first, last=last, modes=modes)
        return cls._of(CuratedFiles.of_selection(lake, selection), columns, where, options)

    @classmethod
    def _of(
        cls, files: CuratedFiles, columns: Sequence[str] | None, where: Any, options: dict[str, Any]
    ) -> CuratedDataset:
        files = files if columns is None else files.with_columns(columns)
        return cls(files=files if where is None else files.matching(where), where=where, **options)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        return self.files.read_schema

    @property
    def rows(self) -> int:
        """The number of rows of its files, without regard to `where`."""
        return sum(version.rows for version in self.files.versions)

    def batches(self, *, epoch: int = 0, share: Share | None = None, position: Position | None = None) -> Batches:
        """The batches of an epoch, or of one reader's share. A `position` says where to start, and its epoch counts."""
        return Batches(self, share or Share(), position or Position(epoch=epoch), begun=position is not None)

    def table(self) -> pa.Table:
        """All rows at once, if they fit into memory."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)

    def pandas(self, *, epoch: int = 0, share: Share | None = None) -> Iterator[pandas.DataFrame]:
        """The batches as pandas data frames."""
        return (batch.to_pandas() for batch in self.batches(epoch=epoch, share=share))

    def polars(self, *, epoch: int = 0, share: Share | None = None) -> Iterator[polars.DataFrame]:
        """The batches as Polars data frames; Polars must be installed."""
        import polars

        for batch in self.batches(epoch=epoch, share=share):
            frame = polars.from_arrow(batch)
            assert isinstance(frame, polars.DataFrame), "a batch has columns"
            yield frame


@dataclass
class _Window:
    """Rows that are shuffled together, from `start` to `end`. `taken` of them were returned."""

    start: Position
    end: Position
    table: pa.Table
    taken: int

    @property
    def left(self) -> int:
        return int(self.table.num_rows) - self.taken

    def take_chunk(self) -> pa.RecordBatch:
        """The next rows that are contiguous in memory."""
        chunk = self.table.slice(self.taken).to_batches()[0]
        self.taken += chunk.num_rows
        return chunk

    def take(self, rows: int) -> pa.Table:
        """The next rows, at most `rows`."""
        chunk = self.table.slice(self.taken, min(rows, self.left))
        self.taken += chunk.num_rows
        return chunk


class Batches(Iterator[pa.RecordBatch]):
    """The batches of one reader. `position` is the position after the last returned batch.

    Prefetching ends with the last batch, or with `close`.
    """

    def __init__(self, dataset: CuratedDataset, share: Share, position: Position, *, begun: bool) -> None:
        self._dataset = dataset
        self._share = share
        self._filter = dataset.files.filter(dataset.where)
        versions = dataset.files.versions
        self._order = _order(len(versions), dataset.seed, position.epoch)
        self._ends = np.cumsum([versions[number].rows for number in self._order], dtype=np.int64)
        total = int(self._ends[-1]) if versions else 0
        self._first, self._last = (total * number // share.count for number in (share.index, share.index + 1))
        self._next = position if begun else self._begin(position)
        self._open: deque[_Window] = deque()
        windows = self._make_windows(self._next)
        # Without shuffling, a window is a row group that is prefetched anyway.
        self._windows = windows if dataset.seed is None else prefetch_next(windows)

    @property
    def position(self) -> Position:
        """Where the next batch starts."""
        return replace(self._open[0].start, taken=self._open[0].taken) if self._open else self._next

    def __next__(self) -> pa.RecordBatch:
        batch_rows = self._dataset.batch_rows
        self._fill(batch_rows or 1)
        if not self._open:
            raise StopIteration
        batch = self._open[0].take_chunk() if batch_rows is None else _one_batch(list(self._take(batch_rows)))
        self._drop_empty()
        return batch

    def _fill(self, rows: int) -> None:
        """Open windows until they have `rows` rows, or there are no more."""
        while sum(window.left for window in self._open) < rows:
            window = next(self._windows, None)
            if window is None:
                return
            self._open.append(window)
            self._drop_empty()

    def _take(self, rows: int) -> Iterator[pa.Table]:
        while self._open and rows:
            piece = self._open[0].take(rows)
            rows -= piece.num_rows
            yield piece
            self._drop_empty()

    def _drop_empty(self) -> None:
        while self._open and not self._open[0].left:
            self._next = self._open.popleft().end

    def close(self) -> None:
        """Stop prefetching; the position is kept."""
        self._next = self.position
        self._open.clear()
        self._windows.close()

    def _begin(self, position: Position) -> Position:
        """The first row of the share."""
        file = int(np.searchsorted(self._ends, self._first, side="right"))
        before = int(self._ends[file - 1]) if file else 0
        return replace(position, file=file, row=self._first - before)

    def _make_windows(self, start: Position) -> Generator[_Window, None, None]:
        dataset = self._dataset
        tables: list[pa.Table] = []
        rows = 0
        with ThreadPoolExecutor(max(dataset.read_ahead, 1), thread_name_prefix="prefetch") as pool:
            try:
                for file, piece, table in self._read_from(start, pool):
                    tables.append(table)
                    del table
                    rows += piece.stop - piece.start
                    if dataset.seed is None or rows >= dataset.window_rows:
                        end = replace(start, window=start.window + 1, file=file, row=piece.end, taken=0)
                        yield self._window(start, end, tables, pool)
                        start, rows = end, 0
                end = replace(start, window=start.window + 1, file=len(self._order), row=0, taken=0)
                yield self._window(start, end, tables, pool)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _window(self, start: Position, end: Position, tables: list[pa.Table], pool: Executor) -> _Window:
        """A window of `tables`. The list is cleared."""
        table = pa.concat_tables(tables) if tables else self._dataset.schema.empty_table()
        tables.clear()
        if self._dataset.seed is not None:
            order, columns = self._shuffled(start, table.num_rows), deque(table.columns)
            del table
            # Each column is released after it was shuffled, so the window is not in memory twice.
            taken = pool.map(partial(pc.take, indices=order), (columns.popleft() for _ in range(len(columns))))
            table = pa.Table.from_arrays(list(taken), schema=self._dataset.schema)
        return _Window(replace(start, taken=0), end, table, start.taken)

    def _shuffled(self, start: Position, rows: int) -> Any:
        """A permutation of the rows of a window, specific to this window, reader and epoch."""
        seed = (self._dataset.seed or 0, start.epoch, self._share.index, self._share.count, start.window)
        return pa.array(np.random.default_rng(seed).permutation(rows))

    def _read_from(self, start: Position, pool: Executor) -> Iterator[tuple[int, Piece, pa.Table]]:
        depth = self._dataset.read_ahead
        opened = prefetch(pool, self._pieces_of, self._parts(start), depth)
        pieces = (piece for pieces_of_file in opened for piece in pieces_of_file)
        yield from prefetch(pool, self._read, pieces, depth)

    def _parts(self, start: Position) -> Iterator[tuple[int, int, int]]:
        """The parts of files in the share, from `start` on: position of the file in the order, first row, end."""
        for file in range(start.file, len(self._order)):
            end = int(self._ends[file])
            rows = self._dataset.files.versions[self._order[file]].rows
            begin = end - rows
            if begin >= self._last:
                return
            first = max(self._first - begin, start.row if file == start.file else 0)
            last = min(self._last - begin, rows)
            if first < last:
                yield file, first, last

    def _pieces_of(self, part: tuple[int, int, int]) -> list[tuple[int, Piece]]:
        file, first, last = part
        files, where = self._dataset.files, self._dataset.where
        opened = files.open(files.versions[self._order[file]])
        return [(file, piece) for piece in opened.pieces(first, last, files.groups_of(opened, where))]

    def _read(self, piece: tuple[int, Piece]) -> tuple[int, Piece, pa.Table]:
        return *piece, self._dataset.files.read(piece[1], self._filter)


def _order(count: int, seed: int | None, epoch: int) -> Sequence[int]:
    """The files in the order of an epoch."""
    if seed is None:
        return range(count)
    return [int(number) for number in np.random.default_rng((seed, epoch)).permutation(count)]


def _one_batch(pieces: list[pa.Table]) -> pa.RecordBatch:
    """The rows of all pieces, copied only if there is more than one chunk."""
    table = pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces)
    batches = table.to_batches()
    return batches[0] if len(batches) == 1 else table.combine_chunks().to_batches()[0]
