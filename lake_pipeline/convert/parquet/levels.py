"""Levels: which values of a column are there and how they nest, for every leaf below it, in one walk.

What a list tells (its rows' repetition) is found once and shared by all leaves inside; a flat column without nulls
is not walked at all.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from lake_pipeline.convert.native.calling import call_with_numbers as call
from lake_pipeline.convert.parquet.schema import Form, Leaf, Node, Tree
from lake_pipeline.convert.parquet.scratch import Scratch


class Slices:
    """Rows of one schema in several pieces of memory, as C structs. They are valid until they are released."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        # As one stream without a copy: batch by batch in Python took three times as long.
        whole = pa.concat_tables(tables)
        self.rows = whole.num_rows
        self._arrays: list[ctypes.Array[ctypes.c_int64]] = []
        capsule = whole.__arrow_c_stream__()
        stream = _get_pointer(capsule, b"arrow_array_stream")
        get_next = _NEXT(_field(stream, 1))
        while True:
            array = (ctypes.c_int64 * _ARRAY_FIELDS)()
            problem = get_next(stream, array)
            if problem:
                raise OSError(problem, "pyarrow can't hand over the columns of a table")
            if not array[_RELEASE]:
                break
            if array[0]:
                self._arrays.append(array)
            else:
                _RELEASING(array[_RELEASE])(array)
        self.count = len(self._arrays)
        self._addresses = (ctypes.c_int64 * self.count)(*map(ctypes.addressof, self._arrays))
        self.address = ctypes.addressof(self._addresses)

    def release(self) -> None:
        """Give the memory back."""
        for array in self._arrays:
            _RELEASING(array[_RELEASE])(array)
        self._arrays = []


_ARRAY_FIELDS, _RELEASE = 10, 8
"""Of the struct ArrowArray: its size in numbers of 64 bits, and which of them is the function that frees it."""

_NEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_RELEASING = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def _field(struct: int, position: int) -> int:
    return ctypes.c_int64.from_address(struct + 8 * position).value


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


def entries_of(tree: Tree, slices: Slices, memory: Scratch) -> Iterator[Entries]:
    """The entries of every leaf, in order; each is valid until the next is asked for."""
    walk = _Walk(slices, memory)
    for position, node in enumerate(tree.columns):
        arrays = walk.children(slices.address, position, "arrays 0")
        if node.leaf is not None:
            yield walk.flat(node, node.leaf, arrays)
        else:
            yield from walk.inside(node, arrays, walk.rows(arrays), 1)


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

    def children(self, arrays: int, child: int, room: str) -> int:
        found = self._memory.room(room, 8 * self._slices)
        call("child_arrays", arrays, self._slices, child, found)
        return found

    def flat(self, node: Node, leaf: Leaf, arrays: int) -> Entries:
        """A column that is a leaf itself."""
        if leaf.form is Form.NOTHING:
            return Entries(leaf=leaf, arrays=arrays, rows=self._rows, count=self._rows, values=0, top=0)
        if not call("can_be_null", arrays, self._slices):
            return Entries(leaf=leaf, arrays=arrays, rows=self._rows, count=self._rows, values=self._rows, top=leaf.top)
        defs = self._memory.room("leaf defs", 4 * self._rows)
        picks, ends = self._memory.room("picks", 8 * self._rows + 8), self._memory.room("ends", 8 * self._slices)
        values = call("pick_rows", arrays, self._slices, int(node.nullable), defs, picks, ends)
        _check(values, leaf)
        if values == self._rows:
            return Entries(leaf=leaf, arrays=arrays, rows=self._rows, count=self._rows, values=values, top=leaf.top)
        return Entries(
            leaf=leaf, arrays=arrays, rows=self._rows, count=self._rows, values=values, top=leaf.top,
            defs=defs, picks=picks, ends=ends,
        )  # fmt: skip

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
        raise ValueError(f"column {'.'.join(leaf.path)!r} has a null where its schema allows none")


def _first(node: Node) -> Leaf:
    return node.leaf if node.leaf is not None else _first(node.children[0])
