"""Levels: which values of a column exist and how they nest, for every leaf below it, in one traversal.

The repetition levels of a list are computed once and shared by all leaves inside. A flat column without nulls needs no
traversal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.call import call_with_addresses as call
from lake_pipeline.convert.parquet.buffers import ThreadBuffers
from lake_pipeline.convert.parquet.schema import Leaf, NestedColumn, Node
from lake_pipeline.convert.parquet.spans import Slices


@dataclass(frozen=True, kw_only=True, slots=True)
class LeafEntries:
    """The entries of a leaf, as machine code reads them."""

    leaf: Leaf
    table: layout.Entries


def entries_of(column: NestedColumn, slices: Slices, buffers: ThreadBuffers) -> Iterator[LeafEntries]:
    """The entries of every leaf of a column, in order; each is valid until the next is requested.

    Raises `ValueError` if there is a null that the schema does not allow.
    """
    traversal = _Traversal(slices, buffers)
    arrays = traversal.column(slices.address, column.position)
    yield from traversal.inside(column.node, arrays, traversal.rows(arrays), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stream:
    """Addresses of a stream, see `native.source.parquet_levels`, and the number of its entries."""

    count: int
    index: int
    reps: int
    defs: int
    ends: int
    shifts: int
    depth: int


class _Traversal:
    def __init__(self, slices: Slices, buffers: ThreadBuffers) -> None:
        self._rows = slices.rows
        self._slices = slices.count
        self._buffers = buffers

    def column(self, spans: int, position: int) -> int:
        arrays = self._buffers.reserve("arrays 0", 8 * self._slices)
        structs = self._buffers.reserve("structs", layout.ARRAY_BYTES * self._slices)
        call("column_arrays", spans, self._slices, position, structs, arrays)
        return arrays

    def children(self, arrays: int, child: int, name: str) -> int:
        children = self._buffers.reserve(name, 8 * self._slices)
        call("child_arrays", arrays, self._slices, child, children)
        return children

    def rows(self, arrays: int) -> _Stream:
        """The stream of the rows of a nested column."""
        stream = self._stream(0, self._rows, 0)
        call("enter_rows", arrays, self._slices, stream.index, stream.reps, stream.defs, stream.ends, stream.shifts)
        return stream

    def inside(self, node: Node, arrays: int, stream: _Stream, step: int) -> Iterator[LeafEntries]:
        """The leaves of a node, whose own entries are `stream`. `step` is the number of nodes above it."""
        if node.leaf is not None:
            yield LeafEntries(leaf=node.leaf, table=self._leaf_entries(node, node.leaf, arrays, stream))
            return
        inner = self._items(node, arrays, stream, step) if node.is_list else self._fields(node, arrays, stream, step)
        _check(inner.count, _first_leaf(node))
        for position, child in enumerate(node.children):
            yield from self.inside(child, self.children(arrays, position, f"arrays {step}"), inner, step + 1)

    def _items(self, node: Node, arrays: int, stream: _Stream, step: int) -> _Stream:
        inner = self._stream(step, call("max_list_entries", arrays, self._slices, stream.count), stream.depth + 1)
        count = call(
            "enter_list", arrays, self._slices, int(node.nullable), inner.depth,
            stream.index, stream.reps, stream.defs, stream.ends, stream.shifts,
            inner.index, inner.reps, inner.defs, inner.ends, inner.shifts,
        )  # fmt: skip
        return replace(inner, count=count)

    def _fields(self, node: Node, arrays: int, stream: _Stream, step: int) -> _Stream:
        inner = self._stream(step, stream.count, stream.depth)
        count = call(
            "enter_struct", arrays, self._slices, int(node.nullable),
            stream.index, stream.defs, stream.ends, stream.shifts,
            inner.index, inner.defs, inner.shifts,
        )  # fmt: skip
        return replace(inner, count=count, reps=stream.reps, ends=stream.ends)

    def _leaf_entries(self, node: Node, leaf: Leaf, arrays: int, stream: _Stream) -> layout.Entries:
        entries = layout.Entries(
            arrays=arrays,
            slices=self._slices,
            rows=self._rows,
            entry_count=stream.count,
            values=0,
            max_def=leaf.max_def,
            reps=stream.reps if leaf.max_rep else 0,
            defs=stream.defs,
            picks=0,
            ends=0,
        )
        if leaf.form is layout.ValueForm.NONE:
            return entries
        defs = self._buffers.reserve("leaf defs", 4 * stream.count)
        picks, ends = self._buffers.reserve("picks", 8 * stream.count), self._buffers.reserve("ends", 8 * self._slices)
        values = call(
            "pick_items", arrays, self._slices, int(node.nullable),
            stream.index, stream.defs, stream.ends, stream.shifts,
            defs, picks, ends,
        )  # fmt: skip
        _check(values, leaf)
        return entries._replace(values=values, defs=defs, picks=picks, ends=ends)

    def _stream(self, step: int, capacity: int, depth: int) -> _Stream:
        buffers, slices = self._buffers, self._slices
        return _Stream(
            count=capacity,
            index=buffers.reserve(f"index {step}", 8 * capacity),
            reps=buffers.reserve(f"reps {step}", 4 * capacity),
            defs=buffers.reserve(f"defs {step}", 4 * capacity),
            ends=buffers.reserve(f"ends {step}", 8 * slices),
            shifts=buffers.reserve(f"shifts {step}", 8 * slices),
            depth=depth,
        )


def _check(count: int, leaf: Leaf) -> None:
    if count < 0:
        raise unexpected_null(leaf)


def unexpected_null(leaf: Leaf) -> ValueError:
    return ValueError(f"column {'.'.join(leaf.path)!r} has a null where its schema allows none")


def _first_leaf(node: Node) -> Leaf:
    return node.leaf if node.leaf is not None else _first_leaf(node.children[0])
