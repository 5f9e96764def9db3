"""Levels: which values of a column are there and how they nest, for every leaf below it, in one walk.

What a list tells (its rows' repetition) is found once and shared by all leaves inside; a flat column without nulls
is not walked at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lake_pipeline.convert.native import layout
from lake_pipeline.convert.native.calling import call_with_numbers as call
from lake_pipeline.convert.parquet.schema import Form, Leaf, NestedColumn, Node
from lake_pipeline.convert.parquet.scratch import Scratch
from lake_pipeline.convert.parquet.spans import Slices


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """What stands in a leaf: addresses of its levels and of the places of its values, 0 where none are needed.

    `arrays` is the table of its arrays. Without `reps` each entry is a row; without `defs` all are at the level `top`.
    """

    leaf: Leaf
    arrays: int
    rows: int
    count: int
    values: int
    top: int
    reps: int = 0
    defs: int = 0
    picks: int = 0
    ends: int = 0


def entries_of(column: NestedColumn, slices: Slices, memory: Scratch) -> Iterator[Entries]:
    """The entries of every leaf of a column, in order; each is valid until the next is asked for.

    Raises `ValueError` where a null is that may not be.
    """
    walk = _Walk(slices, memory)
    arrays = walk.column(slices.address, column.position)
    yield from walk.inside(column.node, arrays, walk.rows(arrays), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stream:
    """Addresses of a stream, see `native.source.parquet_walking`, and how many entries it has."""

    count: int
    index: int
    reps: int
    defs: int
    ends: int
    shifts: int
    depth: int


class _Walk:
    def __init__(self, slices: Slices, memory: Scratch) -> None:
        self._rows = slices.rows
        self._slices = slices.count
        self._memory = memory

    def column(self, spans: int, position: int) -> int:
        found = self._memory.room("arrays 0", 8 * self._slices)
        structs = self._memory.room("structs", 8 * layout.ARRAY_FIELDS * self._slices)
        call("column_arrays", spans, self._slices, position, structs, found)
        return found

    def children(self, arrays: int, child: int, room: str) -> int:
        found = self._memory.room(room, 8 * self._slices)
        call("child_arrays", arrays, self._slices, child, found)
        return found

    def rows(self, arrays: int) -> _Stream:
        """The stream of the rows of a column with something inside."""
        stream = self._stream(0, self._rows, 0)
        call("enter_rows", arrays, self._slices, stream.index, stream.reps, stream.defs, stream.ends, stream.shifts)
        return stream

    def inside(self, node: Node, arrays: int, stream: _Stream, step: int) -> Iterator[Entries]:
        """The leaves of a node, whose own entries are `stream`. `step` counts the nodes above it."""
        if node.leaf is not None:
            yield self._picked(node, node.leaf, arrays, stream)
            return
        inner = self._items(node, arrays, stream, step) if node.is_list else self._fields(node, arrays, stream, step)
        _check(inner.count, _first(node))
        for position, child in enumerate(node.children):
            yield from self.inside(child, self.children(arrays, position, f"arrays {step}"), inner, step + 1)

    def _items(self, node: Node, arrays: int, stream: _Stream, step: int) -> _Stream:
        inner = self._stream(step, call("items_room", arrays, self._slices, stream.count), stream.depth + 1)
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

    def _picked(self, node: Node, leaf: Leaf, arrays: int, stream: _Stream) -> Entries:
        reps = stream.reps if leaf.depth else 0
        if leaf.form is Form.NOTHING:
            return Entries(
                leaf=leaf, arrays=arrays, rows=self._rows, count=stream.count, values=0, top=leaf.top,
                reps=reps, defs=stream.defs,
            )  # fmt: skip
        defs = self._memory.room("leaf defs", 4 * stream.count)
        picks, ends = self._memory.room("picks", 8 * stream.count), self._memory.room("ends", 8 * self._slices)
        values = call(
            "pick_items", arrays, self._slices, int(node.nullable),
            stream.index, stream.defs, stream.ends, stream.shifts,
            defs, picks, ends,
        )  # fmt: skip
        _check(values, leaf)
        return Entries(
            leaf=leaf, arrays=arrays, rows=self._rows, count=stream.count, values=values, top=leaf.top,
            reps=reps, defs=defs, picks=picks, ends=ends,
        )  # fmt: skip

    def _stream(self, step: int, room: int, depth: int) -> _Stream:
        memory, slices = self._memory, self._slices
        return _Stream(
            count=room,
            index=memory.room(f"index {step}", 8 * room),
            reps=memory.room(f"reps {step}", 4 * room),
            defs=memory.room(f"defs {step}", 4 * room),
            ends=memory.room(f"ends {step}", 8 * slices),
            shifts=memory.room(f"shifts {step}", 8 * slices),
            depth=depth,
        )


def _check(count: int, leaf: Leaf) -> None:
    if count < 0:
        raise unexpected_null(leaf)


def unexpected_null(leaf: Leaf) -> ValueError:
    return ValueError(f"column {'.'.join(leaf.path)!r} has a null where its schema allows none")


def _first(node: Node) -> Leaf:
    return node.leaf if node.leaf is not None else _first(node.children[0])
