"""Schemas: which Arrow types are written, and how, and the tree of nodes that `levels` traverses.

Columns are read back with exactly their types: like pyarrow, a file stores Arrow's schema besides Parquet's own. An
unknown type is refused when a file is opened, not when its rows are written.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.layout import ValueForm
from lake_pipeline.convert.parquet.thrift import EMPTY, Struct
from lake_pipeline.errors import PermanentError

BOOLEAN, INT32, INT64, DOUBLE, BYTE_ARRAY, FIXED = 0, 1, 2, 5, 6, 7
"""Parquet's physical types."""

_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
_UTF8, _MAP, _LIST, _DECIMAL, _DATE, _MILLIS, _MICROS = 0, 1, 3, 5, 6, 9, 10
_PLAIN, _RLE, _RLE_DICTIONARY = 0, 3, 8
_ARROW_SCHEMA = b"ARROW:schema"


class UnknownType(PermanentError):
    """A column has a type that this encoder does not write; add it to `convert/parquet/schema.py`."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A type in the tree of a column: a leaf (`leaf`), a list or map (`is_list`, one child), or a struct."""

    nullable: bool
    children: tuple[Node, ...] = ()
    is_list: bool = False
    leaf: Leaf | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaf:
    """A column of Parquet. `max_def` and `max_rep` are its highest definition and repetition level.

    `plain_head` and `dictionary_head` are the first fields of its ColumnMetaData, without and with a dictionary.
    """

    path: tuple[str, ...]
    form: ValueForm
    physical: int
    width: int
    max_def: int
    max_rep: int
    is_nested: bool
    nullable: bool
    plain_head: bytes
    dictionary_head: bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class FlatColumns:
    """Adjacent columns that are leaves themselves; `table` has a `layout.Leaf` for each."""

    leaves: tuple[Leaf, ...]
    table: npt.NDArray[np.int64]

    @property
    def positions(self) -> list[int]:
        """The position of each column."""
        positions: list[int] = self.table.reshape(-1, len(layout.LEAF))[:, layout.LEAF.column].tolist()
        return positions


@dataclass(frozen=True, kw_only=True, eq=False)
class NestedColumn:
    """A nested column and its position; `tables` has the `layout.Leaf` of each of its leaves."""

    position: int
    node: Node
    tables: dict[Leaf, npt.NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """A schema: its columns and all leaves in order, and its metadata for the footer as encoded structs."""

    schema: pa.Schema
    columns: tuple[FlatColumns | NestedColumn, ...]
    leaves: tuple[Leaf, ...]
    elements: tuple[bytes, ...]
    key_values: tuple[bytes, ...]


def tree_of(schema: pa.Schema) -> Tree:
    """The tree of a schema. Raises `UnknownType`."""
    global _latest
    tree = _latest
    # Equality and hash ignore metadata, and two schemas may differ only in their JSON paths. So this is no lru_cache.
    if tree is None or not (tree.schema is schema or tree.schema.equals(schema, check_metadata=True)):
        tree = _latest = _tree(schema)
    return tree


_latest: Tree | None = None
"""The last tree: parts of one conversion nearly always have the same schema."""


def _tree(schema: pa.Schema) -> Tree:
    builder = _TreeBuilder()
    root = Struct().number(3, _REQUIRED).binary(4, b"schema").number(5, len(schema)).done()
    builder.elements.append(root)
    nodes = [builder.node(field, field.name, (), 0, 0) for field in schema]
    return Tree(
        schema=schema,
        columns=tuple(_columns(nodes)),
        leaves=tuple(builder.leaves),
        elements=tuple(builder.elements),
        key_values=tuple(_key_values(schema)),
    )


def _columns(nodes: Sequence[Node]) -> Iterator[FlatColumns | NestedColumn]:
    for is_flat, group in groupby(enumerate(nodes), lambda pair: pair[1].leaf is not None):
        if is_flat:
            flat = [(position, node.leaf) for position, node in group if node.leaf is not None]
            table = np.concatenate([_leaf_row(leaf, position) for position, leaf in flat])
            yield FlatColumns(leaves=tuple(leaf for _, leaf in flat), table=table)
        else:
            for position, node in group:
                tables = {leaf: _leaf_row(leaf, position) for leaf in _leaves(node)}
                yield NestedColumn(position=position, node=node, tables=tables)


def _leaves(node: Node) -> Iterator[Leaf]:
    if node.leaf is not None:
        yield node.leaf
    for child in node.children:
        yield from _leaves(child)


def _leaf_row(leaf: Leaf, column: int) -> npt.NDArray[np.int64]:
    row = layout.Leaf(
        form=leaf.form,
        width=leaf.width,
        max_def=leaf.max_def,
        rep_bits=leaf.max_rep.bit_length(),
        def_bits=leaf.max_def.bit_length(),
        is_nested=leaf.is_nested,
        nullable=leaf.nullable,
        column=column,
    )
    return np.array(row, dtype=np.int64)


def _key_values(schema: pa.Schema) -> list[bytes]:
    metadata = {**(schema.metadata or {}), _ARROW_SCHEMA: base64.b64encode(schema.serialize().to_pybytes())}
    return [Struct().binary(1, key).binary(2, value).done() for key, value in metadata.items()]


class _TreeBuilder:
    """Collects the leaves and the elements of a schema."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.elements: list[bytes] = []

    def node(self, field: pa.Field, name: str, path: tuple[str, ...], level: int, depth: int) -> Node:
        """The node of a field that Parquet calls `name`; `level` and `depth` are the levels of its parent."""
        path = (*path, name)
        level += field.nullable
        repetition = _OPTIONAL if field.nullable else _REQUIRED
        if pa.types.is_map(field.type):
            self._group(repetition, name, 1, _MAP)
            self._group(_REPEATED, "key_value", 2)
            inside = (*path, "key_value")
            entry_fields = (field.type.key_field, "key"), (field.type.item_field, "value")
            children = tuple(
                self.node(child, child_name, inside, level + 1, depth + 1) for child, child_name in entry_fields
            )
            entries = Node(nullable=False, children=children)
            return Node(nullable=field.nullable, is_list=True, children=(entries,))
        if pa.types.is_list(field.type):
            self._group(repetition, name, 1, _LIST)
            self._group(_REPEATED, "list", 1)
            item = self.node(field.type.value_field, "element", (*path, "list"), level + 1, depth + 1)
            return Node(nullable=field.nullable, is_list=True, children=(item,))
        if pa.types.is_struct(field.type) and field.type.num_fields:
            self._group(repetition, name, field.type.num_fields)
            children = tuple(self.node(child, child.name, path, level, depth) for child in field.type)
            return Node(nullable=field.nullable, children=children)
        return self._leaf(field, path, repetition, level, depth)

    def _group(self, repetition: int, name: str, children: int, converted: int | None = None) -> None:
        element = Struct().number(3, repetition).binary(4, name.encode()).number(5, children)
        if converted is not None:
            # In the union of logical types, 2 is a map and 3 a list.
            element.number(6, converted).struct(10, _logical(2 if converted == _MAP else 3))
        self.elements.append(element.done())

    def _leaf(self, field: pa.Field, path: tuple[str, ...], repetition: int, level: int, depth: int) -> Node:
        form, physical, width = _physical_type(field.type, path)
        leaf = Leaf(
            path=path, form=form, physical=physical, width=width, max_def=level, max_rep=depth, is_nested=len(path) > 1,
            nullable=field.nullable,
            plain_head=_head(physical, path, [_PLAIN, _RLE]),
            dictionary_head=_head(physical, path, [_PLAIN, _RLE, _RLE_DICTIONARY]),
        )  # fmt: skip
        element = Struct().number(1, physical)
        if form is ValueForm.DECIMAL:
            element.number(2, width)
        element.number(3, repetition).binary(4, path[-1].encode())
        self.leaves.append(leaf)
        self.elements.append(_annotated(element, field.type).done())
        return Node(nullable=field.nullable, leaf=leaf)


def _head(physical: int, path: tuple[str, ...], encodings: list[int]) -> bytes:
    names = [name.encode() for name in path]
    return Struct().number(1, physical).numbers(2, encodings).binaries(3, names).so_far()


def _physical_type(kind: pa.DataType, path: tuple[str, ...]) -> tuple[ValueForm, int, int]:
    """(form, physical type, bytes per value or 0)."""
    types = pa.types
    if types.is_null(kind):
        return ValueForm.NONE, INT32, 4
    if types.is_boolean(kind):
        return ValueForm.BOOL, BOOLEAN, 0
    if types.is_int32(kind) or types.is_date32(kind):
        return ValueForm.INT32, INT32, 4
    if types.is_int64(kind) or (types.is_timestamp(kind) and kind.unit != "s"):
        return ValueForm.INT64, INT64, 8
    if types.is_float64(kind):
        return ValueForm.DOUBLE, DOUBLE, 8
    if types.is_string(kind) or types.is_binary(kind):
        return ValueForm.BYTES, BYTE_ARRAY, 0
    if types.is_decimal128(kind):
        return ValueForm.DECIMAL, FIXED, ((10**kind.precision).bit_length() + 8) // 8
    raise UnknownType(f"column {'.'.join(path)!r} is {kind}, which is not written to Parquet")


def _annotated(element: Struct, kind: pa.DataType) -> Struct:
    """The element with the logical type."""
    if pa.types.is_null(kind):
        return element.struct(10, _logical(11))
    if pa.types.is_string(kind):
        return element.number(6, _UTF8).struct(10, _logical(1))
    if pa.types.is_date32(kind):
        return element.number(6, _DATE).struct(10, _logical(6))
    if pa.types.is_decimal128(kind):
        element.number(6, _DECIMAL).number(7, kind.scale).number(8, kind.precision)
        return element.struct(10, _logical(5, Struct().number(1, kind.scale).number(2, kind.precision).done()))
    if pa.types.is_timestamp(kind):
        unit = {"ms": 1, "us": 2, "ns": 3}[kind.unit]
        if kind.tz is not None and unit < 3:
            # For readers older than logical types: an instant in UTC.
            element.number(6, _MILLIS if unit == 1 else _MICROS)
        stamp = Struct().flag(1, kind.tz is not None).struct(2, Struct().struct(unit, EMPTY).done())
        return element.struct(10, _logical(8, stamp.done()))
    return element


def _logical(kind: int, parameters: bytes = EMPTY) -> bytes:
    return Struct().struct(kind, parameters).done()
