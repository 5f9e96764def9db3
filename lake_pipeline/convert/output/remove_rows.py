"""Rewrite one published Parquet file without the rows of some raw files, and with the wider types of a contract if
given.

The other rows keep their order. Callers decide when to do this; nothing becomes visible here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_pipeline.contract.contract import Contract
from lake_pipeline.convert.output.rewrite import widened_rows, widened_schema
from lake_pipeline.convert.parquet import ParquetObject, spans_of
from lake_pipeline.model.manifest import ReducedPart
from lake_pipeline.storage.object_store import ObjectStore


def remove_rows(
    store: ObjectStore,
    key: str,
    etag: str,
    file_ids: Collection[int],
    contract: Contract | None = None,
    *,
    may_rescue: bool = False,
) -> ReducedPart:
    """Write the file at `key` again without the rows of `file_ids`, as a pending object, one row group in memory.

    With `contract`, its columns get that contract's wider types; see `rewrite` for `may_rescue`. If no row remains,
    nothing is written. Raises `ObjectMissing` or `ObjectChanged` unless the object has the version `etag`,
    `WideningRefused`, and `StorageUnavailable`.
    """
    removed: Counter[int] = Counter()
    rescued: Counter[int] = Counter()
    target: ParquetObject | None = None
    with store.open(key, etag=etag) as stream, pq.ParquetFile(stream) as parquet:
        schema = widened_schema(parquet.schema_arrow, contract) if contract else parquet.schema_arrow
        is_wider = not schema.equals(parquet.schema_arrow)
        try:
            for remaining in _remaining_rows(parquet, pa.array(sorted(file_ids), pa.int64()), removed):
                table = remaining
                if contract and is_wider:
                    table = widened_rows(remaining, schema, contract, rescued, may_rescue=may_rescue)
                if target is None:
                    target = ParquetObject(store, key, schema)
                target.write(spans_of([table]))
            return ReducedPart(
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


def _remaining_rows(parquet: pq.ParquetFile, removed_ids: pa.Array, removed: Counter[int]) -> Iterator[pa.Table]:
    """The remaining rows, row group by row group; `removed` counts the others by file."""
    for number in range(parquet.num_row_groups):
        table = parquet.read_row_group(number)
        is_removed = pc.is_in(table.column("_file_id"), value_set=removed_ids)
        files, rows = np.unique(table.column("_file_id").filter(is_removed).to_numpy(), return_counts=True)
        removed.update(dict(zip(files.tolist(), rows.tolist(), strict=True)))
        remaining = table.filter(pc.invert(is_removed))
        if remaining.num_rows:
            yield remaining
