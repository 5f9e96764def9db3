"""Rewrite one published Parquet file with wider types: the same rows in the same order, some integers as doubles.

Callers decide when to do this; nothing becomes visible here. If a person asked for it, an integer that a double can't
hold exactly goes to `_rescued`, as if the column had been wide from the start. Otherwise nothing is rewritten.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.paths import show_path
from lake_pipeline.contract.rescue import EXACT_INT, add_rescued
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.contract.widening import wider_type
from lake_pipeline.convert.parquet import ParquetObject, spans_of
from lake_pipeline.errors import WideningRefused
from lake_pipeline.model.manifest import RewrittenPart
from lake_pipeline.storage.object_store import ObjectStore

Mask = npt.NDArray[np.bool_]


def rewrite(store: ObjectStore, key: str, etag: str, contract: Contract, *, may_rescue: bool) -> RewrittenPart | None:
    """Write the file at `key` again with the wider types of `contract`, as a pending object, one row group in memory.

    None if no column is narrower. Raises `WideningRefused` if values would go to `_rescued` and may not,
    `ObjectMissing` or `ObjectChanged` unless the object has the version `etag`, and `StorageUnavailable`.
    """
    with store.open(key, etag=etag) as stream, pq.ParquetFile(stream) as parquet:
        schema = widened_schema(parquet.schema_arrow, contract)
        if schema.equals(parquet.schema_arrow):
            return None
        rescued: Counter[int] = Counter()
        groups = (
            widened_rows(parquet.read_row_group(number), schema, contract, rescued, may_rescue=may_rescue)
            for number in range(parquet.num_row_groups)
        )
        target = ParquetObject(store, key, schema)
        try:
            for table in groups:
                target.write(spans_of([table]))
            return RewrittenPart(object=target.finish(), replaces=etag, rows=target.rows, rescued_by_file=dict(rescued))
        except BaseException:
            target.discard()
            raise


def widened_schema(schema: pa.Schema, contract: Contract) -> pa.Schema:
    """`schema` with the wider types of `contract`."""
    wider_types = {column.name: column.type for column in contract.columns}
    return pa.schema(
        [field.with_type(wider_type(field.type, wider_types.get(field.name, field.type))) for field in schema]
    )


def widened_rows(
    table: pa.Table, schema: pa.Schema, contract: Contract, rescued: Counter[int], *, may_rescue: bool
) -> pa.Table:
    """The rows with the types of `schema`; `rescued` counts by file_id those whose first value was rescued.

    Raises `WideningRefused` if a value would go to `_rescued`, unless it `may_rescue`.
    """
    table = table.combine_chunks()
    columns = {column.name: column for column in contract.columns}
    texts: dict[int, str | None] = {}
    refused: set[str] = set()
    arrays = dict(zip(table.column_names, table.columns, strict=True))
    for field in schema:
        if not arrays[field.name].type.equals(field.type):
            values = _whole(arrays[field.name])
            inexact = _inexact(values, field.type)
            if not may_rescue and inexact.any():
                refused.add(show_path(columns[field.name].path))
                continue
            for row in np.flatnonzero(inexact).tolist():
                text = texts[row] if row in texts else arrays["_rescued"][row].as_py()
                texts[row] = _with_value(text, columns[field.name], values[row].as_py())
            arrays[field.name] = _without(values, inexact).cast(field.type)
    if refused:
        raise WideningRefused(refused)
    if texts:
        _count(rescued, table, texts)
        arrays["_rescued"] = _replaced(_whole(arrays["_rescued"]), texts)
    return pa.table(arrays, schema=schema)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _inexact(values: pa.Array, target: pa.DataType) -> Mask:
    """The rows with an integer that `target` would round to a double."""
    none: Mask = np.zeros(len(values), dtype=bool)
    if values.type.equals(target):
        return none
    if pa.types.is_int64(values.type):
        beyond = pc.or_(pc.greater(values, EXACT_INT), pc.less(values, -EXACT_INT))
        inexact: Mask = beyond.fill_null(False).to_numpy(zero_copy_only=False)
        return inexact
    if pa.types.is_struct(values.type):
        for position, field in enumerate(target):
            none |= _inexact(pc.struct_field(values, [position]), field.type)
        return none
    if pa.types.is_map(values.type):
        values = values.cast(pa.list_(pa.struct([("key", values.type.key_type), ("value", values.type.item_type)])))
        target = pa.list_(pa.struct([("key", target.key_type), ("value", target.item_type)]))
    inside = _inexact(values.flatten(), target.value_type)
    none[pc.list_parent_indices(values).to_numpy()[inside]] = True
    return none


def _without(values: pa.Array, rows: Mask) -> pa.Array:
    """The values with null at `rows`."""
    return values.take(pa.array(np.arange(len(values)), mask=rows)) if rows.any() else values


def _with_value(text: str | None, column: Column, value: Any) -> str:
    return add_rescued(text, show_path(column.path), _as_json(value, column.shape))


def _as_json(value: Any, shape: Shape) -> Any:
    """A stored value with the JSON keys that it came from. Missing keys and nulls can no longer be distinguished."""
    if value is None:
        return None
    if shape.item is not None and shape.kind is Kind.LIST:
        return [_as_json(child, shape.item) for child in value]
    if shape.kind is Kind.STRUCT:
        children = {key: (value.get(name), shape.fields[key]) for key, name in shape.names.items()}
        return {key: _as_json(child, of) for key, (child, of) in children.items() if child is not None}
    if isinstance(value, list):
        return dict(value)
    return value


def _count(rescued: Counter[int], table: pa.Table, texts: dict[int, str | None]) -> None:
    for row in texts:
        if not table.column("_rescued")[row].is_valid:
            rescued[table.column("_file_id")[row].as_py()] += 1


def _replaced(values: pa.Array, texts: dict[int, str | None]) -> pa.Array:
    mask = np.zeros(len(values), dtype=bool)
    mask[list(texts)] = True
    return pc.replace_with_mask(values, pa.array(mask), pa.array([texts[row] for row in sorted(texts)], pa.string()))
