"""`CuratedDataset`: rows for training, from a snapshot or a selection, in an order that can be had again.

    files in the order of the epoch → the share of one reader → row groups, read ahead → windows, shuffled → batches

Every row is in the share of exactly one of the readers of an epoch. Memory is bounded: by the row groups that are read
ahead, a batch, and for shuffled rows the window that is given out and the next one, which is made meanwhile. PyTorch
gets its own forms in `torch_data`.
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

from lake_pipeline.consume.ahead import ahead, next_ahead
from lake_pipeline.consume.files import CuratedFiles, Piece
from lake_pipeline.ingest.lake import Lake
from lake_pipeline.model.selections import Selection

if TYPE_CHECKING:
    import pandas
    import polars

BATCH_ROWS = 16_384

WINDOW_ROWS = 262_144
"""Rows that are shuffled among each other, beside the order of the files: 100 MB of 400 bytes each."""

READ_AHEAD = min(pa.cpu_count(), 8)
"""Row groups that are read before they are asked for: one for each core, as one thread decodes each. Twice as many were
no faster on two cores; more than eight would be much memory, 50 MB each of 131,072 rows of 400 bytes."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """One of `count` readers that have an epoch between them: ranks, workers, or both."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"reader {self.index} of {self.count}: they are numbered from 0")


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a reader stands: row `taken` of window `window`, which begins at row `row` of the file at `file`.

    Reading on from there is only the same rows with the same dataset, epoch and share. `as_json` and `of_json` keep it.
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
    """Rows of published files: `columns` of those that fit `where`, an expression of `pyarrow.compute`.

    Batches have `batch_rows` rows, the last one fewer; with None they come as they are read, and nothing is copied.
    With a `seed` files come in another order in each epoch, and rows are shuffled within windows of `window_rows`;
    without one they come as they are stored.
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
        """The rows of a snapshot: the same whenever it is read. `options` are the fields of this class.

        Raises `PermanentError` for a snapshot or a column that is not there.
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
        """What is published now of some days and modes. A rebuild while it is read ends it with an error."""
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
        """The rows of its files; fewer are read where `where` leaves some out."""
        return sum(version.rows for version in self.files.versions)

    def batches(self, *, epoch: int = 0, share: Share | None = None, position: Position | None = None) -> Batches:
        """The batches of an epoch, or of one reader's share of it; from a `position` on, which names the epoch too."""
        return Batches(self, share or Share(), position or Position(epoch=epoch), begun=position is not None)

    def table(self) -> pa.Table:
        """All rows at once, for what fits into memory."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)

    def pandas(self, *, epoch: int = 0, share: Share | None = None) -> Iterator[pandas.DataFrame]:
        """The batches as frames of pandas."""
        return (batch.to_pandas() for batch in self.batches(epoch=epoch, share=share))

    def polars(self, *, epoch: int = 0, share: Share | None = None) -> Iterator[polars.DataFrame]:
        """The batches as frames of Polars, which must be installed."""
        import polars

        for batch in self.batches(epoch=epoch, share=share):
            frame = polars.from_arrow(batch)
            assert isinstance(frame, polars.DataFrame), "a batch has columns"
            yield frame


@dataclass
class _Window:
    """Rows that are shuffled together. They begin at `start`, `taken` of them were given out, and `end` follows."""

    start: Position
    end: Position
    table: pa.Table
    taken: int

    @property
    def left(self) -> int:
        return int(self.table.num_rows) - self.taken

    def take_chunk(self) -> pa.RecordBatch:
        """The next rows that lie together in memory."""
        chunk = self.table.slice(self.taken).to_batches()[0]
        self.taken += chunk.num_rows
        return chunk

    def take(self, rows: int) -> pa.Table:
        """The next rows, at most so many."""
        found = self.table.slice(self.taken, min(rows, self.left))
        self.taken += found.num_rows
        return found


class Batches(Iterator[pa.RecordBatch]):
    """The batches of one reader. `position` is where it stands behind the last one that was given out.

    Reading ahead ends with the last batch, or with `close`.
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
        # Unshuffled, a window is a row group that was read ahead anyway.
        self._windows = windows if dataset.seed is None else next_ahead(windows)

    @property
    def position(self) -> Position:
        """Where reading goes on."""
        return replace(self._open[0].start, taken=self._open[0].taken) if self._open else self._next

    def __next__(self) -> pa.RecordBatch:
        wanted = self._dataset.batch_rows
        self._fill(wanted or 1)
        if not self._open:
            raise StopIteration
        batch = self._open[0].take_chunk() if wanted is None else _one_batch(list(self._take(wanted)))
        self._drop_empty()
        return batch

    def _fill(self, wanted: int) -> None:
        """Open windows until they have so many rows, or there are no more."""
        while sum(window.left for window in self._open) < wanted:
            window = next(self._windows, None)
            if window is None:
                return
            self._open.append(window)
            self._drop_empty()

    def _take(self, wanted: int) -> Iterator[pa.Table]:
        while self._open and wanted:
            piece = self._open[0].take(wanted)
            wanted -= piece.num_rows
            yield piece
            self._drop_empty()

    def _drop_empty(self) -> None:
        while self._open and not self._open[0].left:
            self._next = self._open.popleft().end

    def close(self) -> None:
        """End reading ahead; the position stays."""
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
        with ThreadPoolExecutor(max(dataset.read_ahead, 1), thread_name_prefix="read-ahead") as pool:
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
        """Of the tables, which are taken away."""
        table = pa.concat_tables(tables) if tables else self._dataset.schema.empty_table()
        tables.clear()
        if self._dataset.seed is not None:
            order, columns = self._shuffled(start, table.num_rows), deque(table.columns)
            del table
            # A column is let go of once it is taken, so a window that is shuffled is not twice in memory.
            taken = pool.map(partial(pc.take, indices=order), (columns.popleft() for _ in range(len(columns))))
            table = pa.Table.from_arrays(list(taken), schema=self._dataset.schema)
        return _Window(replace(start, taken=0), end, table, start.taken)

    def _shuffled(self, start: Position, rows: int) -> Any:
        """The numbers of the rows of a window, in an order that only this window of this reader and epoch has."""
        of = (self._dataset.seed or 0, start.epoch, self._share.index, self._share.count, start.window)
        return pa.array(np.random.default_rng(of).permutation(rows))

    def _read_from(self, start: Position, pool: Executor) -> Iterator[tuple[int, Piece, pa.Table]]:
        depth = self._dataset.read_ahead
        opened = ahead(pool, self._pieces_of, self._parts(start), depth)
        pieces = (found for of_file in opened for found in of_file)
        yield from ahead(pool, self._read, pieces, depth)

    def _parts(self, start: Position) -> Iterator[tuple[int, int, int]]:
        """Which rows of which files are in the share, from `start` on: file in the order, first row, end."""
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
    return [int(each) for each in np.random.default_rng((seed, epoch)).permutation(count)]


def _one_batch(pieces: list[pa.Table]) -> pa.RecordBatch:
    """The rows of all pieces; copied only where they come from more than one place."""
    table = pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces)
    batches = table.to_batches()
    return batches[0] if len(batches) == 1 else table.combine_chunks().to_batches()[0]
