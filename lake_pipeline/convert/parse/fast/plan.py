"""The plan: the shape of a record as flat tables for machine code.

Every node of the shape has a number; node 0 is the record. A *scope* numbers the values of a node: scope 0 numbers
records, and each list opens a scope that numbers its items. Each node has one slot for every index of its scope.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lake_pipeline.contract.parser_rules import ParserRules
from lake_pipeline.contract.shapes import MADE_FROM_TEXT, WITHOUT_COLUMN, Kind, Shape
from lake_pipeline.convert.native.layout import KEY_VECTOR_BYTES, NODE, GatherForm, Node, ValueKind

Ints = npt.NDArray[np.int64]

_KINDS = {
    Kind.NULL: ValueKind.UNTYPED,
    Kind.BOOL: ValueKind.BOOL,
    Kind.INT: ValueKind.INT,
    Kind.DOUBLE: ValueKind.DOUBLE,
    Kind.STRING: ValueKind.STRING,
    Kind.LIST: ValueKind.LIST,
    Kind.STRUCT: ValueKind.STRUCT,
} | dict.fromkeys(MADE_FROM_TEXT | WITHOUT_COLUMN, ValueKind.RAW)
"""Values without a column are read too: their text may contain the date or the mode."""

_FORMS = {
    Kind.NULL: GatherForm.NONE,
    Kind.BOOL: GatherForm.BITS,
    Kind.INT: GatherForm.INT64,
    Kind.DOUBLE: GatherForm.INT64,
    Kind.LIST: GatherForm.LIST,
    Kind.STRUCT: GatherForm.STRUCT,
}
"""How each kind is gathered; all others as strings."""

_NEEDS_ESCAPE = re.compile(rb'["\\\x00-\x1f]')
"""What a key can contain only as an escape. The scan rejects keys with escapes."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Tables by node. `nodes` has a `layout.Node` per node, except `first_slot`, which `Slots` fills in.

    `children` has the fields of all structs for machine code, `fields` has them by node for Python.
    `forms` has a `GatherForm` per node, and `inside` the node and all nodes in its structs, which have the same scope.
    """

    shapes: tuple[Shape, ...]
    nodes: Ints
    children: Ints
    keys: npt.NDArray[np.uint8]
    scope_count: int
    fields: tuple[tuple[int, ...], ...]
    forms: Ints
    inside: tuple[tuple[int, ...], ...]

    @property
    def scopes(self) -> Ints:
        """The scope of each node."""
        return self.nodes[:, NODE.scope]

    def node(self, number: int) -> Node:
        """The row of a node."""
        return Node(*self.nodes[number].tolist())

    def item_of(self, node: int) -> int:
        """The node of a list's items."""
        return self.node(node).item

    def children_of(self, node: int) -> tuple[int, ...]:
        """The nodes of a struct's fields, in order."""
        return self.fields[node]


@lru_cache(maxsize=16)
def plan_of(rules: ParserRules) -> Plan:
    """The plan to parse records by `rules`; cached, because a plan of 160 fields takes a millisecond per block."""
    builder = _Builder()
    builder.add(rules.root, scope=0, key="")
    return builder.build()


class _Builder:
    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.scopes: list[int] = []
        self.items: list[int] = []
        self.children: list[list[int]] = []
        self.keys: list[str] = []
        self.scope_count = 1

    def add(self, shape: Shape, *, scope: int, key: str) -> int:
        node = len(self.shapes)
        self.shapes.append(shape)
        self.scopes.append(scope)
        self.keys.append(key)
        self.items.append(-1)
        self.children.append([])
        if shape.item is not None:
            self.scope_count += 1
            self.items[node] = self.add(shape.item, scope=self.scope_count - 1, key="")
        for name, field in shape.fields.items():
            # Two statements, because adding a child adds its own children first.
            child = self.add(field, scope=scope, key=name)
            self.children[node].append(child)
        return node

    def build(self) -> Plan:
        counts = [len(children) for children in self.children]
        keys = [_quoted(key) for key in self.keys]
        lengths = [len(key) for key in keys]
        nodes = np.zeros((len(self.shapes), len(NODE)), dtype=np.int64)
        nodes[:, NODE.kind] = [_kind(shape, scope) for shape, scope in zip(self.shapes, self.scopes, strict=True)]
        nodes[:, NODE.scope] = self.scopes
        nodes[:, NODE.item] = self.items
        nodes[:, NODE.first_child] = _starts(counts)
        nodes[:, NODE.child_count] = counts
        nodes[:, NODE.key_start] = _starts(lengths)
        nodes[:, NODE.key_length] = lengths
        return Plan(
            shapes=tuple(self.shapes),
            nodes=nodes,
            children=np.array([child for children in self.children for child in children], dtype=np.int64),
            keys=np.frombuffer(b"".join(keys) + bytes(KEY_VECTOR_BYTES), dtype=np.uint8),
            scope_count=self.scope_count,
            fields=tuple(tuple(children) for children in self.children),
            forms=np.array([_FORMS.get(shape.kind, GatherForm.STRING) for shape in self.shapes], dtype=np.int64),
            inside=tuple(tuple(self._inside(node)) for node in range(len(self.shapes))),
        )

    def _inside(self, node: int) -> Iterator[int]:
        yield node
        for child in self.children[node]:
            yield from self._inside(child)


def _quoted(key: str) -> bytes:
    """The key as it is in a text, with its closing quote; empty if it can only be written with escapes."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return b""
    return b"" if _NEEDS_ESCAPE.search(encoded) else encoded + b'"'


def _kind(shape: Shape, scope: int) -> ValueKind:
    """In a list, a value without a type yet may only be null: an empty list there could not be stored."""
    kind = _KINDS[shape.kind]
    return ValueKind.UNTYPED if scope > 0 and kind != ValueKind.RAW and shape.storable is None else kind


def _starts(lengths: list[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
