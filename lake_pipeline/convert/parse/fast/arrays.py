"""From the slots of a scan to Arrow arrays, with rows in any order."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lake_pipeline.contract.shapes import Kind, Shape
from lake_pipeline.convert.native.layout import NODE
from lake_pipeline.convert.parse.fast.gather import NodeBuffers, gather
from lake_pipeline.convert.parse.fast.plan import Plan

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


_KEPT_SLOTS = 7 << 20
"""The largest memory that is kept for the next block: 63 MB, enough for `MAX_SLOTS` of `kernel.blocks`."""

_of_thread = threading.local()


class _SlotMemory:
    """Memory for slots, all unseen. A thread reuses it for its next block.

    Getting it from the system again, page by page, took as long as a third of the scan.
    """

    def __init__(self, size: int) -> None:
        arrays = getattr(_of_thread, "arrays", None)
        _of_thread.arrays = None
        if arrays is None or len(arrays[0]) < size:
            arrays = np.zeros(size, dtype=np.uint8), np.empty(size, dtype=np.int64)
        else:
            arrays[0][:size] = 0
        self._arrays = arrays
        self.states, self.cells = arrays[0][:size], arrays[1][:size]

    def __del__(self) -> None:
        if len(self._arrays[0]) <= _KEPT_SLOTS:
            _of_thread.arrays = self._arrays


class Slots:
    """The slots of every node: `first[node] + index` for each index of the node's scope. Scope 0 has one per line."""

    def __init__(self, plan: Plan, capacity: Ints) -> None:
        self._plan = plan
        self.capacity = capacity
        sizes = capacity[plan.scopes]
        self.first: Ints = np.cumsum(sizes) - sizes
        self.nodes = plan.nodes.copy()
        self.nodes[:, NODE.first_slot] = self.first
        self._memory = _SlotMemory(int(sizes.sum()))
        self.states, self.cells = self._memory.states, self._memory.cells

    def grow(self, scope: int) -> Slots:
        """The same slots with twice the capacity in one scope."""
        capacity = self.capacity.copy()
        capacity[scope] *= 2
        slots = Slots(self._plan, capacity)
        for node, (old, new) in enumerate(zip(self.first, slots.first, strict=True)):
            size = self.capacity[self._plan.scopes[node]]
            slots.states[new : new + size] = self.states[old : old + size]
            slots.cells[new : new + size] = self.cells[old : old + size]
        return slots


class Arrays:
    """Makes the arrays of nodes. `counts` are the indexes in use of each scope."""

    def __init__(self, plan: Plan, slots: Slots, counts: Ints, text: Bytes) -> None:
        self._plan = plan
        self._slots = slots
        self._counts = counts
        self._text = text

    def of(self, nodes: Sequence[int], picks: Ints) -> list[pa.Array]:
        """The values of nodes, all of one scope, at its indexes `picks`.

        The type is the `parse_type` of the node's shape, except that values made from text are still text.
        """
        gathered = [inner for node in nodes for inner in self._plan.inside[node]]
        if not gathered:
            return []
        used = int(self._counts[self._plan.scopes[gathered[0]]])
        forms, first = self._plan.forms[gathered], self._slots.first[gathered]
        buffers = gather(self._text, self._slots.states, self._slots.cells, forms, first, used, picks)
        by_node = dict(zip(gathered, buffers, strict=True))
        return [self._array(node, by_node, len(picks)) for node in nodes]

    def _array(self, node: int, by_node: Mapping[int, NodeBuffers], count: int) -> pa.Array:
        shape: Shape = self._plan.shapes[node]
        buffers = by_node[node]
        match shape.kind:
            case Kind.NULL:
                return pa.nulls(count)
            case Kind.BOOL | Kind.INT | Kind.DOUBLE:
                return pa.Array.from_buffers(
                    shape.parse_type, count, [buffers.validity, buffers.values], buffers.null_count
                )  # fmt: skip
            case Kind.LIST:
                assert buffers.items is not None
                (items,) = self.of([self._plan.item_of(node)], buffers.items)
                both = [buffers.validity, buffers.values]
                return pa.Array.from_buffers(pa.list_(items.type), count, both, buffers.null_count, children=[items])
            case Kind.STRUCT:
                children = [self._array(child, by_node, count) for child in self._plan.children_of(node)]
                kind = pa.struct([pa.field(key, child.type) for key, child in zip(shape.fields, children, strict=True)])
                return pa.Array.from_buffers(kind, count, [buffers.validity], buffers.null_count, children=children)
            case _:
                # A string, or the text of the value; all null if nothing of it is needed.
                three = [buffers.validity, buffers.values, buffers.data]
                return pa.Array.from_buffers(pa.string(), count, three, buffers.null_count)
