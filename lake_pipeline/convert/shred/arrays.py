"""From the slots of a scan to Arrow arrays: numbers and bits as they are, texts copied out of the lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.shred.plan import Plan
from lake_pipeline.convert.shred.scan import PRESENT, _hex4

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_LENGTH = np.int64(0x7FFFFFFF)
_START = np.int64(0xFFFFFFFF)

_ESCAPED = np.zeros(256, dtype=np.uint8)
_ESCAPED[[34, 92, 47, 98, 102, 110, 114, 116]] = [34, 92, 47, 8, 12, 10, 13, 9]


class Slots:
    """The slots of every node: `base[node] + index` for each index of the node's scope. Scope 0 has one per line."""

    def __init__(self, plan: Plan, room: Ints) -> None:
        self._plan = plan
        self.room = room
        sizes = room[plan.scope]
        self.base: Ints = np.cumsum(sizes) - sizes
        self.seen = np.zeros(int(sizes.sum()), dtype=np.uint8)
        self.cells = np.zeros(int(sizes.sum()), dtype=np.int64)

    def grown(self, scope: int) -> Slots:
        """The same slots with twice the room in one scope."""
        room = self.room.copy()
        room[scope] *= 2
        grown = Slots(self._plan, room)
        for node, (old, new) in enumerate(zip(self.base, grown.base, strict=True)):
            kept = self.room[self._plan.scope[node]]
            grown.seen[new : new + kept] = self.seen[old : old + kept]
            grown.cells[new : new + kept] = self.cells[old : old + kept]
        return grown


class Arrays:
    """Makes the array of each node. `counts` are the indexes in use of each scope."""

    def __init__(self, plan: Plan, slots: Slots, counts: Ints, text: Bytes) -> None:
        self._plan = plan
        self._slots = slots
        self._counts = counts
        self._text = text

    def of(self, node: int) -> pa.Array:
        """The values of a node, one for each index of its scope.

        The type is the `parse_type` of its shape, but that what is made from text is the text still.
        """
        shape: Shape = self._plan.shapes[node]
        count = int(self._counts[self._plan.scope[node]])
        start = int(self._slots.base[node])
        present = self._slots.seen[start : start + count] == PRESENT
        cells = self._slots.cells[start : start + count]
        valid = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
        return self._array(node, shape, count, present, cells, valid)

    def _array(
        self, node: int, shape: Shape, count: int, present: npt.NDArray[np.bool_], cells: Ints, valid: Any
    ) -> pa.Array:
        match shape.kind:
            case Kind.NULL:
                return pa.nulls(count)
            case Kind.BOOL:
                bits = pa.py_buffer(np.packbits(cells.astype(np.bool_), bitorder="little"))
                return pa.Array.from_buffers(shape.parse_type, count, [valid, bits])
            case Kind.INT | Kind.DOUBLE:
                return pa.Array.from_buffers(shape.parse_type, count, [valid, pa.py_buffer(cells)])
            case Kind.STRING:
                offsets, data = _texts(self._text, present, cells)
                return pa.Array.from_buffers(
                    shape.parse_type, count, [valid, pa.py_buffer(offsets), pa.py_buffer(data)]
                )
            case Kind.LIST:
                items = self.of(int(self._plan.item[node]))
                offsets = np.zeros(count + 1, dtype=np.int32)
                np.cumsum(np.where(present, cells, 0), out=offsets[1:])
                return pa.Array.from_buffers(
                    pa.list_(items.type), count, [valid, pa.py_buffer(offsets)], children=[items]
                )
            case Kind.STRUCT:
                children = [self.of(child) for child in self._plan.children_of(node)]
                kind = pa.struct([pa.field(key, child.type) for key, child in zip(shape.fields, children, strict=True)])
                return pa.Array.from_buffers(kind, count, [valid], children=children)
            case _:
                # The text as it was written; null throughout where nothing of it is wanted.
                offsets, data = _texts(self._text, present, cells)
                return pa.Array.from_buffers(pa.string(), count, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])


@njit(cache=True, nogil=True)
def _texts(text, present, cells):
    """Offsets and bytes of the strings in `cells`."""
    offsets = np.zeros(len(cells) + 1, dtype=np.int32)
    total = 0
    for index in range(len(cells)):
        if present[index]:
            total += (cells[index] >> 32) & _LENGTH
        offsets[index + 1] = total
    data = np.empty(total, dtype=np.uint8)
    for index in range(len(cells)):
        if present[index]:
            start = cells[index] & _START
            into = offsets[index]
            if cells[index] < 0:
                _unescape(text, start, data, into)
            else:
                length = offsets[index + 1] - into
                for offset in range(length):
                    data[into + offset] = text[start + offset]
    return offsets, data


@njit(cache=True, nogil=True)
def _unescape(text, at, data, into):
    """Copy a string that the scan found sound, up to its closing quote."""
    while text[at] != 34:
        if text[at] != 92:
            data[into] = text[at]
            into += 1
            at += 1
        elif text[at + 1] != 117:
            data[into] = _ESCAPED[text[at + 1]]
            into += 1
            at += 2
        else:
            code = _hex4(text, at + 2)
            at += 6
            if 0xD800 <= code <= 0xDBFF:
                code = 0x10000 + ((code - 0xD800) << 10) + (_hex4(text, at + 2) - 0xDC00)
                at += 6
            into = _encode(code, data, into)


@njit(cache=True, nogil=True)
def _encode(code, data, into):
    """Write a character as UTF-8; returns the place behind it."""
    if code < 0x80:
        data[into] = code
        return into + 1
    if code < 0x800:
        data[into] = 0xC0 | (code >> 6)
        data[into + 1] = 0x80 | (code & 0x3F)
        return into + 2
    if code < 0x10000:
        data[into] = 0xE0 | (code >> 12)
        data[into + 1] = 0x80 | ((code >> 6) & 0x3F)
        data[into + 2] = 0x80 | (code & 0x3F)
        return into + 3
    data[into] = 0xF0 | (code >> 18)
    data[into + 1] = 0x80 | ((code >> 12) & 0x3F)
    data[into + 2] = 0x80 | ((code >> 6) & 0x3F)
    data[into + 3] = 0x80 | (code & 0x3F)
    return into + 4
