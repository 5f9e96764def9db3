"""Compatibility: whether every reader, without options, can read data of one shape as another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_pipeline.contract.shapes import Shape

if TYPE_CHECKING:
    # See shapes.
    import pyarrow as pa


def reads_as(written: Shape, expected: Shape) -> bool:
    """Whether a column written with one shape reads as the other: the same types, each key under the same name."""
    return can_read(written.store_type, expected.store_type) and same_names(written, expected)


def can_read(stored: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a reader that expects `expected` can read `stored`: equal, except for struct fields added later."""
    import pyarrow as pa

    if pa.types.is_struct(stored) and pa.types.is_struct(expected):
        later = {field.name: field.type for field in expected}
        return all(field.name in later and can_read(field.type, later[field.name]) for field in stored)
    if pa.types.is_list(stored) and pa.types.is_list(expected):
        return can_read(stored.value_type, expected.value_type)
    return bool(stored == expected)


def same_names(written: Shape, expected: Shape) -> bool:
    """Whether every key stored in `written` has the same name in `expected`, in lists too."""
    if written.item is not None and expected.item is not None:
        return same_names(written.item, expected.item)
    return all(
        expected.names.get(key) == name and same_names(written.fields[key], expected.fields[key])
        for key, name in written.names.items()
    )
