"""From the slots of a scan to Arrow arrays, in whatever order the rows are wanted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.native.layout import BASE
from lake_pipeline.convert.shred.gathering import Gathered, gather
from lake_pipeline.convert.shred.plan import Plan

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


_SPARE_SLOTS = 4 << 20
"""The largest memory that is kept for the next block: 36 MB."""

_kept = threading.local()


class _Memory:
    """Room for so many slots, of which none was seen. What a thread gives back is used again by its next block: getting
    it from the system anew, page by page, took as long as a third of the scan."""

    def __init__(self, size: int) -> None:
        whole = getattr(_kept, "memory", None)
        _kept.memory = None
        if whole is None or len(whole[0]) < size:
            whole = np.zeros(size, dtype=np.uint8), np.empty(size, dtype=np.int64)
        else:
            whole[0][:size] = 0
        self._whole = whole
        self.seen, self.cells = whole[0][:size], whole[1][:size]

    def __del__(self) -> None:
        if len(self._whole[0]) <= _SPARE_SLOTS:
            _kept.memory = self._whole


class Slots:
    """The slots of every node: `base[node] + index` for each index of the node's scope. Scope 0 has one per line."""

    def __init__(self, plan: Plan, room: Ints) -> None:
        self._plan = plan
        self.room = room
        sizes = room[plan.scope]
        self.base: Ints = np.cumsum(sizes) - sizes
        self.nodes = plan.nodes.copy()
        self.nodes[:, BASE] = self.base
        self._memory = _Memory(int(sizes.sum()))
        self.seen, self.cells = self._memory.seen, self._memory.cells

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
    """Makes the arrays of nodes. `counts` are the indexes in use of each scope."""

    def __init__(self, plan: Plan, slots: Slots, counts: Ints, text: Bytes) -> None:
        self._plan = plan
        self._slots = slots
        self._counts = counts
        self._text = text

    def of(self, nodes: Sequence[int], picked: Ints) -> list[pa.Array]:
        """The values of nodes, all of one scope, at its indexes `picked`.

        The type is the `parse_type` of a node's shape, but that what is made from text is the text still.
        """
        whole = [each for node in nodes for each in self._plan.inside[node]]
        if not whole:
            return []
        used = int(self._counts[self._plan.scope[whole[0]]])
        forms, firsts = self._plan.forms[whole], self._slots.base[whole]
        found = gather(self._text, self._slots.seen, self._slots.cells, forms, firsts, used, picked)
        by_node = dict(zip(whole, found, strict=True))
        return [self._array(node, by_node, len(picked)) for node in nodes]

    def _array(self, node: int, found: Mapping[int, Gathered], count: int) -> pa.Array:
        shape: Shape = self._plan.shapes[node]
        its = found[node]
        match shape.kind:
            case Kind.NULL:
                return pa.nulls(count)
            case Kind.BOOL | Kind.INT | Kind.DOUBLE:
                return pa.Array.from_buffers(shape.parse_type, count, [its.valid, its.values], its.nulls)
            case Kind.LIST:
                assert its.items is not None
                (items,) = self.of([self._plan.item_of(node)], its.items)
                buffers = [its.valid, its.values]
                return pa.Array.from_buffers(pa.list_(items.type), count, buffers, its.nulls, children=[items])
            case Kind.STRUCT:
                children = [self._array(child, found, count) for child in self._plan.children_of(node)]
                kind = pa.struct([pa.field(key, child.type) for key, child in zip(shape.fields, children, strict=True)])
                return pa.Array.from_buffers(kind, count, [its.valid], its.nulls, children=children)
            case _:
                # A string, or the text as it was written; null throughout where nothing of it is wanted.
                return pa.Array.from_buffers(pa.string(), count, [its.valid, its.values, its.data], its.nulls)
