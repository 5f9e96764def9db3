"""Shapes: the kinds of JSON values at each path, as an immutable tree.

A shape only gains information: a typed path keeps its type, and values that do not fit are rescued. `NULL` means that
no value was seen yet. Only this module converts shapes to Arrow types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from lake_pipeline.contract.naming import safe_names
from lake_pipeline.contract.paths import Path

if TYPE_CHECKING:
    # Takes a fifth of a second to load, and many commands need no types of columns.
    import pyarrow as pa


class Kind(StrEnum):
    """The kinds of JSON values; numbers are integers or doubles (64 bits each).

    The kinds after STRUCT come only from a rule or a limit. They are cast from JSON text, and never appear in a list.
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
    """A field without a column: its values are rescued."""
    EXCLUDED = "excluded"
    """A field whose values are not stored."""


MADE_FROM_TEXT = frozenset({Kind.JSON, Kind.TEXT, Kind.TIMESTAMP, Kind.DATE, Kind.DECIMAL})
"""Kinds of columns that are cast from the JSON text of a value."""

WITHOUT_COLUMN = frozenset({Kind.RESCUED, Kind.EXCLUDED})

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@cache
def _scalar_types() -> Mapping[Kind, pa.DataType]:
    import pyarrow as pa

    return {
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


@dataclass(frozen=True)
class Shape:
    """One node: a STRUCT has `fields` (in order of appearance), a LIST has `item`.

    `digits` of a DECIMAL are its precision and scale.
    """

    kind: Kind
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None
    digits: tuple[int, int] | None = None

    @cached_property
    def parse_type(self) -> pa.DataType:
        """The Arrow type for parsing JSON: the keys of the JSON, untyped parts as nulls."""
        import pyarrow as pa

        if self.kind is Kind.STRUCT:
            return pa.struct([pa.field(key, shape.parse_type) for key, shape in self.fields.items()])
        if self.item is not None:
            return pa.list_(self.item.parse_type)
        return self._scalar_type

    @property
    def _scalar_type(self) -> pa.DataType:
        import pyarrow as pa

        return pa.decimal128(*self.digits) if self.digits is not None else _scalar_types()[self.kind]

    @cached_property
    def storable(self) -> Shape | None:
        """This shape without its untyped parts; None if nothing is left."""
        if self.kind is Kind.STRUCT:
            fields = {key: shape.storable for key, shape in self.fields.items()}
            stored = {key: shape for key, shape in fields.items() if shape is not None}
            return Shape(Kind.STRUCT, stored) if stored else None
        if self.item is not None:
            item = self.item.storable
            return Shape(Kind.LIST, item=item) if item else None
        return None if self.kind is Kind.NULL or self.kind in WITHOUT_COLUMN else self

    @cached_property
    def names(self) -> dict[str, str]:
        """The safe names of the stored fields. Untyped fields reserve a name too, so that no name changes later."""
        names = safe_names(self.fields)
        return {key: names[key] for key, shape in self.fields.items() if shape.storable is not None}

    @cached_property
    def store_type(self) -> pa.DataType:
        """The Arrow type for storing the typed parts of this shape, with safe names."""
        import pyarrow as pa

        if self.kind is Kind.STRUCT:
            return pa.struct([pa.field(name, self.fields[key].store_type) for key, name in self.names.items()])
        if self.item is not None:
            return pa.list_(pa.field("element", self.item.store_type))
        return self._scalar_type

    @cached_property
    def is_settled(self) -> bool:
        """True if no part of it is untyped: parsed values need no further check."""
        if self.kind is Kind.STRUCT:
            return bool(self.fields) and all(shape.is_settled for shape in self.fields.values())
        if self.item is not None:
            return self.item.is_settled
        return self.kind is not Kind.NULL

    @cached_property
    def has_double(self) -> bool:
        """True if any part of it is a double."""
        if self.item is not None:
            return self.item.has_double
        return self.kind is Kind.DOUBLE or any(shape.has_double for shape in self.fields.values())

    @cached_property
    def needs_text(self) -> bool:
        """True if any part of it is cast from text or has no column."""
        if self.kind in MADE_FROM_TEXT or self.kind in WITHOUT_COLUMN:
            return True
        return any(shape.needs_text for shape in self.fields.values())

    def leaves(self, path: Path = ()) -> Iterator[tuple[Path, Shape]]:
        """The nodes that can be columns, with their paths: all except structs with fields."""
        if self.kind is Kind.STRUCT and self.fields:
            for key, shape in self.fields.items():
                yield from shape.leaves((*path, key))
        elif path:
            yield path, self

    def evolved(self, seen: Shape) -> Shape:
        """This shape with the new parts of `seen`. Typed parts of this shape do not change."""
        if self.kind is Kind.NULL or (self.kind is Kind.STRING and seen.kind is Kind.TEXT):
            return seen
        if self.storable is None and seen.kind in MADE_FROM_TEXT:
            return seen
        if self.kind is not seen.kind:
            return self
        if self.kind is Kind.STRUCT:
            fields = dict(self.fields)
            for key, shape in seen.fields.items():
                fields[key] = fields[key].evolved(shape) if key in fields else shape
            return self if fields == self.fields else Shape(Kind.STRUCT, fields)
        if self.item is not None and seen.item is not None:
            return Shape(Kind.LIST, item=self.item.evolved(seen.item))
        return self

    def at(self, path: Path) -> Shape | None:
        """The node at `path`; None if there is none."""
        node: Shape | None = self
        for key in path:
            node = node.fields.get(key) if node is not None else None
        return node

    def overlaid(self, path: Path, shape: Shape) -> Shape:
        """This struct with `shape` at `path`. Missing structs on the way are added.

        Returns itself if a node on the way is not a struct: objects do not fit there anyway.
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
