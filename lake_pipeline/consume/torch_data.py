"""PyTorch datasets over a `CuratedDataset`: batches of tensors in the order of an epoch, or rows by number.

Numbers, booleans and times become tensors (times as integers: microseconds, or days); other columns are lists. Needs
the extra `torch`.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.distributed
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from lake_pipeline.consume.curated_files import OpenFile
from lake_pipeline.consume.dataset import Batches, CuratedDataset, Position, Share
from lake_pipeline.errors import PermanentError

KEPT_GROUPS = 8
"""Row groups that `CuratedRows` keeps decoded."""

Fill = Mapping[str, Any]
"""The replacement for null, by column."""


class CuratedBatches(IterableDataset[dict[str, Any]]):
    """Batches as dicts of tensors, for a `DataLoader` with `batch_size=None`.

    Ranks and the loader's workers divide each epoch, so that every row is in exactly one batch. `ranks` comes from
    `torch.distributed` if it is initialized, otherwise it is 1. `set_epoch` changes the order. `state_dict` and
    `load_state_dict` save the position (without workers, or with a loader that calls them in each worker).
    """

    def __init__(
        self, dataset: CuratedDataset, *, rank: int | None = None, ranks: int | None = None, fill: Fill | None = None
    ) -> None:
        super().__init__()
        is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._dataset = dataset
        self._rank = rank if rank is not None else torch.distributed.get_rank() if is_distributed else 0
        self._ranks = ranks if ranks is not None else torch.distributed.get_world_size() if is_distributed else 1
        self._fill = fill or {}
        self._epoch = 0
        self._position: Position | None = None
        self._batches: Batches | None = None

    def set_epoch(self, epoch: int) -> None:
        """Start the next iteration at the beginning of this epoch."""
        self._epoch, self._position, self._batches = epoch, None, None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        share = Share(index=self._rank * workers + number, count=self._ranks * workers)
        self._batches = self._dataset.batches(epoch=self._epoch, share=share, position=self._position)
        self._position = None
        try:
            for batch in self._batches:
                yield tensors(batch, self._fill)
        finally:
            self._batches.close()

    def state_dict(self) -> dict[str, int]:
        """The position of the reader."""
        position = self._batches.position if self._batches else self._position or Position(epoch=self._epoch)
        return position.as_json()

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration at this position."""
        self._position = Position.of_json(state)
        self._epoch = self._position.epoch


class CuratedRows(Dataset[dict[str, Any]]):
    """Rows by number, for samplers. Reading a row decodes its row group; the last few row groups are cached.

    Use `CuratedBatches` for random order over much data. Raises `PermanentError` for a dataset with a filter on values,
    because its number of rows is unknown before all are read.
    """

    def __init__(self, dataset: CuratedDataset, *, fill: Fill | None = None, kept_groups: int = KEPT_GROUPS) -> None:
        if dataset.where is not None:
            raise PermanentError("Rows with a filter have no numbers; read them with CuratedBatches, or select days.")
        self._files = dataset.files
        self._fill = fill or {}
        self._kept_groups = kept_groups
        self._ends = np.cumsum([version.rows for version in self._files.versions], dtype=np.int64).tolist()
        self._opened: dict[tuple[int, int], OpenFile] = {}
        self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of a batch, decoded row group by row group."""
        locations = [self._locate(number) for number in numbers]
        rows: list[dict[str, Any]] = [{}] * len(numbers)
        for group in dict.fromkeys((file, group) for file, group, _ in locations):
            indices = [index for index, location in enumerate(locations) if location[:2] == group]
            taken = self._group(*group).take([locations[index][2] for index in indices])
            columns = tensors(taken.combine_chunks().to_batches()[0], self._fill)
            for at, index in enumerate(indices):
                rows[index] = {name: values[at] for name, values in columns.items()}
        return rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}, "_groups": OrderedDict()}

    def _locate(self, number: int) -> tuple[int, int, int]:
        """File, row group, and row in the row group."""
        count = len(self)
        if not -count <= number < count:
            raise IndexError(number)
        number %= count
        file = bisect_right(self._ends, number)
        row = number - (self._ends[file - 1] if file else 0)
        for group, rows in enumerate(self._file(file).group_rows):
            if row < rows:
                return file, group, row
            row -= rows
        raise AssertionError("a file has the rows that were counted when it was opened")

    def _file(self, number: int) -> OpenFile:
        # A forked worker must not share the connections of its parent.
        own = os.getpid(), number
        if own not in self._opened:
            self._opened[own] = self._files.open(self._files.versions[number])
        return self._opened[own]

    def _group(self, file: int, group: int) -> pa.Table:
        table = self._groups.pop((file, group), None)
        if table is None:
            opened = self._file(file)
            begin = sum(opened.group_rows[:group])
            [piece] = opened.pieces(begin, begin + opened.group_rows[group], frozenset([group]))
            table = self._files.read(piece, None)
        self._groups[file, group] = table
        while len(self._groups) > self._kept_groups:
            self._groups.popitem(last=False)
        return table


def tensors(batch: pa.RecordBatch, fill: Fill | None = None) -> dict[str, Any]:
    """The columns of a batch: tensors if PyTorch has the type, otherwise lists.

    Nulls in floating-point columns are NaN. Raises `PermanentError` for nulls in other tensors without a `fill`.
    """
    return {
        name: _tensor(name, column, (fill or {}).get(name))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def _tensor(name: str, column: pa.Array, fill: Any) -> Any:
    column = _as_number(column if fill is None else pc.fill_null(column, fill))
    if not _is_number(column.type):
        return column.to_pylist()
    if column.null_count and not pa.types.is_floating(column.type):
        raise PermanentError(
            f"Column {name} has nulls, which a tensor of {column.type} cannot represent: replace them "
            f"(fill={{{name!r}: 0}}), or exclude these rows (where=~pc.field({name!r}).is_null())."
        )
    return torch.from_numpy(np.array(column.to_numpy(zero_copy_only=False)))


def _as_number(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type) or pa.types.is_date64(column.type) or pa.types.is_time(column.type):
        return column.cast(pa.int64())
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_))
