"""Reading for training with pyarrow alone: what `CuratedDataset` is measured against.

Each function hands out what the reader beside it does, by `Dataset.to_batches` with its own threads and read-ahead.
Nothing of lake_pipeline is used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds


def scan(paths: Sequence[str], columns: Sequence[str], where: Any = None) -> Iterator[pa.RecordBatch]:
    """Batches as the scan makes them: up to 131,072 rows, none across two row groups."""
    yield from ds.dataset(list(paths), format="parquet").to_batches(columns=list(columns), filter=where)


def rebatched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of just so many rows, the last one fewer; copied only where one spans two of the scan's."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        while batch.num_rows:
            piece = batch.slice(0, rows - sum(each.num_rows for each in held))
            held.append(piece)
            batch = batch.slice(piece.num_rows)
            if sum(each.num_rows for each in held) == rows:
                yield held[0] if len(held) == 1 else pa.concat_batches(held)
                held = []
    if held:
        yield pa.concat_batches(held)


def shuffled(batches: Iterable[pa.RecordBatch], window: int, rows: int) -> Iterator[pa.RecordBatch]:
    """The same, each `window` rows in a random order: one `take` for each, and slices of that."""
    chosen = np.random.default_rng(1)
    for whole in _windows(batches, window):
        mixed = whole.take(pa.array(chosen.permutation(whole.num_rows))).combine_chunks()
        yield from mixed.to_batches(max_chunksize=rows)


def _windows(batches: Iterable[pa.RecordBatch], window: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.num_rows for each in held) >= window:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def tensors(batch: pa.RecordBatch) -> dict[str, Any]:
    """Columns of numbers as tensors of their own memory, which training may change."""
    import torch

    return {
        name: torch.from_numpy(column.to_numpy(zero_copy_only=False).copy())
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
