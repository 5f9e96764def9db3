"""Widening: a column of integers becomes a column of doubles if fractions arrive. No other type ever changes.

This module has the rules, for shapes and for Arrow types. When a column is widened, and how published files are
rewritten, is decided in `usecases/rewrites/widen_columns.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lake_pipeline.contract.paths import Path
from lake_pipeline.contract.shapes import Kind, Shape

if TYPE_CHECKING:
    # See shapes.
    import pyarrow as pa


def wider(shape: Shape, seen: Shape) -> Shape:
    """`shape` with doubles in place of the integers for which `seen` has doubles; `shape` itself if there are none."""
    if shape.kind is Kind.INT and seen.kind is Kind.DOUBLE:
        return seen
    if shape.kind is not seen.kind:
        return shape
    if shape.item is not None and seen.item is not None:
        item = wider(shape.item, seen.item)
        return shape if item is shape.item else replace(shape, item=item)
    fields = {key: wider(child, seen.fields[key]) for key, child in shape.fields.items() if key in seen.fields}
    if all(child is shape.fields[key] for key, child in fields.items()):
        return shape
    return replace(shape, fields={**shape.fields, **fields})


def wider_at(shape: Shape, path: Path, seen: Shape) -> Shape:
    """`shape`, widened at `path` by the part of `seen` at `path`."""
    if not path:
        return wider(shape, seen)
    key, rest = path[0], path[1:]
    if key not in shape.fields or key not in seen.fields:
        return shape
    child = wider_at(shape.fields[key], rest, seen.fields[key])
    return shape if child is shape.fields[key] else replace(shape, fields={**shape.fields, key: child})


def all_doubles(shape: Shape) -> Shape:
    """`shape` with a double for each of its integers."""
    if shape.kind is Kind.INT:
        return Shape(Kind.DOUBLE)
    item = all_doubles(shape.item) if shape.item is not None else None
    return replace(shape, item=item, fields={key: all_doubles(child) for key, child in shape.fields.items()})


def integers(shape: Shape) -> Iterator[Shape]:
    """Every integer in `shape`."""
    if shape.kind is Kind.INT:
        yield shape
    for child in (*shape.fields.values(), *((shape.item,) if shape.item is not None else ())):
        yield from integers(child)


def wider_type(stored: pa.DataType, expected: pa.DataType) -> pa.DataType:
    """`stored` with doubles in place of the integers for which `expected` has doubles.

    Struct fields that `stored` lacks are not added: they are newer, and readers fill them with nulls.
    """
    import pyarrow as pa

    if pa.types.is_int64(stored) and pa.types.is_float64(expected):
        return expected
    if pa.types.is_struct(stored) and pa.types.is_struct(expected):
        types = {field.name: field.type for field in expected}
        return pa.struct(
            [field.with_type(wider_type(field.type, types.get(field.name, field.type))) for field in stored]
        )
    if pa.types.is_list(stored) and pa.types.is_list(expected):
        item = stored.value_field
        return pa.list_(item.with_type(wider_type(item.type, expected.value_type)))
    if pa.types.is_map(stored) and pa.types.is_map(expected):
        return pa.map_(stored.key_field, stored.item_field.with_type(wider_type(stored.item_type, expected.item_type)))
    return stored
