"""Shapes: what kind of JSON value stands where, as an immutable tree.

A shape grows and never changes its mind: what is typed stays typed, and a value that does not fit is rescued.
`NULL` means that no value was seen yet. Arrow types are made here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import pyarrow as pa

from lake_pipeline.contract.naming import safe_names
from lake_pipeline.contract.paths import Path


class Kind(StrEnum):
    """The kinds of JSON values, numbers split as Parquet needs them (64 bits each), and those that only a rule or a
    limit gives: they are made from the text of a value as it was written, and never stand in a list.
    """

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    LIST = "list"
    STRUCT = "struct"
    JSON = "json"
    """Any value, as its text."""
    TEXT = "text"
    """A string, or the digits of a number, or true or false."""
    TIMESTAMP = "timestamp"
    DATE = "date"
    DECIMAL = "decimal"
    RESCUED = "rescued"
    """A known field without a column: its values are rescued."""
    EXCLUDED = "excluded"
    """A field whose values are stored nowhere."""


MADE_FROM_TEXT = frozenset({Kind.JSON, Kind.TEXT, Kind.TIMESTAMP, Kind.DATE, Kind.DECIMAL})
"""Kinds of columns that need the text of a value as it was written."""

WITHOUT_COLUMN = frozenset({Kind.RESCUED, Kind.EXCLUDED})

_SCALARS: dict[Kind, pa.DataType] = {
    Kind.NULL: pa.null(),
    Kind.BOOL: pa.bool_(),
    Kind.INT: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.STRING: pa.string(),
    Kind.JSON: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.DATE: pa.date32(),
    Kind.RESCUED: pa.null(),
    Kind.EXCLUDED: pa.null(),
}
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@dataclass(frozen=True)
class Shape:
    """One node: `fields` (in order of appearance) where it is a STRUCT, `item` where it is a LIST.

    `digits` of a DECIMAL are how many it has, and how many of them behind the point.
    """

    kind: Kind
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    digits: tuple[int, int] | None = None

    @cached_property
    def parse_type(self) -> pa.DataType:
        """The Arrow type to read JSON with: the keys of the JSON, untyped parts as nulls."""
        if self.kind is Kind.STRUCT:
            return pa.struct([pa.field(key, shape.parse_type) for key, shape in self.fields.items()])
        if self.item is not None:
            return pa.list_(self.item.parse_type)
        return self._scalar_type

    @property
    def _scalar_type(self) -> pa.DataType:
        return pa.decimal128(*self.digits) if self.digits is not None else _SCALARS[self.kind]

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
        return None if self.kind is Kind.NULL or self.kind in WITHOUT_COLUMN else self

    @cached_property
    def names(self) -> dict[str, str]:
        """The safe names of the fields that are stored. Untyped ones are named too, so that no name changes later."""
        named = safe_names(self.fields)
        return {key: named[key] for key, shape in self.fields.items() if shape.storable is not None}

    @cached_property
    def store_type(self) -> pa.DataType:
        """The Arrow type to store the typed parts of this shape with: keys as safe names."""
        if self.kind is Kind.STRUCT:
            return pa.struct([pa.field(name, self.fields[key].store_type) for key, name in self.names.items()])
        if self.item is not None:
            return pa.list_(pa.field("element", self.item.store_type))
        return self._scalar_type

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

    @cached_property
    def needs_text(self) -> bool:
        """True where anything in it is made from text or has no column."""
        if self.kind in MADE_FROM_TEXT or self.kind in WITHOUT_COLUMN:
            return True
        return any(shape.needs_text for shape in self.fields.values())

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Shape]]:
        """The nodes that can be columns, with their paths: all but structs that have fields."""
        if self.kind is Kind.STRUCT and self.fields:
            for key, shape in self.fields.items():
                yield from shape.leaves((*path, key))
        elif path:
            yield path, self

    def grown(self, seen: Shape) -> Shape:
        """This shape with what `seen` adds. What this shape has typed already stays as it is."""
        if self.kind is Kind.NULL or (self.kind is Kind.STRING and seen.kind is Kind.TEXT):
            return seen
        if self.storable is None and seen.kind in MADE_FROM_TEXT:
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

    def at(self, path: Path) -> Shape | None:
        """The node at `path`; None where there is none."""
        node: Shape | None = self
        for key in path:
            node = node.fields.get(key) if node is not None else None
        return node

    def overlaid(self, path: Path, shape: Shape) -> Shape:
        """This struct with `shape` at `path`, in structs that are made where they are missing.

        Itself where a value that is no struct stands on the way: an object there does not fit anyway.
        """
        key, rest = path[0], path[1:]
        below = self.fields.get(key, EMPTY)
        if rest:
            if below.kind not in (Kind.STRUCT, Kind.NULL):
                return self
            shape = Shape(Kind.STRUCT, below.fields).overlaid(rest, shape)
        return Shape(Kind.STRUCT, {**self.fields, key: shape})

    def to_json(self) -> Any:
        """A scalar as its kind, a list as `[item]`, a struct as `{"fields": [[key, shape], …]}`.

        Pairs, because PostgreSQL's jsonb sorts the keys of objects, and the order of columns matters.
        """
        if self.kind is Kind.STRUCT:
            return {"fields": [[key, shape.to_json()] for key, shape in self.fields.items()]}
        if self.digits is not None:
            return f"decimal({self.digits[0]},{self.digits[1]})"
        return [self.item.to_json()] if self.item is not None else self.kind.value

    @classmethod
    def from_json(cls, data: Any) -> Shape:
        """The inverse of `to_json`."""
        if isinstance(data, dict):
            return cls(Kind.STRUCT, {key: cls.from_json(shape) for key, shape in data["fields"]})
        if isinstance(data, list):
            return cls(Kind.LIST, item=cls.from_json(data[0]))
        if decimal := _DECIMAL.fullmatch(data):
            return cls(Kind.DECIMAL, digits=(int(decimal[1]), int(decimal[2])))
        return cls(Kind(data))


EMPTY = Shape(Kind.STRUCT)
