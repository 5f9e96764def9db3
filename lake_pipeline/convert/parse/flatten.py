"""Flatten a nested table with the keys of the JSON to the flat columns of the contract.

Structs become columns, lists stay lists, names become safe. Values are never copied. If no column holds a value (an
empty list of unknown items, a field without a column), it is rescued, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.exact_json import decode
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.rescue import to_text
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.parse.cast import CastTable, json_values
from lake_pipeline.convert.parse.tolerant import value_in


def flatten(table: pa.Table, contract: Contract) -> dict[str, pa.Array]:
    """The typed columns of `contract` by name, each as long as `table` (which has its `parse_schema`)."""
    return {column.name: _column(table, column, contract) for column in contract.columns}


def _column(table: pa.Table, column: Column, contract: Contract) -> pa.Array:
    """The values of a column; nulls if a rule excludes it now."""
    if contract.parser_rules.root.at(column.path) is not column.shape:
        return pa.nulls(table.num_rows, column.type)
    return _stored(_present(table, column.path), column.shape)


def value_at(table: pa.Table, path: Path) -> pa.Array | None:
    """The values at `path`, null if any step of it is missing; None if the table has no such path."""
    # The schema keeps an index; the list of names would be built on every call.
    first = table.schema.get_field_index(path[0])
    if first < 0:
        return None
    column = table.column(first)
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    for key in path[1:]:
        position = values.type.get_field_index(key) if pa.types.is_struct(values.type) else -1
        if position < 0:
            return None
        # If no struct is null, its fields can be taken without a validity mask.
        values = pc.struct_field(values, [position]) if values.null_count else values.field(position)
    return values


def values_at(cast: CastTable, path: Path) -> pa.Array | list[Any] | None:
    """The values at `path` as they are in the records, even if they are kept as text or not stored at all."""
    for size in range(1, len(path) + 1):
        texts = cast.texts.get(path[:size])
        if texts is not None:
            rest = path[size:]
            return [_inside(text, rest) for text in texts.to_pylist()] if rest else json_values(texts)
    return value_at(cast.table, path)


def _inside(text: str | None, path: Path) -> Any:
    value = decode(text) if text is not None else None
    return value_in(value, path) if isinstance(value, dict) else None


def rescued_values(cast: CastTable, contract: Contract) -> dict[int, dict[str, Any]]:
    """Row → path text → value, for all values that no column holds although the fast parser took the row.

    These are `[]` and `{}` at a path without a type, fields without a column, and values that a pinned column rejects.
    """
    rescued: dict[int, dict[str, Any]] = {}
    for path, shape in contract.parser_rules.root.leaves():
        if path in cast.texts:
            if shape.kind is not Kind.EXCLUDED:
                for row, text in _left_over(cast, path):
                    rescued.setdefault(row, {})[show_path(path)] = decode(text)
        elif shape.storable is None and shape.kind is not Kind.NULL:
            values = _present(cast.table, path)
            for row in np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)).tolist():
                rescued.setdefault(row, {})[show_path(path)] = values[row].as_py()
    return rescued


def _left_over(cast: CastTable, path: Path) -> Iterator[tuple[int, str]]:
    """The texts at `path` that have no value in the table."""
    texts = cast.texts[path]
    lost = pc.and_(texts.is_valid(), _present(cast.table, path).is_null())
    rows = np.flatnonzero(lost.to_numpy(zero_copy_only=False))
    return zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True)


def rescued_texts(rescued: Mapping[int, dict[str, Any]], rows: int) -> pa.Array:
    """`_rescued` for this many rows."""
    if not rescued:
        return pa.nulls(rows, pa.string())
    return pa.array([to_text(rescued[row]) if row in rescued else None for row in range(rows)], pa.string())


def _present(table: pa.Table, path: Path) -> pa.Array:
    values = value_at(table, path)
    assert values is not None, "a table has every path of the contract it was parsed with"
    return values


def _stored(values: pa.Array, shape: Shape) -> pa.Array:
    """`values`, read with `shape.parse_type`, as the column stores them."""
    if shape.kind not in (Kind.LIST, Kind.STRUCT):
        return values
    if values.type == shape.store_type:
        return values
    if shape.item is not None:
        values = values if not values.offset else pa.concat_arrays([values])
        items = _stored(values.values, shape.item)
        return pa.ListArray.from_arrays(values.offsets, items, type=shape.store_type, mask=values.is_null())
    fields = [
        (name, _stored(pc.struct_field(values, [list(shape.fields).index(key)]), shape.fields[key]))
        for key, name in shape.names.items()
    ]
    return pa.StructArray.from_arrays(
        [child for _, child in fields], [name for name, _ in fields], mask=values.is_null()
    )
