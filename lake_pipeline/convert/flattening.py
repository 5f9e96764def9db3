"""Flattening: from a nested table with the keys of the JSON to the flat columns of the contract.

Structs become columns, lists stay lists, names become safe. Values are never copied; what has no typed column
yet (an empty list of unknown items, an empty object) is rescued, so that nothing is dropped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_pipeline.contract.contract import Contract
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.rescue import to_text
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.parsing import whole


def flatten(table: pa.Table, contract: Contract) -> dict[str, pa.Array]:
    """The typed columns of `contract` by name, each as long as `table` (which has its `parse_schema`)."""
    return {
        column.name: _stored(_present(table, column.path), _shape_at(contract.root, column.path))
        for column in contract.columns
    }


def value_at(table: pa.Table, path: Path) -> pa.Array | None:
    """The values at `path`, null where any step of it is missing; None where the table has no such path."""
    if path[0] not in table.column_names:
        return None
    values = whole(table.column(path[0]))
    for key in path[1:]:
        position = values.type.get_field_index(key) if pa.types.is_struct(values.type) else -1
        if position < 0:
            return None
        values = pc.struct_field(values, [position])
    return values


def _present(table: pa.Table, path: Path) -> pa.Array:
    values = value_at(table, path)
    assert values is not None, "a table has every path of the contract it was parsed with"
    return values


def rescue_untyped(table: pa.Table, contract: Contract) -> pa.Array:
    """`_rescued` for rows with `[]` or `{}` at a path that has no type yet; null for all others."""
    rescued: dict[int, dict[str, Any]] = {}
    for path, shape in contract.root.leaves():
        if shape.storable is None and shape.kind is not Kind.NULL:
            values = _present(table, path)
            for row in np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)).tolist():
                rescued.setdefault(row, {})[show_path(path)] = values[row].as_py()
    if not rescued:
        return pa.nulls(table.num_rows, pa.string())
    return pa.array([to_text(rescued[row]) if row in rescued else None for row in range(table.num_rows)], pa.string())


def _shape_at(root: Shape, path: Path) -> Shape:
    for key in path:
        root = root.fields[key]
    return root


def _stored(values: pa.Array, shape: Shape) -> pa.Array:
    """`values`, read with `shape.parse_type`, as the column stores them."""
    if shape.kind not in (Kind.LIST, Kind.STRUCT):
        return values
    stored = shape.storable
    assert stored is not None, "only typed columns are stored"
    if values.type == stored.store_type:
        return values
    if shape.item is not None:
        values = values if not values.offset else pa.concat_arrays([values])
        items = _stored(values.values, shape.item)
        return pa.ListArray.from_arrays(values.offsets, items, type=stored.store_type, mask=values.is_null())
    fields = [
        (name.name, _stored(pc.struct_field(values, [list(shape.fields).index(key)]), shape.fields[key]))
        for key, name in zip(stored.fields, stored.store_type, strict=True)
    ]
    return pa.StructArray.from_arrays(
        [child for _, child in fields], [name for name, _ in fields], mask=values.is_null()
    )
