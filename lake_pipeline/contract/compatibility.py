"""Compatibility: whether what was written with one shape reads as another, by every reader and without options."""

from __future__ import annotations

import pyarrow as pa

from lake_pipeline.contract.shapes import Shape


def reads_as(written: Shape, expected: Shape) -> bool:
    """Whether a column written with one shape reads as the other: the same types, each key under the same name."""
    return can_read(written.store_type, expected.store_type) and same_names(written, expected)


def can_read(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a reader that expects `expected` reads a stored `found`: equal, but for struct fields that came later."""
    if pa.types.is_struct(found) and pa.types.is_struct(expected):
        later = {field.name: field.type for field in expected}
        return all(field.name in later and can_read(field.type, later[field.name]) for field in found)
    if pa.types.is_list(found) and pa.types.is_list(expected):
        return can_read(found.value_type, expected.value_type)
    return bool(found == expected)


def same_names(found: Shape, expected: Shape) -> bool:
    """Whether every key that `found` stores has the name in `expected` that it has in `found`, in lists too."""
    if found.item is not None and expected.item is not None:
        return same_names(found.item, expected.item)
    return all(
        expected.names.get(key) == name and same_names(found.fields[key], expected.fields[key])
        for key, name in found.names.items()
    )
