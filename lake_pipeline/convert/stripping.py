"""Stripping one published Parquet file: the same rows in the same order, without those of some raw files, and with the
wider types of a contract where that is asked for.

Nothing is decided here about when that is done, and nothing becomes visible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.parquet import ParquetObject, spans_of
from lake_pipeline.convert.rewriting import widened_rows, widened_schema
from lake_pipeline.model.manifest import StrippedPart
from lake_pipeline.storage.objects import ObjectStore


def strip(
    store: ObjectStore, key: str, etag: str, file_ids: Collection[int], contract: Contract | None = None
) -> StrippedPart:
    """Write the file at `key` again without the rows of `file_ids`, as a pending object; memory of a row group.

    With `contract`, its columns get the wider types of that. Where no row stays, nothing is written. Raises
    `ObjectMissing` or `ObjectChanged` unless the version `etag` stands there, and `StorageUnavailable`.
    """
    removed: Counter[int] = Counter()
    rescued: Counter[int] = Counter()
    target: ParquetObject | None = None
    with store.open(key, etag=etag) as stream, pq.ParquetFile(stream) as parquet:
        schema = widened_schema(parquet.schema_arrow, contract) if contract else parquet.schema_arrow
        is_wider = not schema.equals(parquet.schema_arrow)
        try:
            for kept in _kept(parquet, pa.array(sorted(file_ids), pa.int64()), removed):
                table = widened_rows(kept, schema, contract, rescued) if contract and is_wider else kept
                if target is None:
                    target = ParquetObject(store, key, schema)
                target.write(spans_of([table]))
            return StrippedPart(
                key=key,
                replaces=etag,
                rows=target.rows if target else 0,
                removed_by_file=dict(removed),
                object=target.finish() if target else None,
                is_wider=is_wider,
                rescued_by_file=dict(rescued),
            )
        except BaseException:
            if target:
                target.discard()
            raise


def _kept(parquet: pq.ParquetFile, gone: pa.Array, removed: Counter[int]) -> Iterator[pa.Table]:
    """The rows that stay, row group by row group; `removed` counts the others by file."""
    for number in range(parquet.num_row_groups):
        table = parquet.read_row_group(number)
        goes = pc.is_in(table.column("_file_id"), value_set=gone)
        files, rows = np.unique(table.column("_file_id").filter(goes).to_numpy(), return_counts=True)
        removed.update(dict(zip(files.tolist(), rows.tolist(), strict=True)))
        kept = table.filter(pc.invert(goes))
        if kept.num_rows:
            yield kept
