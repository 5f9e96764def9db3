"""Shapes: what kind of JSON value stands where, as an immutable tree.

A shape grows and never changes its mind: what is typed stays typed, and a value that does not fit is rescued.
`NULL` means that no value was seen yet. Arrow types are made here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.naming import safe_names
from lake_pipeline.contract.paths import Path


class Kind(StrEnum):
    """The kinds of JSON values, numbers split as Parquet needs them (64 bits each)."""

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    LIST = "list"
    STRUCT = "struct"


_SCALARS: dict[Kind, pa.DataType] = {
    Kind.NULL: pa.null(),
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.STRING: pa.string(),
}


@dataclass(frozen=True)
class Shape:
    """One node: `fields` (in order of appearance) where it is a STRUCT, `item` where it is a LIST."""

    kind: Kind
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None

    @cached_property
    def parse_type(self) -> pa.DataType:
        """The Arrow type to read JSON with: the keys of the JSON, untyped parts as nulls."""
        if self.kind is Kind.STRUCT:
            return pa.struct([pa.field(key, shape.parse_type) for key, shape in self.fields.items()])
        if self.item is not None:
            return pa.list_(self.item.parse_type)
        return _SCALARS[self.kind]

    @cached_property
    def storable(self) -> Shape | None:
        """This shape without its untyped parts; None where nothing is left."""
        if self.kind is Kind.STRUCT:
            fields = {key: shape.storable for key, shape in self.fields.items()}
            kept = {key: shape for key, shape in fields.items() if shape is not None}
            return Shape(Kind.STRUCT, kept) if kept else None
        if self.item is not None:
            item = self.item.storable
            return Shape(Kind.LIST, item=item) if item else None
        return None if self.kind is Kind.NULL else self

    @cached_property
    def store_type(self) -> pa.DataType:
        """The Arrow type to store a storable shape with: keys as safe names."""
        if self.kind is Kind.STRUCT:
            names = safe_names(self.fields)
            return pa.struct([pa.field(names[key], shape.store_type) for key, shape in self.fields.items()])
        if self.item is not None:
            return pa.list_(pa.field("element", self.item.store_type))
        return _SCALARS[self.kind]

    @cached_property
    def is_settled(self) -> bool:
        """True where no part of it is untyped: parsed values need no second look."""
        if self.kind is Kind.STRUCT:
            return bool(self.fields) and all(shape.is_settled for shape in self.fields.values())
        if self.item is not None:
            return self.item.is_settled
        return self.kind is not Kind.NULL

    @cached_property
    def has_double(self) -> bool:
        """True where a double stands anywhere in it."""
        if self.item is not None:
            return self.item.has_double
        return self.kind is Kind.DOUBLE or any(shape.has_double for shape in self.fields.values())

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Shape]]:
        """The nodes that can be columns, with their paths: all but structs that have fields."""
        if self.kind is Kind.STRUCT and self.fields:
            for key, shape in self.fields.items():
                yield from shape.leaves((*path, key))
        elif path:
            yield path, self

    def grown(self, seen: Shape) -> Shape:
        """This shape with what `seen` adds. What this shape has typed already stays as it is."""
        if self.kind is Kind.NULL:
            return seen
        if self.kind is not seen.kind:
            return self
        if self.kind is Kind.STRUCT:
            fields = dict(self.fields)
            for key, shape in seen.fields.items():
                fields[key] = fields[key].grown(shape) if key in fields else shape
            return self if fields == self.fields else Shape(Kind.STRUCT, fields)
        if self.item is not None and seen.item is not None:
            return Shape(Kind.LIST, item=self.item.grown(seen.item))
        return self

    def to_json(self) -> Any:
        """A scalar as its kind, a list as `[item]`, a struct as `{"fields": [[key, shape], …]}`.

        Pairs, because PostgreSQL's jsonb sorts the keys of objects, and the order of columns matters.
        """
        if self.kind is Kind.STRUCT:
            return {"fields": [[key, shape.to_json()] for key, shape in self.fields.items()]}
        return [self.item.to_json()] if self.item is not None else self.kind.value

    @classmethod
    def from_json(cls, data: Any) -> Shape:
        """The inverse of `to_json`."""
        if isinstance(data, dict):
            return cls(Kind.STRUCT, {key: cls.from_json(shape) for key, shape in data["fields"]})
        if isinstance(data, list):
            return cls(Kind.LIST, item=cls.from_json(data[0]))
        return cls(Kind(data))


EMPTY = Shape(Kind.STRUCT)


def can_read(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a reader that expects `expected` reads a stored `found`: equal, but for struct fields that came later."""
    if pa.types.is_struct(found) and pa.types.is_struct(expected):
        later = {field.name: field.type for field in expected}
        return all(field.name in later and can_read(field.type, later[field.name]) for field in found)
    if pa.types.is_list(found) and pa.types.is_list(expected):
        return can_read(found.value_type, expected.value_type)
    return bool(found == expected)
