"""Flattening: from a nested table with the keys of the JSON to the flat columns of the contract.

Structs become columns, lists stay lists, names become safe. Values are never copied; what no column holds (an empty
list of unknown items, a field without a column) is rescued, so that nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_pipeline.contract.contract import Column, Contract
from lake_pipeline.contract.exact import decode
from lake_pipeline.contract.paths import Path, show_path
from lake_pipeline.contract.rescue import to_text
from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.making import Made, json_values
from lake_pipeline.convert.tolerant import value_in


def flatten(table: pa.Table, contract: Contract) -> dict[str, pa.Array]:
    """The typed columns of `contract` by name, each as long as `table` (which has its `parse_schema`)."""
    return {column.name: _column(table, column, contract) for column in contract.columns}


def _column(table: pa.Table, column: Column, contract: Contract) -> pa.Array:
    """The values of a column; nulls where a rule excludes them by now."""
    if contract.reading.root.at(column.path) is not column.shape:
        return pa.nulls(table.num_rows, column.type)
    return _stored(_present(table, column.path), column.shape)


def value_at(table: pa.Table, path: Path) -> pa.Array | None:
    """The values at `path`, null where any step of it is missing; None where the table has no such path."""
    # By the index that the schema keeps; the list of names is made anew each time it is asked for.
    first = table.schema.get_field_index(path[0])
    if first < 0:
        return None
    column = table.column(first)
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    for key in path[1:]:
        position = values.type.get_field_index(key) if pa.types.is_struct(values.type) else -1
        if position < 0:
            return None
        # What stands in structs that are all there needs no look at which of them are.
        values = pc.struct_field(values, [position]) if values.null_count else values.field(position)
    return values


def values_at(made: Made, path: Path) -> pa.Array | list[Any] | None:
    """The values at `path` as they stood in the records, also where they are kept as text or stored nowhere."""
    for size in range(1, len(path) + 1):
        texts = made.texts.get(path[:size])
        if texts is not None:
            rest = path[size:]
            return [_inside(text, rest) for text in texts.to_pylist()] if rest else json_values(texts)
    return value_at(made.table, path)


def _inside(text: str | None, path: Path) -> Any:
    value = decode(text) if text is not None else None
    return value_in(value, path) if isinstance(value, dict) else None


def rescued_values(made: Made, contract: Contract) -> dict[int, dict[str, Any]]:
    """Row → shown path → value, of all that no column holds although the row was shredded.

    `[]` and `{}` at a path that has no type yet, fields without a column, values that no pinned column takes.
    """
    rescued: dict[int, dict[str, Any]] = {}
    for path, shape in contract.reading.root.leaves():
        if path in made.texts:
            if shape.kind is not Kind.EXCLUDED:
                for row, text in _left_over(made, path):
                    rescued.setdefault(row, {})[show_path(path)] = decode(text)
        elif shape.storable is None and shape.kind is not Kind.NULL:
            values = _present(made.table, path)
            for row in np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False)).tolist():
                rescued.setdefault(row, {})[show_path(path)] = values[row].as_py()
    return rescued


def _left_over(made: Made, path: Path) -> Iterator[tuple[int, str]]:
    """The texts at `path` that are not in the table."""
    texts = made.texts[path]
    lost = pc.and_(texts.is_valid(), _present(made.table, path).is_null())
    rows = np.flatnonzero(lost.to_numpy(zero_copy_only=False))
    return zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True)


def rescued_texts(rescued: Mapping[int, dict[str, Any]], rows: int) -> pa.Array:
    """`_rescued` for so many rows."""
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
