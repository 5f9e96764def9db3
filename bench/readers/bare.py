"""Reading for training with pyarrow alone, the baseline for `CuratedDataset`.

Each function yields what the reader does, through `Dataset.to_batches` with its own threads and prefetching. It uses
nothing of lake_pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds


def scan(paths: Sequence[str], columns: Sequence[str], where: Any = None) -> Iterator[pa.RecordBatch]:
    """Batches of the scan: up to 131,072 rows, none across two row groups."""
    yield from ds.dataset(list(paths), format="parquet").to_batches(columns=list(columns), filter=where)


def rebatched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of exactly `rows` rows, the last one fewer; copied only if one spans two batches of the scan."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        while batch.num_rows:
            piece = batch.slice(0, rows - sum(part.num_rows for part in pending))
            pending.append(piece)
            batch = batch.slice(piece.num_rows)
            if sum(part.num_rows for part in pending) == rows:
                yield pending[0] if len(pending) == 1 else pa.concat_batches(pending)
                pending = []
    if pending:
        yield pa.concat_batches(pending)


def shuffled(batches: Iterable[pa.RecordBatch], window: int, rows: int) -> Iterator[pa.RecordBatch]:
    """The same, with each window of rows in random order: one `take` per window, and slices of it."""
    rng = np.random.default_rng(1)
    for whole in _windows(batches, window):
        mixed = whole.take(pa.array(rng.permutation(whole.num_rows))).combine_chunks()
        yield from mixed.to_batches(max_chunksize=rows)


def _windows(batches: Iterable[pa.RecordBatch], window: int) -> Iterator[pa.Table]:
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        if sum(part.num_rows for part in pending) >= window:
            yield pa.Table.from_batches(pending)
            pending = []
    if pending:
        yield pa.Table.from_batches(pending)


def tensors(batch: pa.RecordBatch) -> dict[str, Any]:
    """Columns of numbers as tensors with their own memory, so that training may modify them."""
    import torch

    return {
        name: torch.from_numpy(column.to_numpy(zero_copy_only=False).copy())
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
